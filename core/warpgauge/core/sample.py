"""A reading, or the reason why there is none."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.core.catalog.metric import Metric
    from warpgauge.core.fine_buckets import FineCounts

__all__ = ["Histogram", "ReadError", "Sample", "Snapshot", "Unavailable", "Value"]


@dataclass(frozen=True, slots=True)
class Unavailable:
    """There is no value, and why: `Unavailable("nvml: Not Supported")`. Never rendered as 0."""

    reason: str


@dataclass(frozen=True, slots=True)
class Histogram:
    """Cumulative counts per upper bound (the metric's `buckets`, +Inf last) and the sum of all observations."""

    counts: tuple[int, ...]
    sum: float
    fine: FineCounts = ()  # the same observations in narrower buckets, where the source kept them


Value = float | Histogram | Unavailable


@dataclass(frozen=True, slots=True)
class Sample:
    """One value of one series; `labels` are values in the order of `metric.labels`, for a part of a device one more."""

    metric: Metric
    labels: tuple[str, ...]
    value: Value

    def label(self, name: str) -> str | None:
        """Value of one label, or None when the metric does not carry it."""
        names = self.metric.label_names(self.labels)
        return self.labels[names.index(name)] if name in names else None

    @property
    def device(self) -> str | None:
        """UUID of the device this sample is about, None for the host and for ourselves."""
        return self.label("uuid")


@dataclass(frozen=True, slots=True)
class ReadError:
    """One thing that could not be read; costs its own samples and nothing else."""

    reason: str  # a short stable word for a label: lost, hung, permission, timeout, unsupported, crashed
    detail: str  # the driver's own words, for the log
    device: str | None = None  # UUID


@dataclass(frozen=True, slots=True, kw_only=True)
class Snapshot:
    """All samples of one collector at one time, how long it took and what failed."""

    collector: str
    time: float  # seconds since the epoch
    duration_seconds: float
    samples: Sequence[Sample]
    errors: tuple[ReadError, ...] = field(default=())
