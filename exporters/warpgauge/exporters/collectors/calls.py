"""How long driver calls take: a histogram of our own, taken away in portions."""

from __future__ import annotations

from bisect import bisect_left
from threading import Lock
from typing import Final

from warpgauge.core.catalog import own

__all__ = ["CallTimes", "Portion"]

_BOUNDS: Final = own.CALL_SECONDS.buckets

Portion = dict[str, tuple[list[int], float]]
"""Function -> calls per bucket (not cumulative, above the last bound at the end) and the sum of seconds."""


class CallTimes:
    """Durations by function. The lock guards `_portion`: readers of several devices add, one owner takes."""

    def __init__(self) -> None:
        self._portion: Portion = {}
        self._lock = Lock()

    def add(self, function: str, seconds: float) -> None:
        """Count one call."""
        bucket = bisect_left(_BOUNDS, seconds)
        with self._lock:
            counts, total = self._portion.get(function) or ([0] * (len(_BOUNDS) + 1), 0.0)
            counts[bucket] += 1
            self._portion[function] = (counts, total + seconds)

    def take(self) -> Portion:
        """What was counted since the last take."""
        with self._lock:
            portion, self._portion = self._portion, {}
        return portion
