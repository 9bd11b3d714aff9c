"""A callback for Lightning: Trainer(callbacks=[StepTimes(StepTimer())]). Needs lightning.

What lies between two batches is input, but for validation, which counts as other. Gradients are reduced inside a step,
so the wait for peers counts as its compute.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from between_steps import BetweenSteps
from lightning.pytorch.callbacks import Callback

if TYPE_CHECKING:
    from warpgauge.exporters.training import StepTimer


class StepTimes(Callback):
    """Tells the agent of each batch that a Trainer trains on."""

    def __init__(self, timer: StepTimer) -> None:
        """`timer` belongs to this callback, which closes it when training ends."""
        super().__init__()
        self._now = BetweenSteps(timer)

    def on_train_epoch_start(self, *_: object) -> None:
        """The first batch is waited for."""
        self._now.phase("input")

    def on_train_batch_start(self, *_: object) -> None:
        """The batch is there."""
        self._now.step()

    def on_train_batch_end(self, *_: object) -> None:
        """The next one is waited for."""
        self._now.phase("input")

    def on_validation_start(self, *_: object) -> None:
        """Nobody waits for input now."""
        self._now.phase("other")

    def on_validation_end(self, *_: object) -> None:
        """Back to waiting."""
        self._now.phase("input")

    def on_train_end(self, *_: object) -> None:
        """The last batch was trained on."""
        self._now.end()
