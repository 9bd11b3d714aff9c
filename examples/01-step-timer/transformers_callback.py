"""A callback for Hugging Face's Trainer: Trainer(..., callbacks=[StepTimes(StepTimer())]). Needs transformers.

What lies between two steps is input, but for evaluating (other) and saving (checkpoint). With gradient accumulation a
step is all of its batches, and what the later ones are waited for counts as compute; so does the wait for peers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from between_steps import BetweenSteps
from transformers import TrainerCallback

if TYPE_CHECKING:
    from transformers import TrainerControl

    from warpgauge.exporters.training import StepTimer


class StepTimes(TrainerCallback):
    """Tells the agent of each optimizer step of a Trainer."""

    def __init__(self, timer: StepTimer) -> None:
        """`timer` belongs to this callback, which closes it when training ends."""
        self._now = BetweenSteps(timer)

    def on_epoch_begin(self, *_: object, **__: object) -> None:
        """The first batch is waited for."""
        self._now.phase("input")

    def on_step_begin(self, *_: object, **__: object) -> None:
        """The batch is there."""
        self._now.step()

    def on_step_end(self, _args: object, _state: object, control: TrainerControl, **__: object) -> None:
        """The Trainer evaluates, then saves, then waits for the next batch; its own callback said which of these."""
        self._now.phase("other" if control.should_evaluate else "checkpoint" if control.should_save else "input")

    def on_evaluate(self, _args: object, _state: object, control: TrainerControl, **__: object) -> None:
        """Evaluated; what follows?"""
        self._now.phase("checkpoint" if control.should_save else "input")

    def on_save(self, *_: object, **__: object) -> None:
        """Saved; now the next batch is waited for."""
        self._now.phase("input")

    def on_train_end(self, *_: object, **__: object) -> None:
        """The last step was made."""
        self._now.end()
