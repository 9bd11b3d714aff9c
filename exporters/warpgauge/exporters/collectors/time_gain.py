"""Time spent at values, gathered for one histogram until it is told."""

from __future__ import annotations

from bisect import bisect_left
from typing import TYPE_CHECKING

from warpgauge.core.fine_buckets import bucket_of
from warpgauge.exporters.increments import Increment

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.core.catalog import Metric
    from warpgauge.exporters.collectors.sample_time import Span

__all__ = ["TimeGain"]


class TimeGain:
    """What one histogram gained and was not told yet."""

    def __init__(self, metric: Metric, labels: tuple[str, ...]) -> None:
        self._metric = metric
        self._labels = labels
        self.is_fine = True  # whether narrower buckets are kept: half of the work, which most have no use for
        self._counts = [0] * (len(metric.buckets) + 1)
        self._fine: dict[int, int] = {}
        self._sum = 0.0
        self._nothing: Increment | None = None  # what is told until something is counted again

    def add(self, spans: Sequence[Span]) -> None:
        """Count values in the metric's unit, each with its milliseconds."""
        counts, bounds, total = self._counts, self._metric.buckets, self._sum
        for value, milliseconds in spans:
            counts[bisect_left(bounds, value)] += milliseconds
            total += value * milliseconds
        self._sum = total
        self._nothing = None
        if self.is_fine:
            for value, milliseconds in spans:
                if milliseconds:
                    fine = bucket_of(value)
                    self._fine[fine] = self._fine.get(fine, 0) + milliseconds

    def told(self) -> Increment:
        """All that was counted since this was last asked."""
        if self._nothing is not None:
            return self._nothing
        counts, total, fine = tuple(self._counts), self._sum, tuple(sorted(self._fine.items()))
        self._counts, self._sum, self._fine = [0] * len(counts), 0.0, {}
        self._nothing = Increment(self._metric, self._labels, tuple(self._counts), 0.0)
        return Increment(self._metric, self._labels, counts, total, fine)
