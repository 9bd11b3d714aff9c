"""The analyzer about itself, as samples for its own /metrics."""

from __future__ import annotations

import sys
from bisect import bisect_left
from collections import Counter
from dataclasses import asdict
from itertools import accumulate
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.recommend.outbox import MAX_BYTES
from warpgauge.core.catalog import own
from warpgauge.core.finding import MutedBy, Severity
from warpgauge.core.sample import Histogram, Sample
from warpgauge.core.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from warpgauge.analyzer.history.writer import HistoryStats
    from warpgauge.analyzer.incidents.engine import Result
    from warpgauge.analyzer.service.advisor import Advisor
    from warpgauge.analyzer.service.watch import Census
    from warpgauge.analyzer.sources import SourceStatus
    from warpgauge.core.recommendation import Recommendation

__all__ = ["Durations", "acting_samples", "history_samples", "own_samples"]

_PYTHON: Final = ".".join(map(str, sys.version_info[:3]))


class Durations:
    """A histogram that grows: counts per bucket of a catalog row."""

    def __init__(self, buckets: Sequence[float]) -> None:
        self._bounds = buckets
        self._counts = [0] * (len(buckets) + 1)
        self._sum = 0.0

    def observe(self, seconds: float) -> None:
        """Count one duration."""
        self._counts[bisect_left(self._bounds, seconds)] += 1
        self._sum += seconds

    def value(self) -> Histogram:
        """Cumulative counts and sum."""
        return Histogram(tuple(accumulate(self._counts)), self._sum)


def own_samples(  # noqa: PLR0913 - the parts that it is about
    census: Census,
    sources: Sequence[SourceStatus],
    result: Result | None,
    recommendations: Sequence[Recommendation],
    ticks: Durations,
    *,
    last_tick: float | None,
) -> Iterator[Sample]:
    """Every sample of the analyzer's page."""
    yield Sample(own.ANALYZER_INFO, (VERSION, _PYTHON), 1.0)
    for source in sources:
        yield Sample(own.TARGET_UP, (source.name, source.target), float(source.up))
    yield Sample(own.TICK_SECONDS, (), ticks.value())
    yield Sample(own.SERIES, (), float(census.series))
    for outcome, count in asdict(census.counts).items():
        yield Sample(own.SAMPLES_INGESTED, (outcome,), float(count))
    yield Sample(own.UNRESOLVED, (), float(census.unresolved_devices))
    if last_tick is not None:
        yield Sample(own.LAST_TICK, (), last_tick)
    if result is not None:
        yield from _results(result)
    kinds = Counter((str(one.kind), "open") for one in recommendations)
    for labels, count in kinds.items():
        yield Sample(own.RECOMMENDATIONS, labels, float(count))


def acting_samples(advisor: Advisor) -> Iterator[Sample]:
    """What became of recommendations."""
    yield Sample(own.ACTING_HELD, (), float(advisor.hold is not None))
    for sink, (stats, _, failures) in advisor.outbox.stats().items():
        yield Sample(own.OUTBOX_WAITING, (sink,), float(stats.records))
        yield Sample(own.OUTBOX_BYTES, (sink,), float(stats.bytes))
        yield Sample(own.OUTBOX_MAX_BYTES, (sink,), float(MAX_BYTES))
        if stats.oldest_timestamp is not None:
            yield Sample(own.OUTBOX_OLDEST, (sink,), stats.oldest_timestamp)
        outcomes = {"delivered": stats.acked, "dead_lettered": stats.dead_lettered, "dropped": stats.dropped}
        for outcome, count in outcomes.items():
            yield Sample(own.OUTBOX_DOCUMENTS, (sink, outcome), float(count))
        yield Sample(own.OUTBOX_FAILURES, (sink,), float(failures))
    for labels, count in advisor.verdicts().items():
        yield Sample(own.VERDICTS, labels, float(count))


def history_samples(stats: HistoryStats) -> Iterator[Sample]:
    """How the history does."""
    yield Sample(own.HISTORY_WAITING, (), float(stats.waiting))
    yield Sample(own.HISTORY_WRITTEN, (), float(stats.written))
    for reason, count in stats.dropped.items():
        yield Sample(own.HISTORY_DROPPED, (reason,), float(count))
    yield Sample(own.HISTORY_BYTES, (), float(stats.bytes))
    if stats.oldest is not None:
        yield Sample(own.HISTORY_OLDEST, (), stats.oldest)
    if stats.last_write is not None:
        yield Sample(own.HISTORY_LAST_WRITE, (), stats.last_write)


def _results(result: Result) -> Iterator[Sample]:
    active = {}
    for finding in (one for one in result.findings if one.muted is None):
        scope = finding.scope
        place = (scope.cluster or "", scope.node or "", scope.uuid or "", scope.job_id or "")
        simulated = "true" if finding.simulated else "false"
        active[(str(finding.kind), str(finding.severity), *place, simulated)] = 1.0
    for labels, value in active.items():  # two instances of one device are one series
        yield Sample(own.FINDING_ACTIVE, labels, value)
    muted = Counter(finding.muted.by for finding in result.findings if finding.muted is not None)
    for by in MutedBy:
        yield Sample(own.FINDINGS_MUTED, (str(by),), float(muted[by]))
    counts = Counter(incident.severity for incident in result.incidents if not incident.muted)
    for severity in Severity:
        yield Sample(own.INCIDENTS_OPEN, (str(severity),), float(counts[severity]))
