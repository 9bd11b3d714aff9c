"""A reading, or the reason why there is none."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import chain
from operator import attrgetter
from typing import TYPE_CHECKING, Final, overload

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from warpgauge.core.catalog.metric import Metric
    from warpgauge.core.fine_buckets import FineCounts

__all__ = ["Histogram", "ReadError", "Sample", "Samples", "Unavailable", "Value"]


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


_METRIC: Final = attrgetter("metric")
_LABELS: Final = attrgetter("labels")
_VALUE: Final = attrgetter("value")
_COLUMNS: Final = tuple(map(attrgetter, ("metrics", "labels", "values")))


class Samples(Sequence[Sample]):
    """Samples in three columns of one length, which nobody changes; each is made when somebody looks at it.

    Most are never looked at: a device says some hundred numbers each second, and is asked for them every 15 s.
    """

    __slots__ = ("labels", "metrics", "values")

    def __init__(self, metrics: Sequence[Metric], labels: Sequence[tuple[str, ...]], values: Sequence[Value]) -> None:
        self.metrics = metrics
        self.labels = labels
        self.values = values

    @classmethod
    def of(cls, samples: Iterable[Sample]) -> Samples:
        """The same samples in columns."""
        rows = samples if isinstance(samples, list | tuple) else list(samples)
        return cls(list(map(_METRIC, rows)), list(map(_LABELS, rows)), list(map(_VALUE, rows)))

    @classmethod
    def together(cls, parts: Iterable[Iterable[Sample]]) -> Samples:
        """Samples of several, one after the other."""
        columns = [part if isinstance(part, Samples) else cls.of(part) for part in parts]
        if len(columns) == 1:
            return columns[0]
        metrics, labels, values = ([*chain.from_iterable(map(column, columns))] for column in _COLUMNS)
        return cls(metrics, labels, values)

    def __len__(self) -> int:
        """How many."""
        return len(self.values)

    def __iter__(self) -> Iterator[Sample]:
        """Make each of them."""
        return map(Sample, self.metrics, self.labels, self.values)

    @overload
    def __getitem__(self, at: int) -> Sample: ...
    @overload
    def __getitem__(self, at: slice) -> tuple[Sample, ...]: ...
    def __getitem__(self, at: int | slice) -> Sample | tuple[Sample, ...]:
        """One of them, or some."""
        return tuple(self)[at]

    def __eq__(self, other: object) -> bool:
        """Whether another sequence has the same samples."""
        return isinstance(other, Sequence) and tuple(self) == tuple(other)

    __hash__ = None  # type: ignore[assignment]  # as a list


@dataclass(frozen=True, slots=True)
class ReadError:
    """One thing that could not be read; costs its own samples and nothing else."""

    reason: str  # a short stable word for a label: lost, hung, permission, timeout, unsupported, crashed
    detail: str  # the driver's own words, for the log
    device: str | None = None  # UUID
