"""What passes between two steps, for frameworks that own the loop and call back; both callbacks use it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from contextlib import AbstractContextManager

    from warpgauge.exporters.training import StepTimer


class BetweenSteps:
    """One step or one phase at a time; to begin the next ends the one before."""

    def __init__(self, timer: StepTimer) -> None:
        """Nothing runs yet."""
        self._timer = timer
        self._running: AbstractContextManager[object] | None = None

    def step(self) -> None:
        """A step begins."""
        self._begin(self._timer.step())

    def phase(self, name: str) -> None:
        """Something else begins: input, checkpoint, other."""
        self._begin(self._timer.phase(name))

    def end(self) -> None:
        """Training is over."""
        self._begin(None)
        self._timer.close()

    def _begin(self, following: AbstractContextManager[object] | None) -> None:
        if self._running is not None:
            self._running.__exit__(None, None, None)
        self._running = following
        if following is not None:
            following.__enter__()
