"""How long a device was how active: histograms of time over GPM's means between two readings.

A mean of a second says nothing of what happened within it, but between two scrapes it leaves nothing out: sum and count
give the true mean of any stretch of time, however seldom anybody scrapes.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import detail, device
from warpgauge.exporters.collectors.sample_time import LONGEST_GAP_SECONDS
from warpgauge.exporters.collectors.time_gain import TimeGain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from warpgauge.exporters.collectors.nvml_getters import Reading
    from warpgauge.exporters.increments import Bookmark

__all__ = ["ACTIVITIES", "ActivityTime"]

ACTIVITIES: Final[Mapping[tuple[str, tuple[str, ...]], str]] = {
    (device.COMPUTE_ACTIVE.name, ()): "compute",
    (device.MEMORY_BANDWIDTH_ACTIVE.name, ()): "memory_bandwidth",
    **{(device.PIPE_ACTIVE.name, (pipe,)): pipe for pipe in ("tensor", "fp64", "fp32", "fp16")},
}
"""Name and labels of a reading, and what the histogram calls it."""

_BOOKMARK: Final = "activity"
_ALWAYS: Final = frozenset({"compute", "memory_bandwidth"})  # a pipe only once it worked: most never do


class ActivityTime:
    """What the histograms of one device gained since they were last told."""

    def __init__(self, bookmark: Bookmark | None = None) -> None:
        """A bookmark of another process lets the account go on: the monotonic clock is the same for all."""
        self._gains: dict[str, TimeGain] = {}
        self.is_fine = True  # whether narrower buckets are kept for those who push them
        self._wanted = set(_ALWAYS)
        self._all = 0  # milliseconds that this process counted
        self._counted = ((bookmark or {}).get(_BOOKMARK) or (None,))[0]  # until when; None: since the next sample

    def add(self, readings: Iterable[Reading], since: float, now: float) -> None:
        """Count means of the time between two moments in monotonic seconds.

        What lies between the last time and this one, up to a minute, goes to these means: a missed tick, the pause
        between two children. Time is counted in the whole milliseconds between the moments' own, so that none is lost
        or counted twice.
        """
        begun = since if self._counted is None or now - self._counted > LONGEST_GAP_SECONDS else self._counted
        self._counted = now
        milliseconds = int(now * 1000) - int(begun * 1000)
        if now - begun > LONGEST_GAP_SECONDS:
            return
        for metric, labels, value in readings:
            activity = ACTIVITIES.get((metric.name, labels))
            if activity is not None and (value or activity in self._wanted):
                idle = 0 if activity in self._wanted else self._all  # of a pipe that works for the first time
                self._wanted.add(activity)
                if activity not in self._gains:
                    self._gains[activity] = TimeGain(detail.ACTIVITY_DISTRIBUTION, (activity,))
                self._gains[activity].is_fine = self.is_fine
                self._gains[activity].add([(0.0, idle), (value, milliseconds)] if idle else [(value, milliseconds)])
        self._all += milliseconds

    def pause(self) -> None:
        """Nobody knows what is until the next sample."""
        self._counted = None

    @property
    def bookmark(self) -> Bookmark:
        """Until when time was counted."""
        return {} if self._counted is None else {_BOOKMARK: (self._counted,)}

    @property
    def gains(self) -> Iterable[TimeGain]:
        """What each histogram gained, ever more of them."""
        return self._gains.values()
