"""Time spent at values, gathered for each histogram until it is told."""

from __future__ import annotations

from bisect import bisect_left
from collections import defaultdict
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from warpgauge.core.fine_buckets import bucket_of
from warpgauge.exporters.increments import Gains, buckets_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from warpgauge.core.catalog import Metric
    from warpgauge.core.fine_buckets import FineCounts
    from warpgauge.exporters.collectors.sample_time import Span

__all__ = ["Telling", "TimeGain"]


class TimeGain:
    """What one histogram gained and was not told yet."""

    def __init__(self, metric: Metric, labels: tuple[str, ...]) -> None:
        self.metric = metric
        self.labels = labels
        self.is_fine = True  # whether narrower buckets are kept: half of the work, which most have no use for
        self._counts: defaultdict[int, int] = defaultdict(int)  # milliseconds by bucket
        self._fine: dict[int, int] = {}
        self._sum = 0.0

    def add(self, spans: Sequence[Span]) -> None:
        """Count values in the metric's unit, each with its milliseconds."""
        counts, bounds, total = self._counts, self.metric.buckets, self._sum
        for value, milliseconds in spans:
            counts[bisect_left(bounds, value)] += milliseconds
            total += value * milliseconds
        self._sum = total
        if self.is_fine:
            for value, milliseconds in spans:
                if milliseconds:
                    fine = bucket_of(value)
                    self._fine[fine] = self._fine.get(fine, 0) + milliseconds

    def take(self) -> tuple[Mapping[int, int], float, FineCounts]:
        """All that was counted since this was last asked: milliseconds by bucket, the sum, and narrower buckets."""
        if not self._counts:
            return _NOTHING
        counts, total, fine = self._counts, self._sum, self._fine
        self._counts, self._sum, self._fine = defaultdict(int), 0.0, {}
        return counts, total, tuple(sorted(fine.items())) if fine else ()


_NOTHING: Final[tuple[Mapping[int, int], float, FineCounts]] = ({}, 0.0, ())


class Telling:
    """Tells what the histograms of one device gained, always all of them: nothing is a gain too.

    Series that come and go would be said by their names again and again, so columns of names stay until there are more.
    """

    def __init__(self) -> None:
        self._metrics: list[Metric] = []
        self._labels: list[tuple[str, ...]] = []
        self._firsts: list[int] = []  # the place of each one's first bucket

    def gains(self, all_of_them: Sequence[TimeGain]) -> Gains:
        """What they gained since this was last asked; none of them ever leaves."""
        if len(all_of_them) != len(self._metrics):
            self._metrics = [gain.metric for gain in all_of_them]
            self._labels = [gain.labels for gain in all_of_them]
            self._firsts = [*accumulate(map(buckets_of, self._metrics), initial=0)][:-1]
        places: list[int] = []
        counts: list[int] = []
        sums: list[float] = []
        fine: list[FineCounts] = []
        for first, gain in zip(self._firsts, all_of_them, strict=True):
            gained, total, narrow = gain.take()
            places += [first + bucket for bucket in gained]
            counts += gained.values()
            sums.append(total)
            fine.append(narrow)
        return Gains(self._metrics, self._labels, places, counts, sums, fine if any(fine) else ())
