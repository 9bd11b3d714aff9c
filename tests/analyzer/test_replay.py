"""Judging the past in one go: order of batches, conditions that ended, nothing to judge."""

from __future__ import annotations

import numpy as np

from warpgauge.analyzer.detection import Candidate, Detection
from warpgauge.analyzer.replay import Replay
from warpgauge.analyzer.sources import Points, Ranges, Target
from warpgauge.core.catalog import host
from warpgauge.core.finding import FindingKind, Scope, Severity

START = 1_750_000_000.0


class LoadIsHigh:
    name = "load_is_high"

    def detect(self, frame) -> Detection:
        load = frame.latest(host.LOAD1)
        return Detection(candidates=tuple(self._candidate(frame, row) for row in np.flatnonzero(load > 5)))

    def _candidate(self, frame, row: int) -> Candidate:
        node = frame.nodes.entities[row]
        return Candidate(
            kind=FindingKind.HOST_SATURATED,
            scope=Scope(cluster=node.cluster, node=node.node),
            severity=Severity.WARNING,
            since=frame.now,
            confidence=1.0,
            evidence=(),
            summary="high",
            remedy="wait",
        )


def ranges(values, *, node: str = "n1") -> Ranges:
    times = np.array([round((START + 10 * k) * 1000) for k in range(len(values))], dtype=np.int64)
    points = Points(name="host_load1", labels={"node": node}, times_ms=times, values=np.array(values, dtype=float))
    return Ranges(target=Target(name="test"), points=[points], interval_seconds=10.0)


def replay(*batches: Ranges):
    running = Replay(window_seconds=3600, cluster="c", detectors=[LoadIsHigh()])
    for batch in batches:
        running.add(batch)
    return running.report()


def test_a_condition_that_holds_at_the_end_is_open():
    (finding,) = replay(ranges([0] * 60 + [9] * 60)).findings

    assert finding.ended is None
    assert abs(finding.since - (START + 600)) <= 40


def test_a_condition_that_came_and_went_is_found_with_its_end():
    (finding,) = replay(ranges([0] * 60 + [9] * 30 + [0] * 90)).findings

    assert finding.ended is not None
    assert abs(finding.since - (START + 600)) <= 40
    assert START + 900 <= finding.ended <= START + 1100


def test_a_quiet_span_has_no_finding_and_says_what_it_saw():
    report = replay(ranges([1] * 60))

    assert report.findings == ()
    assert (report.start, report.end, report.nodes) == (START, START + 590, 1)
    assert report.samples.mapped == 60


def test_batches_come_in_any_order():
    batches = [ranges([9] * 60), ranges([0] * 60, node="n2"), ranges([9] * 60, node="n3")]

    forward, backward = replay(*batches), replay(*reversed(batches))

    assert {finding.id for finding in forward.findings} == {finding.id for finding in backward.findings}
    assert len(forward.findings) == 2


def test_nothing_known_is_nothing_judged():
    report = replay(Ranges(target=Target(name="t"), points=[], interval_seconds=10.0))

    assert report.last is None
    assert report.findings == ()
