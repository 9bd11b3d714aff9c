"""What a histogram gained since it was last told: a child may die, so the sums themselves are kept by its parent."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import accumulate, pairwise
from operator import add
from typing import TYPE_CHECKING, Protocol, overload, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from warpgauge.core.catalog import Metric
    from warpgauge.core.device import Device
    from warpgauge.core.fine_buckets import FineCounts

__all__ = ["Accumulating", "Bookmark", "Gains", "Increment"]

Bookmark = dict[str, tuple[float, ...]]
"""Where the next process is to go on, by name; only the collector that wrote it knows what the numbers mean."""


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

    `numbers` are the counts of each in turn, then the sum of each. `fine` is empty, or narrower buckets of each.
    """

    __slots__ = ("fine", "labels", "metrics", "numbers")

    def __init__(
        self,
        metrics: Sequence[Metric],
        labels: Sequence[tuple[str, ...]],
        numbers: Sequence[float],
        fine: Sequence[FineCounts] = (),
    ) -> None:
        self.metrics = metrics
        self.labels = labels
        self.numbers = numbers
        self.fine = fine

    def plus(self, more: Gains) -> Gains | None:
        """Both together; None if they are not of the same series, as known from the same columns."""
        if self.metrics is not more.metrics or self.labels is not more.labels or self.fine or more.fine:
            return None
        return Gains(self.metrics, self.labels, list(map(add, self.numbers, more.numbers)))

    def __len__(self) -> int:
        """How many histograms."""
        return len(self.metrics)

    def __iter__(self) -> Iterator[Increment]:
        """Make each of them."""
        places = pairwise(accumulate((len(metric.buckets) + 1 for metric in self.metrics), initial=0))
        counts = [tuple(map(int, self.numbers[first:last])) for first, last in places]
        sums = self.numbers[sum(map(len, counts)) :]
        return map(Increment, self.metrics, self.labels, counts, sums, self.fine or [()] * len(self))

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

    def gained(self, device: Device) -> tuple[list[Increment], Bookmark]:
        """What a device's histograms gained since this was last asked, and where to go on if this is the last word."""
