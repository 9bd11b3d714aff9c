"""The agent's metrics about itself: counters, gauges and histograms that live as long as the agent."""

from __future__ import annotations

import platform
from bisect import bisect_left
from itertools import accumulate
from typing import TYPE_CHECKING

from warpgauge.core.catalog import own
from warpgauge.core.exposition import FamilyRenderer, FamilyText
from warpgauge.core.sample import Histogram, Sample
from warpgauge.core.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Container, Iterable, Iterator, Mapping

    from warpgauge.core.catalog import Metric
    from warpgauge.exporters.calls import Portion

__all__ = ["Tally"]


class Tally:
    """Counts what the agent does. Used from the event loop only."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, tuple[str, ...]], tuple[Metric, float]] = {}
        self._durations: dict[tuple[str, tuple[str, ...]], tuple[Metric, list[int], float]] = {}
        self._renderers: dict[str, FamilyRenderer] = {}
        self._lines: dict[str, Mapping[Metric, FamilyText]] = {}  # of families that did not change since
        self.put(own.AGENT_INFO, VERSION, platform.python_version(), value=1.0)

    def count(self, metric: Metric, *labels: str, by: float = 1.0) -> None:
        """Add to a counter."""
        _, before = self._numbers.get((metric.name, labels), (metric, 0.0))
        self.put(metric, *labels, value=before + by)

    def put(self, metric: Metric, *labels: str, value: float) -> None:
        """Set a gauge."""
        if self._numbers.get((metric.name, labels)) != (metric, value):
            self._numbers[metric.name, labels] = (metric, value)
            self._lines.pop(metric.name, None)

    def remove(self, metric: Metric, *labels: str) -> None:
        """Take a series away."""
        self._numbers.pop((metric.name, labels), None)
        self._lines.pop(metric.name, None)

    def observe(self, metric: Metric, *labels: str, seconds: float) -> None:
        """Add one duration to a histogram."""
        counts = [0] * (len(metric.buckets) + 1)
        counts[bisect_left(metric.buckets, seconds)] = 1
        self._add(metric, labels, counts, seconds)

    def add_calls(self, collector: str, portion: Portion) -> None:
        """Add the driver calls that a child counted; a portion of another shape is not counted."""
        for function, (counts, seconds) in portion.items():
            if len(counts) == len(own.CALL_SECONDS.buckets) + 1:
                self._add(own.CALL_SECONDS, (collector, function), counts, seconds)

    def freshen(self) -> Iterator[None]:
        """Render the families that changed, one at a time; most buckets rarely do."""
        changed: dict[str, list[Sample]] = {}
        for sample in self._samples(kept=self._lines.keys()):
            changed.setdefault(sample.metric.name, []).append(sample)
        for name, samples in changed.items():
            self._lines[name] = self._renderers.setdefault(name, FamilyRenderer()).render(samples)
            yield

    def families(self) -> list[Mapping[Metric, FamilyText]]:
        """Lines of every family."""
        for _ in self.freshen():
            pass
        return list(self._lines.values())

    def samples(self) -> Iterable[Sample]:
        """Every series as it stands."""
        return self._samples(kept=())

    def _samples(self, *, kept: Container[str]) -> Iterable[Sample]:
        for (name, labels), (metric, value) in self._numbers.items():
            if name not in kept:
                yield Sample(metric, labels, value)
        for (name, labels), (metric, counts, total) in self._durations.items():
            if name not in kept:
                yield Sample(metric, labels, Histogram(tuple(accumulate(counts)), total))

    def _add(self, metric: Metric, labels: tuple[str, ...], counts: list[int], seconds: float) -> None:
        _, before, total = self._durations.get((metric.name, labels), (metric, [0] * len(counts), 0.0))
        summed = [old + new for old, new in zip(before, counts, strict=True)]
        self._durations[metric.name, labels] = (metric, summed, total + seconds)
        self._lines.pop(metric.name, None)
