"""How long driver calls take: a histogram of our own, taken away in portions."""

from __future__ import annotations

from bisect import bisect_left
from collections import deque
from threading import Lock
from typing import Final

from warpgauge.core.catalog import own

__all__ = ["CallTimes", "Portion"]

_BOUNDS: Final = own.CALL_SECONDS.buckets
_MOST_PENDING: Final = 512  # calls; counted together, for a call that is counted by itself costs three times as much

Portion = dict[str, tuple[list[int], float]]
"""Function -> calls per bucket (not cumulative, above the last bound at the end) and the sum of seconds."""


class CallTimes:
    """Durations by function. The lock guards `_portion` and who empties `_pending`; to append to that takes none."""

    def __init__(self) -> None:
        self._pending: deque[tuple[str, float]] = deque()
        self._portion: Portion = {}
        self._lock = Lock()

    def add(self, function: str, seconds: float) -> None:
        """Count one call."""
        self._pending.append((function, seconds))
        if len(self._pending) >= _MOST_PENDING:
            with self._lock:
                self._count()

    def take(self) -> Portion:
        """What was counted since the last take."""
        with self._lock:
            self._count()
            portion, self._portion = self._portion, {}
        return portion

    def _count(self) -> None:
        for _ in range(len(self._pending)):
            function, seconds = self._pending.popleft()
            counts, total = self._portion.get(function) or ([0] * (len(_BOUNDS) + 1), 0.0)
            counts[bisect_left(_BOUNDS, seconds)] += 1
            self._portion[function] = (counts, total + seconds)
