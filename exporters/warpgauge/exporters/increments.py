"""What a histogram gained since it was last told: a child may die, so the sums themselves are kept by its parent."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from typing import TYPE_CHECKING, Protocol, overload, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warpgauge.core.catalog import Metric
    from warpgauge.core.device import Device
    from warpgauge.core.fine_buckets import FineCounts

__all__ = ["Accumulating", "Bookmark", "Gains", "Increment", "buckets_of"]

Bookmark = Mapping[str, tuple[float, ...]]
"""Where the next process is to go on, by name; only the collector that wrote it knows what the numbers mean."""


def buckets_of(metric: Metric) -> int:
    """How many buckets a histogram has, that above the last bound included."""
    return len(metric.buckets) + 1


@dataclass(frozen=True, slots=True)
class Increment:
    """What one histogram of a device gained.

    `labels` are those after the device's identity; `counts` are per bucket, not cumulative, with what lies above the
    last bound at the end.
    """

    metric: Metric
    labels: tuple[str, ...]
    counts: tuple[int, ...]
    sum: float
    fine: FineCounts = ()  # the same in narrower buckets, where they are kept


class Gains(Sequence[Increment]):
    """What some histograms gained, as numbers until somebody looks: a scrape does, which is seldom.

    In a second a histogram gains something in a few of its buckets, and many gain nothing. So `places` names only those
    that gained, counted through the buckets of all histograms, each at most once; `counts` is what each of them gained,
    `sums` the sum of each histogram. `fine` is empty, or narrower buckets of each.
    """

    __slots__ = ("counts", "fine", "labels", "metrics", "places", "sums")

    def __init__(  # noqa: PLR0913, PLR0917 - its columns, in their order
        self,
        metrics: Sequence[Metric],
        labels: Sequence[tuple[str, ...]],
        places: Sequence[int],
        counts: Sequence[int],
        sums: Sequence[float],
        fine: Sequence[FineCounts] = (),
    ) -> None:
        self.metrics = metrics
        self.labels = labels
        self.places = places
        self.counts = counts
        self.sums = sums
        self.fine = fine

    @classmethod
    def of(cls, increments: Sequence[Increment]) -> Gains:
        """The same gains in columns."""
        if isinstance(increments, Gains):
            return increments
        metrics, labels = [gain.metric for gain in increments], [gain.labels for gain in increments]
        buckets = [count for gain in increments for count in gain.counts]
        places = [place for place, count in enumerate(buckets) if count]
        fine = [gain.fine for gain in increments] if any(gain.fine for gain in increments) else []
        return cls(metrics, labels, places, [buckets[place] for place in places], [it.sum for it in increments], fine)

    def __len__(self) -> int:
        """How many histograms."""
        return len(self.metrics)

    def __iter__(self) -> Iterator[Increment]:
        """Make each of them."""
        ends = [*accumulate((buckets_of(metric) for metric in self.metrics), initial=0)]
        dense = [0] * ends[-1]
        for place, count in zip(self.places, self.counts, strict=True):
            dense[place] = count
        counts = [tuple(dense[first:last]) for first, last in pairwise(ends)]
        return map(Increment, self.metrics, self.labels, counts, self.sums, self.fine or [()] * len(self))

    @overload
    def __getitem__(self, at: int) -> Increment: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Increment, ...]: ...
    def __getitem__(self, at: int | slice) -> Increment | tuple[Increment, ...]:
        """One of them, or some."""
        return tuple(self)[at]

    def __eq__(self, other: object) -> bool:
        """Whether another sequence has the same gains."""
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # as a list


@runtime_checkable
class Accumulating(Protocol):
    """A collector for a child process whose histograms outlive that process."""

    def resume(self, bookmarks: Mapping[str, Bookmark]) -> None:
        """Go on from here, by device uuid; called before a device is opened."""

    def gained(self, device: Device) -> tuple[Sequence[Increment], Bookmark]:
        """What a device's histograms gained since this was last asked, and where to go on if this is the last word."""
