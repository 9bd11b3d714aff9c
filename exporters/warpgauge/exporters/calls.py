"""How long driver calls take: a histogram of our own, taken away in portions."""

from __future__ import annotations

from array import array
from bisect import bisect_left
from threading import Lock
from typing import Final

from warpgauge.core.catalog import own

__all__ = ["CallTimes", "Portion"]

_BOUNDS: Final = own.CALL_SECONDS.buckets
_MOST_PENDING: Final = (
    512  # calls of one function; counted together, for a call that is counted by itself costs three times as much
)

Portion = dict[str, tuple[list[int], float]]
"""Function -> calls per bucket (not cumulative, above the last bound at the end) and the sum of seconds."""


class CallTimes:
    """Durations by function. The lock guards `_portion` and who empties `_pending`; to append to that takes none.

    What waits is numbers in a row: an object for each would lie in memory that nothing else of a tick touches.
    """

    def __init__(self) -> None:
        self._pending: dict[str, array[float]] = {}
        self._portion: Portion = {}
        self._lock = Lock()

    def add(self, function: str, seconds: float) -> None:
        """Count one call."""
        pending = self._pending.get(function)
        if pending is None:
            pending = self._pending.setdefault(function, array("d"))
        pending.append(seconds)
        if len(pending) >= _MOST_PENDING:
            with self._lock:
                self._count(function, pending)

    def take(self) -> Portion:
        """What was counted since the last take."""
        with self._lock:
            for function, pending in list(self._pending.items()):
                self._count(function, pending)
            portion, self._portion = self._portion, {}
        return portion

    def _count(self, function: str, pending: array[float]) -> None:
        durations = pending[:]
        del pending[: len(durations)]  # what another thread appended meanwhile stays
        if not durations:
            return
        counts, total = self._portion.get(function) or ([0] * (len(_BOUNDS) + 1), 0.0)
        for seconds in durations:
            counts[bisect_left(_BOUNDS, seconds)] += 1
        self._portion[function] = (counts, total + sum(durations))
