"""One scenario through the analyzer as the service runs it: samples as columns into a `Watch`, judged at each scrape."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import numpy as np
from detection_parts.baseline import Baseline

from warpgauge.analyzer.detectors import DETECTORS
from warpgauge.analyzer.schema import PLACES
from warpgauge.analyzer.watch import Watch
from warpgauge.core.catalog import Kind
from warpgauge.core.clock import ManualClock
from warpgauge.core.config import AnalyzerConfig
from warpgauge.core.finding import Severity
from warpgauge.core.sample import Histogram
from warpgauge.exporters.synthetic.scenario import Telemetry, World

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from warpgauge.analyzer.frame import Frame
    from warpgauge.core.catalog import Metric
    from warpgauge.core.finding import Finding
    from warpgauge.exporters.synthetic.scenario import Scenario, Scrape

__all__ = ["Outcome", "Page", "play"]

_HOLD_INTERVALS: Final = 2.5  # as the sources of the service have it
_UNASKED: Final = -9


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A finding above information, told once: where, since when, how sure."""

    kind: str
    scope: Mapping[str, Any]
    told: float  # seconds since the epoch
    confidence: float
    summary: str = ""


@dataclass(slots=True, kw_only=True)
class Outcome:
    """What was true of a scenario and what was said about it."""

    name: str
    truth: dict[str, Any]
    true_of_jobs: frozenset[tuple[str, str]]
    scrape_seconds: float
    device_days: float
    pages: list[Page] = field(default_factory=list)
    baseline: list[Page] = field(default_factory=list)


async def play(scenario: Scenario, true_of_jobs: Iterable[tuple[str, str]] = ()) -> Outcome:
    """Live a scenario under watch."""
    world = World(scenario)
    telemetry = Telemetry(world, _is_read)
    clock = ManualClock(seconds=scenario.start)
    watch = Watch(AnalyzerConfig(), clock, DETECTORS)
    outcome = Outcome(
        name=scenario.name,
        truth=world.truth(),
        true_of_jobs=frozenset(true_of_jobs),
        scrape_seconds=scenario.scrape_seconds,
        device_days=scenario.fleet.nodes * scenario.fleet.devices_per_node * scenario.duration_seconds / 86_400.0,
    )
    feed = _Feed(world.cluster, len(telemetry.channels), scenario.scrape_seconds)
    baseline = Baseline(scenario.scrape_seconds)
    seen: set[str] = set()
    try:
        for scrapes in telemetry.scrapes():
            clock.seconds = world.time
            await watch.ask(lambda frame, scrapes=scrapes: feed.take(frame, scrapes))  # type: ignore[misc]
            result = await watch.judge({})
            await watch.accept(result)
            outcome.pages += [_page(one, world.time) for one in _new(result.findings, seen)]
            outcome.baseline += [
                Page(kind=kind, scope=scope, told=world.time, confidence=1.0)
                for kind, scope in await watch.ask(baseline.look)
            ]
    finally:
        watch.close()
    return outcome


def _is_read(metric: Metric) -> bool:
    return metric.name in PLACES or metric.kind is Kind.INFO


def _new(findings: Iterable[Finding], seen: set[str]) -> list[Finding]:
    fresh = [one for one in findings if one.severity is not Severity.INFO and one.id not in seen]
    seen |= {one.id for one in fresh}
    return fresh


def _page(finding: Finding, now: float) -> Page:
    scope = finding.to_json()["scope"]
    return Page(
        kind=finding.kind.value, scope=scope, told=now, confidence=finding.confidence, summary=finding.summary
    )


class _Feed:
    """Ids of the series in the frame, asked for as each is first told."""

    def __init__(self, cluster: str, channels: int, scrape_seconds: float) -> None:
        self._cluster = cluster
        self._first = np.full(channels, _UNASKED, dtype=np.int64)
        self._second = np.full(channels, _UNASKED, dtype=np.int64)
        self._generation = 0
        self._hold_seconds = _HOLD_INTERVALS * scrape_seconds

    def take(self, frame: Frame, scrapes: list[Scrape]) -> None:
        """Bring a round of scrapes into the frame."""
        if frame.generation != self._generation:
            self._generation = frame.generation
            self._first[:] = _UNASKED
        parts = [part for scrape in scrapes for part in self._of_scrape(frame, scrape)]
        if not parts:
            return
        ids, times, values = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        order = np.argsort(ids, kind="stable")
        frame.ingest(ids[order], times[order], values[order], hold_seconds=self._hold_seconds)

    def _of_scrape(self, frame: Frame, scrape: Scrape) -> Iterable[tuple[Any, Any, Any]]:
        numbers = np.array([channel.number for channel in scrape.channels], dtype=np.int64)
        for at in np.flatnonzero(self._first[numbers] == _UNASKED):
            self._ask(frame, scrape, int(at))
        is_histogram = self._second[numbers] != _UNASKED
        counts = [value.counts[-1] if isinstance(value, Histogram) else 0.0 for value in scrape.values]
        values = [value.sum if isinstance(value, Histogram) else value for value in scrape.values]
        stamp = round(scrape.time * 1000)
        for ids, column in ((self._first[numbers], values), (self._second[numbers][is_histogram], None)):
            chosen = np.array(counts)[is_histogram] if column is None else np.array(column)
            yield ids, np.full(len(ids), stamp, dtype=np.int64), chosen

    def _ask(self, frame: Frame, scrape: Scrape, at: int) -> None:
        channel = scrape.channels[at]
        metric = channel.series.metric
        labels = dict(zip(metric.labels, channel.series.labels, strict=True))
        labels |= {"cluster": self._cluster, "node": scrape.node}
        if isinstance(scrape.values[at], Histogram):
            ids = [frame.series_id(metric, labels, part=part, origin=scrape.node) for part in ("sum", "count")]
            self._first[channel.number], self._second[channel.number] = ids
        else:
            self._first[channel.number] = frame.series_id(metric, labels, origin=scrape.node)
