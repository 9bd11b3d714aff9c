"""What a histogram gained since it was last told: a child may die, so the sums themselves are kept by its parent."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.core.catalog import Metric
    from warpgauge.core.device import Device
    from warpgauge.core.fine_buckets import FineCounts

__all__ = ["Accumulating", "Bookmark", "Increment"]

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


@runtime_checkable
class Accumulating(Protocol):
    """A collector for a child process whose histograms outlive that process."""

    def resume(self, bookmarks: Mapping[str, Bookmark]) -> None:
        """Go on from here, by device uuid; called before a device is opened."""

    def gained(self, device: Device) -> tuple[list[Increment], Bookmark]:
        """What a device's histograms gained since this was last asked, and where to go on if this is the last word."""
