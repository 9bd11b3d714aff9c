"""One scenario through the analyzer as the service runs it: columns into a `Watch`, judged at each scrape."""

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
    from warpgauge.exporters.synthetic.scenario import Channel, Scenario, Scrape

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
    baseline = Baseline()
    seen: set[str] = set()
    try:
        for scrapes in telemetry.scrapes():
            clock.seconds = world.time
            await watch.ask(lambda frame, scrapes=scrapes: feed.take(frame, scrapes))  # type: ignore[misc]
            result = await watch.judge({})
            await watch.accept(result)
            outcome.pages += [_page(one, world.time) for one in _new(result.findings, seen)]
            if baseline.is_due(world.time):
                told = await watch.ask(baseline.look)
                outcome.baseline += [Page(kind=a, scope=b, told=world.time, confidence=1.0) for a, b in told]
    finally:
        watch.close()
    outcome.truth = world.truth()  # what was felt of some faults is known by now
    return outcome


def _is_read(metric: Metric) -> bool:
    return metric.name in PLACES or metric.kind is Kind.INFO


def _new(findings: Iterable[Finding], seen: set[str]) -> list[Finding]:
    fresh = [one for one in findings if one.severity is not Severity.INFO and one.id not in seen]
    seen |= {one.id for one in fresh}
    return fresh


def _page(finding: Finding, now: float) -> Page:
    scope = finding.to_json()["scope"]
    return Page(kind=finding.kind.value, scope=scope, told=now, confidence=finding.confidence, summary=finding.summary)


@dataclass(frozen=True, slots=True)
class _Ids:
    """Ids in the frame of the series of a page; of a histogram those of sum and count."""

    channels: tuple[Channel, ...]  # kept, so that its identity stays taken
    first: np.ndarray[Any, np.dtype[np.int64]]
    second: np.ndarray[Any, np.dtype[np.int64]]
    histograms: list[int]


class _Feed:
    """Ids of the series in the frame, asked for as each is first told."""

    def __init__(self, cluster: str, channels: int, scrape_seconds: float) -> None:
        self._cluster = cluster
        self._first = np.full(channels, _UNASKED, dtype=np.int64)
        self._second = np.full(channels, _UNASKED, dtype=np.int64)
        self._generation = 0
        self._known: dict[int, _Ids] = {}
        self._hold_seconds = _HOLD_INTERVALS * scrape_seconds

    def take(self, frame: Frame, scrapes: list[Scrape]) -> None:
        """Bring a round of scrapes into the frame."""
        if frame.generation != self._generation:
            self._generation = frame.generation
            self._first[:] = _UNASKED
            self._known.clear()
        parts = [part for scrape in scrapes for part in self._of_scrape(frame, scrape)]
        if not parts:
            return
        ids, times, values = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        order = np.argsort(ids, kind="stable")
        frame.ingest(ids[order], times[order], values[order], hold_seconds=self._hold_seconds)

    def _of_scrape(self, frame: Frame, scrape: Scrape) -> Iterable[tuple[Any, Any, Any]]:
        ids = self._known.get(id(scrape.channels)) or self._look_up(frame, scrape)
        counts = [scrape.values[at].counts[-1] for at in ids.histograms]  # type: ignore[union-attr]
        for at in ids.histograms:
            scrape.values[at] = scrape.values[at].sum  # type: ignore[union-attr]
        stamp = round(scrape.time * 1000)
        yield ids.first, np.full(len(ids.first), stamp, dtype=np.int64), np.array(scrape.values)
        yield ids.second, np.full(len(ids.second), stamp, dtype=np.int64), np.array(counts, dtype=np.float64)

    def _look_up(self, frame: Frame, scrape: Scrape) -> _Ids:
        numbers = np.array([channel.number for channel in scrape.channels], dtype=np.int64)
        for at in np.flatnonzero(self._first[numbers] == _UNASKED):
            self._ask(frame, scrape, int(at))
        histograms = [at for at, value in enumerate(scrape.values) if isinstance(value, Histogram)]
        found = _Ids(scrape.channels, self._first[numbers], self._second[numbers[histograms]], histograms)
        self._known[id(scrape.channels)] = found
        return found

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
