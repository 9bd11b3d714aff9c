"""When most of a cluster looks bad at once, one finding says so and nothing else is heard."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
import pytest

from tests.analyzer.test_engine import Scripted
from tests.frame_builder import FrameBuilder
from warpgauge.analyzer.detection import Candidate
from warpgauge.analyzer.incidents import join
from warpgauge.analyzer.incidents.breaker import suspicions
from warpgauge.analyzer.incidents.engine import EngineState, Result, analyze
from warpgauge.analyzer.recommend import Ledger, recommend
from warpgauge.analyzer.recommend.topology import topology_of
from warpgauge.core.catalog import device
from warpgauge.core.finding import Evidence, FindingKind, MutedBy, Scope, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable

NODES = 10


def frame(nodes: int = NODES):
    builder = FrameBuilder(columns=12)
    for node in range(nodes):
        builder.device(f"n{node}", f"GPU-{node}")
    return builder.build()


FRAME = frame()
NOW = FRAME.now


def hot(node: int, *, since: float = NOW - 60, **changes: object) -> Candidate:
    given = {
        "kind": FindingKind.THERMAL_LIMITED,
        "scope": Scope(cluster="test", node=f"n{node}", uuid=f"GPU-{node}"),
        "severity": Severity.WARNING,
        "since": since,
        "confidence": 0.9,
        "evidence": (Evidence(metric="accel_temperature_celsius", value=95.0, unit="celsius"),),
        "summary": f"n{node} is hot.",
        "remedy": "cool it",
    }
    return Candidate(**{**given, **changes})  # type: ignore[arg-type]  # test shorthand


def tick(says: Iterable[Candidate], state: EngineState | None = None, where=FRAME) -> Result:
    detector = Scripted()
    detector.says = tuple(says)
    return analyze(where, state or EngineState(), [detector], join=join, suspect=suspicions)


def heard(result: Result) -> list[str]:
    return [str(finding.kind) for finding in result.findings if finding.muted is None]


def test_most_of_the_fleet_at_once_is_one_finding_and_one_incident():
    result = tick(hot(node) for node in range(6))

    assert heard(result) == ["telemetry_gap"]
    assert result.findings[0].scope == Scope(cluster="test")
    assert "6 of 10 nodes" in result.findings[0].summary
    muted = [finding.muted for finding in result.findings[1:]]
    assert len(muted) == 6
    assert {(one.by, one.id) for one in muted if one} == {(MutedBy.BREAKER, result.findings[0].id)}
    (incident,) = result.incidents
    assert (incident.root_cause, incident.severity, incident.muted) == (
        result.findings[0].id, Severity.CRITICAL, False
    )  # fmt: skip


def test_nothing_is_recommended_on_what_the_breaker_mutes():
    result = tick(hot(node) for node in range(6))
    plan = recommend(result.findings, result.incidents, topology_of(FRAME), Ledger(), now=NOW)

    assert plan.fresh == ()


def test_half_of_the_fleet_is_not_most_of_it():
    assert heard(tick(hot(node) for node in range(5))) == ["thermal_limited"] * 5


def test_nodes_that_fail_one_by_one_are_heard_one_by_one():
    result = tick(hot(node, since=NOW - 200 * node) for node in range(NODES))

    assert heard(result) == ["thermal_limited"] * NODES


def test_old_findings_whose_onset_the_window_has_left_behind_did_not_begin_together():
    state = EngineState()
    for edge in (NOW - 3000, NOW - 1000, NOW - 10):  # detectors see no onset before the window's edge
        result = tick((hot(node, since=max(edge, NOW - 200 * (node + 1))) for node in range(NODES)), state)
        assert heard(result) == ["thermal_limited"] * NODES
        state = result.state


def test_what_began_before_it_is_heard_all_the_same():
    result = tick([hot(9, since=NOW - 900), *(hot(node) for node in range(6))])

    assert sorted(heard(result)) == ["telemetry_gap", "thermal_limited"]


def test_three_machines_are_no_fleet():
    assert "telemetry_gap" not in heard(tick((hot(node) for node in range(3)), where=frame(3)))


def test_information_and_jobs_speak_of_no_node():
    info = [hot(node, severity=Severity.INFO) for node in range(NODES)]
    jobs = [hot(0, kind=FindingKind.INPUT_BOUND, scope=Scope(cluster="test", job_id=f"j{one}")) for one in range(9)]

    assert "telemetry_gap" not in heard(tick([*info, *jobs]))


@pytest.mark.parametrize(("jobs", "expected"), [(1, False), (2, True)])
@pytest.mark.parametrize("kind", [FindingKind.NETWORK_BOUND, FindingKind.STRAGGLER, FindingKind.LAUNCH_BOUND])
def test_what_one_job_shows_on_all_its_nodes_is_that_job_and_two_jobs_are_a_fleet(kind, jobs: int, *, expected: bool):
    def slow(node: int) -> Candidate:
        return hot(node, kind=kind, scope=Scope(cluster="test", node=f"n{node}", job_id=f"j{node % jobs}"))

    assert ("telemetry_gap" in heard(tick(slow(node) for node in range(8)))) is expected


@pytest.mark.parametrize(("minutes", "expected"), [(1, True), (17, False)])
def test_jobs_that_were_slow_from_their_start_did_not_begin_to_look_bad(minutes: float, *, expected: bool):
    builder = FrameBuilder(columns=120)  # 20 minutes
    for node in range(NODES):
        builder.device(f"n{node}", f"GPU-{node}")
        builder.job(f"j{node}", [(f"n{node}", f"GPU-{node}")])
    where = builder.build()

    def waits(node: int) -> Candidate:
        scope = Scope(cluster="test", node=f"n{node}", job_id=f"j{node}")
        return hot(node, kind=FindingKind.NETWORK_BOUND, since=where.now - 60 * minutes, scope=scope)

    assert ("telemetry_gap" in heard(tick((waits(node) for node in range(8)), where=where))) is expected


def test_errors_of_the_driver_on_all_nodes_of_a_job_are_one_finding():
    def crashed(node: int) -> Candidate:
        return hot(node, kind=FindingKind.XID, scope=Scope(cluster="test", node=f"n{node}", job_id="j"))

    assert heard(tick(crashed(node) for node in range(8))) == ["telemetry_gap"]


PODS = ("train-0", "train-1", "train-2")


def hanging(*, jobs=PODS, watts: float = 250.0, usual: float = 620.0, noise: float = 3.0):
    """Four machines of one device each; the load of all but the last changes after 60 of 90 columns."""
    builder, random = FrameBuilder(columns=90), np.random.default_rng(1)
    for node in range(4):
        builder.device(f"n{node}", f"GPU-{node}")
        level = np.where(np.arange(90) < 60, usual, watts if node < 3 else usual)
        builder.gauge(device.POWER, level + noise * random.standard_normal(90), node=f"n{node}", uuid=f"GPU-{node}")
    for node, job in enumerate(jobs):
        builder.job(job, [(f"n{node}", f"GPU-{node}")])
    return builder.build()


def tiny(node: int, where, **changes: object) -> Candidate:
    return hot(node, since=where.now - 300, kind=FindingKind.LAUNCH_BOUND, **changes)


@pytest.mark.parametrize("jobs", [PODS, ()], ids=["named by the devices", "named by the findings"])
def test_a_job_that_hangs_on_most_of_a_small_fleet_is_not_the_telemetry(jobs):
    where = hanging(jobs=jobs)
    scopes = [Scope(cluster="test", node=f"n{at}", uuid=f"GPU-{at}", job_id=None if jobs else "j") for at in range(3)]

    result = tick((tiny(node, where, scope=scope) for node, scope in enumerate(scopes)), where=where)

    assert heard(result) == ["launch_bound"] * 3


def test_where_nobody_tells_of_jobs_one_finding_says_that_it_looks_like_one():
    where = hanging(jobs=())
    result = tick((tiny(node, where) for node in range(3)), where=where)

    assert heard(result) == ["telemetry_gap"]
    assert "their power changed with it: most likely a job" in result.findings[0].summary
    assert "telemetry" not in result.findings[0].summary


@pytest.mark.parametrize(
    "site",
    [
        pytest.param({"watts": 620.0}, id="an exporter that counts otherwise: the load is what it was"),
        pytest.param({"noise": 0.0}, id="an exporter that repeats itself"),
        pytest.param({"watts": np.nan, "usual": np.nan}, id="no power to go by"),
    ],
)
def test_without_a_sign_that_the_numbers_are_true_it_may_be_the_telemetry(site):
    where = hanging(**site)

    result = tick((tiny(node, where) for node in range(3)), where=where)

    assert heard(result) == ["telemetry_gap"]
    assert "more likely the telemetry" in result.findings[0].summary


def test_what_strikes_several_jobs_at_once_is_something_that_they_share():
    where = hanging(jobs=("ann", "bob", "eve"))

    assert heard(tick((tiny(node, where) for node in range(3)), where=where)) == ["telemetry_gap"]


def test_sick_hardware_on_all_nodes_of_one_job_still_is_not_the_nodes():
    where = hanging()
    sick = [hot(node, since=where.now - 300) for node in range(3)]

    assert heard(tick(sick, where=where)) == ["telemetry_gap"]
    assert heard(tick([*sick, *(tiny(node, where) for node in range(3))], where=where)) == ["telemetry_gap"]


@pytest.mark.parametrize(("left", "expected"), [(4, ["telemetry_gap"]), (3, ["thermal_limited"] * 3)])
def test_it_holds_until_less_than_a_third_is_left(left: int, expected: list[str]):
    state = tick(hot(node) for node in range(6)).state
    for _ in range(5):
        result = tick((hot(node) for node in range(left)), state)
        state = result.state

    assert heard(result) == expected


@pytest.mark.parametrize(("rails", "expected"), [(1, ["network_bound"] * 8), (2, ["telemetry_gap"])])
def test_slow_links_of_two_jobs_on_one_rail_are_that_rail_and_on_several_the_fleet(rails: int, expected: list[str]):
    builder = FrameBuilder(columns=12)
    for node in range(NODES):
        for index in range(2):
            builder.device(f"n{node}", f"GPU-{node}-{index}", index=index)
    where = builder.build()

    def slow(node: int) -> Candidate:
        scope = Scope(cluster="test", node=f"n{node}", uuid=f"GPU-{node}-{node % rails}", job_id=f"j{node % 2}")
        return hot(node, kind=FindingKind.NETWORK_BOUND, scope=scope)

    assert heard(tick((slow(node) for node in range(8)), where=where)) == expected
