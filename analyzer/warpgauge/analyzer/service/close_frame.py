"""The last two minutes in columns of a second, of what is read each second: agents on this machine, mostly.

A page that comes every second tells more than the wide frame's columns of ten seconds keep, so it is taken in a second
time, into a frame of its own. Only a few such targets are followed: a fleet that is read this often stays as cheap to
watch as one that is not.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.dialects.naming import NodeNames
from warpgauge.analyzer.frame import Frame
from warpgauge.analyzer.intake import Intake
from warpgauge.analyzer.sources import Page

if TYPE_CHECKING:
    from warpgauge.analyzer.sources import Batch

__all__ = ["CloseFrame"]

STEP_SECONDS: Final = 1.0
WINDOW_SECONDS: Final = 120.0
MOST_INTERVAL_SECONDS: Final = 2.0  # between two pages of a target, to be looked at closely
MOST_TARGETS: Final = 32
LEAST_RANKS: Final = 2  # without ranks that could wait for each other there is nothing to see

_PATIENCE_SECONDS: Final = 3.0  # a sample may come this late before its absence is taken for silence


class CloseFrame:
    """Follows targets that are read often; belongs to the thread that owns the wide frame."""

    def __init__(self, cluster: str) -> None:
        self._frame = Frame(step_seconds=STEP_SECONDS, window_seconds=WINDOW_SECONDS)
        self._intake = Intake(self._frame, NodeNames(cluster))
        self._targets: set[str] = set()

    def take(self, batch: Batch, *, not_after: float) -> None:
        """Bring a page in, if it is one of a target that is read often enough."""
        if not isinstance(batch, Page) or batch.time is None or batch.interval_seconds > MOST_INTERVAL_SECONDS:
            return
        name = batch.target.name
        if name in self._targets or len(self._targets) < MOST_TARGETS:
            self._targets.add(name)
            self._intake.take(batch, not_after=not_after)

    def forget(self, target: str) -> None:
        """Drop what is remembered for a target that is gone."""
        if target in self._targets:
            self._targets.remove(target)
            self._intake.forget(target)

    def current(self, now: float) -> Frame | None:
        """The frame as of now, None while it holds no ranks that could wait for each other."""
        if not self._targets:
            return None
        self._frame.advance(now - _PATIENCE_SECONDS)
        self._frame.expire()
        ranks = sum(len(job.ranks) for job in self._frame.jobs.values())
        return self._frame if ranks >= LEAST_RANKS else None
