"""Time at values, as the agent's distributions count it: whole milliseconds per bucket, nothing lost in rounding."""

from __future__ import annotations

from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING

from warpgauge.core.sample import Histogram

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["TimeSpent"]


class TimeSpent:
    """One distribution; counts never fall."""

    def __init__(self, bounds: Sequence[float]) -> None:
        self._bounds = bounds
        self._counts = [0] * (len(bounds) + 1)
        self._sum = 0.0
        self._due = 0.0  # of a millisecond, from what came before

    def add(self, value: float, seconds: float) -> None:
        """Count that much time at a value."""
        self._due += seconds * 1000.0
        milliseconds = int(self._due)
        self._due -= milliseconds
        self._counts[bisect_left(self._bounds, value)] += milliseconds
        self._sum += value * milliseconds

    def histogram(self) -> Histogram:
        """As it stands on a page."""
        return Histogram(tuple(accumulate(self._counts)), self._sum)
