"""One scenario through the analyzer as the service runs it: columns into a `Watch`, judged at each scrape."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
from detection_parts.baseline import Baseline

from warpgauge.analyzer.detectors import DETECTORS
from warpgauge.analyzer.frame.samples import HOLD_INTERVALS
from warpgauge.analyzer.service.watch import Watch
from warpgauge.core.catalog import ALL
from warpgauge.core.clock import ManualClock
from warpgauge.core.config import AnalyzerConfig
from warpgauge.core.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from detection_parts.recording import Recording, Told

    from warpgauge.analyzer.detection import Detector
    from warpgauge.analyzer.frame import Frame
    from warpgauge.core.finding import Finding, Incident
    from warpgauge.exporters.synthetic.scenario import Scenario

__all__ = ["Outcome", "Page", "watched"]

_UNASKED: Final = -9
_METRICS: Final = {metric.name: metric for metric in ALL}
_Told = TypeVar("_Told", "Finding", "Incident")


@dataclass(frozen=True, slots=True, kw_only=True)
class Page:
    """A finding, mostly one above information, told once: where, since when, how sure."""

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
    hints: list[Page] = field(default_factory=list)  # findings that are information
    unattributed: list[Page] = field(default_factory=list)  # incidents without a cause


async def watched(
    recording: Recording,
    scenario: Scenario,
    true_of_jobs: Iterable[tuple[str, str]] = (),
    *,
    detectors: Sequence[Detector] = DETECTORS,
) -> Outcome:
    """Show a recorded scenario to the analyzer."""
    clock = ManualClock(seconds=scenario.start)
    watch = Watch(AnalyzerConfig(), clock, detectors)
    outcome = Outcome(
        name=scenario.name,
        truth={},
        true_of_jobs=frozenset(true_of_jobs),
        scrape_seconds=scenario.scrape_seconds,
        device_days=scenario.fleet.nodes * scenario.fleet.devices_per_node * scenario.duration_seconds / 86_400.0,
    )
    feed = _Feed(recording, scenario.scrape_seconds)
    baseline = Baseline()
    seen: set[str] = set()
    hinted: set[str] = set()
    try:
        for now, told in recording.rounds:
            clock.seconds = now
            await watch.ask(lambda frame, told=told: feed.take(frame, told))  # type: ignore[misc]
            result = await watch.judge({})
            await watch.accept(result)
            outcome.pages += [_page(one, now) for one in _new(_urgent(result.findings), seen)]
            outcome.hints += [_page(one, now) for one in _new(_calm(result.findings), hinted)]
            outcome.unattributed += [_incident(one, now) for one in _new(_causeless(result.incidents), hinted)]
            if baseline.is_due(now):
                fired = await watch.ask(baseline.look)
                outcome.baseline += [Page(kind=a, scope=b, told=now, confidence=1.0) for a, b in fired]
    finally:
        watch.close()
    outcome.truth = recording.truth
    return outcome


def _urgent(findings: Iterable[Finding]) -> list[Finding]:
    return [one for one in findings if one.severity is not Severity.INFO]


def _calm(findings: Iterable[Finding]) -> list[Finding]:
    return [one for one in findings if one.severity is Severity.INFO]


def _causeless(incidents: Iterable[Incident]) -> list[Incident]:
    return [one for one in incidents if one.root_cause is None]


def _new(told: Sequence[_Told], seen: set[str]) -> list[_Told]:
    fresh = [one for one in told if one.id not in seen]
    seen |= {one.id for one in fresh}
    return fresh


def _incident(incident: Incident, now: float) -> Page:
    scope = incident.to_json()["scope"]
    return Page(kind="incident", scope=scope, told=now, confidence=1.0, summary=incident.summary)


def _page(finding: Finding, now: float) -> Page:
    scope = finding.to_json()["scope"]
    return Page(kind=finding.kind.value, scope=scope, told=now, confidence=finding.confidence, summary=finding.summary)


class _Feed:
    """Ids of the series in the frame, asked for as each is first told."""

    def __init__(self, recording: Recording, scrape_seconds: float) -> None:
        self._recording = recording
        self._first = np.full(len(recording.channels), _UNASKED, dtype=np.int64)  # of a histogram its sum
        self._second = self._first.copy()  # of a histogram its count
        self._generation = 0
        self._known: set[int] = set()  # pages all of whose series were asked for
        self._hold_seconds = HOLD_INTERVALS * scrape_seconds

    def take(self, frame: Frame, told: list[Told]) -> None:
        """Bring a round of scrapes into the frame."""
        if frame.generation != self._generation:
            self._generation = frame.generation
            self._first[:] = _UNASKED
            self._known.clear()
        parts = [part for scrape in told for part in self._of_scrape(frame, scrape)]
        if not parts:
            return
        ids, times, values = (np.concatenate(columns) for columns in zip(*parts, strict=True))
        order = np.argsort(ids, kind="stable")
        frame.ingest(ids[order], times[order], values[order], hold_seconds=self._hold_seconds)

    def _of_scrape(self, frame: Frame, scrape: Told) -> Iterable[tuple[Any, Any, Any]]:
        page = self._recording.pages[scrape.page]
        if scrape.page not in self._known:
            self._known.add(scrape.page)
            of_histogram = np.isin(page.numbers, page.numbers[page.histograms])
            for number, is_histogram in zip(page.numbers, of_histogram, strict=True):
                if self._first[number] == _UNASKED:
                    self._ask(frame, int(number), is_histogram=bool(is_histogram))
        stamp = round(scrape.time * 1000)
        first, second = self._first[page.numbers], self._second[page.numbers[page.histograms]]
        yield first, np.full(len(first), stamp, dtype=np.int64), scrape.values
        yield second, np.full(len(second), stamp, dtype=np.int64), scrape.counts

    def _ask(self, frame: Frame, number: int, *, is_histogram: bool) -> None:
        node, name, values = self._recording.channels[number]
        metric = _METRICS[name]
        labels = dict(zip(metric.labels, values, strict=True))
        labels |= {"cluster": self._recording.cluster, "node": node}
        if is_histogram:
            ids = [frame.series_id(metric, labels, part=part, origin=node) for part in ("sum", "count")]
            self._first[number], self._second[number] = ids
        else:
            self._first[number] = frame.series_id(metric, labels, origin=node)
