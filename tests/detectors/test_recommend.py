"""What is advised, what the rails hold back, and when."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import jsonschema
import pytest

from tests.detectors.scenes import Lockstep, add_device
from tests.frame_builder import FrameBuilder
from warpgauge.analyzer.recommend import Ledger, Plan, recommend
from warpgauge.analyzer.recommend.topology import Topology, topology_of
from warpgauge.core.finding import (
    Evidence,
    Finding,
    FindingKind,
    Impact,
    Incident,
    Mute,
    MutedBy,
    Scope,
    Severity,
    stable_id,
)
from warpgauge.core.recommendation import RecommendationKind, recommendation_from_event, recommendation_schema

NOW = 1_750_000_000.0
MODEL = "H100"
CLOCK = Evidence(metric="accel_clock_hertz", value=1.2e9, unit="hertz", baseline=1.98e9)
PHASE = Evidence(metric='training_phase_seconds_total{phase="compute"}', value=1.5, unit="seconds per step")


def fleet(*, nodes: int = 8, spares: int = 2) -> Topology:
    return Topology(
        nodes={"prod": nodes},
        platforms={("prod", "train"): "slurm"},
        models={("prod", f"GPU-{number}"): MODEL for number in range(9)},
        spares={("prod", MODEL): spares} if spares else {},
        window_seconds=3600.0,
    )


def finding(
    kind: FindingKind = FindingKind.STRAGGLER,
    *,
    number: int = 1,
    job: str | None = "train",
    severity: Severity = Severity.WARNING,
    confidence: float = 0.9,
    evidence: tuple[Evidence, ...] = (CLOCK, PHASE),
    simulated: bool = False,
) -> Finding:
    has_device = kind not in {FindingKind.INPUT_BOUND, FindingKind.IDLE_ALLOCATED}
    scope = Scope(
        cluster="prod", node=f"n{number}", uuid=f"GPU-{number}" if has_device else None, job_id=job, rank=number
    )
    return Finding(
        id=stable_id(kind, scope),
        kind=kind,
        severity=severity,
        scope=scope,
        since=NOW - 1800,
        confirmed=NOW - 1500,
        confidence=confidence,
        evidence=evidence,
        summary=f"{kind} at {scope.words()}.",
        remedy="Do something.",
        impact=Impact(lost_device_seconds=7200.0, slowdown_ratio=1.5, method="step time"),
        simulated=simulated,
    )


def plan(*findings: Finding, ledger: Ledger | None = None, now: float = NOW, topology: Topology | None = None) -> Plan:
    return recommend(findings, (), topology or fleet(), ledger or Ledger(), now=now)


@pytest.mark.parametrize(
    ("kind", "advised"),
    [
        (FindingKind.STRAGGLER, RecommendationKind.REPLACE_STRAGGLER),
        (FindingKind.THERMAL_LIMITED, RecommendationKind.CHECK_COOLING),
        (FindingKind.INPUT_BOUND, RecommendationKind.FIX_INPUT_PIPELINE),
        (FindingKind.IDLE_ALLOCATED, RecommendationKind.RECLAIM_IDLE),
        (FindingKind.DEVICE_LOST, RecommendationKind.INSPECT_HARDWARE),
    ],
)
def test_each_kind_of_finding_has_its_advice(kind: FindingKind, advised: RecommendationKind) -> None:
    (made,) = plan(finding(kind)).fresh
    assert made.kind is advised
    assert made.approval.required is advised.is_disruptive
    assert made.text.summary


def test_every_document_passes_the_schema_and_reads_back() -> None:
    for kind in FindingKind:
        for made in plan(finding(kind)).fresh:
            jsonschema.validate(made.to_event(), recommendation_schema())
            assert recommendation_from_event(made.to_event()) == made


def test_a_host_that_is_full_has_a_remedy_but_no_advice_for_a_scheduler() -> None:
    assert not plan(finding(FindingKind.HOST_SATURATED)).fresh


def test_an_info_is_not_worth_a_recommendation() -> None:
    assert not plan(finding(severity=Severity.INFO)).fresh


def test_a_hung_device_is_to_be_reset_once_nothing_uses_it() -> None:
    hung = Evidence(metric="accel_device_state", value=1.0, unit="hung")
    (made,) = plan(finding(FindingKind.DEVICE_HUNG, evidence=(hung,))).fresh
    assert made.kind is RecommendationKind.RESET_DEVICE
    assert made.reversible == "no"
    assert made.undo is None
    assert "deviceUnused" in {precondition.check for precondition in made.preconditions}


def test_without_a_spare_a_straggler_is_only_inspected() -> None:
    (made,) = plan(finding(), topology=fleet(spares=0)).fresh
    assert made.kind is RecommendationKind.INSPECT_HARDWARE
    assert made.expected_gain is None


def test_a_jobs_own_word_never_disturbs_anyone() -> None:
    (made,) = plan(finding(evidence=(PHASE,))).fresh
    assert not made.kind.is_disruptive
    held = plan(finding(FindingKind.IDLE_ALLOCATED, evidence=(PHASE,)))
    assert [item.reason for item in held.withheld] == ["it rests on self-reported data alone"]


def without_device(**changes: Any) -> Finding:
    told = finding(evidence=(PHASE,), **changes)
    return replace(told, scope=replace(told.scope, uuid=None))


def test_on_slurm_a_slow_rank_without_a_device_leaves_its_node() -> None:
    (made,) = plan(without_device()).fresh
    assert (made.kind, made.target[0].type, made.target[0].name, made.target[0].node) == (
        RecommendationKind.REPLACE_STRAGGLER, "workload", "train", "n1",
    )  # fmt: skip
    assert made.approval.required
    assert {"spareNode", "checkpoint", "gang"} <= {one.check for one in made.preconditions}


def test_an_idle_application_on_yarn_is_put_last_and_not_ended() -> None:
    on_yarn = replace(fleet(), platforms={("prod", "train"): "yarn"})
    (made,) = plan(finding(FindingKind.IDLE_ALLOCATED), topology=on_yarn).fresh
    assert made.text.summary == "Put idle application train last in its queue, once its owner was asked."
    assert (made.reversible, made.undo) == ("yes", "Give it the priority that it had.")


def test_an_idle_job_on_kubernetes_is_stopped_and_can_be_started_again() -> None:
    there = replace(fleet(), platforms={("prod", "train"): "kubernetes"})
    (made,) = plan(finding(FindingKind.IDLE_ALLOCATED), topology=there).fresh
    assert (made.reversible, made.undo) == (
        "partly",
        "Resume its Job, or scale its set to 1 again; what it held in memory is lost.",
    )


@pytest.mark.parametrize("platform", ["kubernetes", None])
def test_elsewhere_nothing_is_advised_about_a_rank_without_a_device(platform: str | None) -> None:
    platforms = {("prod", "train"): platform} if platform else {}
    assert not plan(without_device(), topology=replace(fleet(), platforms=platforms)).fresh


@pytest.mark.parametrize(
    ("platform", "target"), [("slurm", "workload"), ("kubernetes", "workload"), ("yarn", "device")]
)
def test_slurm_and_kubernetes_move_whole_jobs(platform: str, target: str) -> None:
    (made,) = plan(finding(), topology=replace(fleet(), platforms={("prod", "train"): platform})).fresh
    assert (made.kind, made.target[0].type) == (RecommendationKind.REPLACE_STRAGGLER, target)


def test_the_gain_is_what_an_hour_cost_so_far() -> None:
    (made,) = plan(finding()).fresh
    assert made.expected_gain is not None
    assert made.expected_gain.p50 == 7200 / 1800 * 3600
    assert made.expected_gain.method == "as in the last 30 min: step time"


def test_a_gain_that_was_not_computed_is_absent() -> None:
    (made,) = plan(replace(finding(), impact=None)).fresh
    assert made.expected_gain is None


def test_the_same_finding_is_recommended_on_once() -> None:
    first = plan(finding())
    again = plan(finding(), ledger=first.ledger, now=NOW + 10)
    assert not again.fresh
    assert tuple(again.ledger.open.values()) == first.fresh


def test_a_restart_makes_the_same_document_again() -> None:
    (before,) = plan(finding()).fresh
    (after,) = plan(replace(finding(), since=NOW - 1790), now=NOW + 30).fresh
    assert (after.id, after.idempotency_key) == (before.id, before.idempotency_key)


def test_an_ended_finding_closes_its_recommendation() -> None:
    first = plan(finding())
    assert not plan(ledger=first.ledger, now=NOW + 10).ledger.open


@pytest.mark.parametrize(("hours", "is_advised"), [(5.9, False), (6.0, True)])
def test_one_job_is_disturbed_no_more_often_than_every_six_hours(hours: float, is_advised: bool) -> None:  # noqa: FBT001
    before = plan(finding())
    gone = plan(ledger=before.ledger, now=NOW + 60)
    assert bool(plan(finding(), ledger=gone.ledger, now=NOW + hours * 3600).fresh) is is_advised


def test_what_is_muted_gets_no_advice() -> None:
    muted = replace(finding(), muted=Mute(by=MutedBy.SILENCE, id="s1", reason="known"))
    assert plan(muted).fresh == ()


def test_what_comes_back_soon_after_waits_for_the_cooldown() -> None:
    first = plan(finding())
    gone = plan(ledger=first.ledger, now=NOW + 10)
    back = plan(finding(), ledger=gone.ledger, now=NOW + 600)
    assert not back.fresh
    assert "got a recommendation 600 s ago" in back.withheld[0].reason
    later = plan(finding(), ledger=gone.ledger, now=NOW + 6 * 3600 + 1)
    assert later.fresh


def test_an_expired_recommendation_gets_a_new_key() -> None:
    first = plan(finding())
    (made,) = first.fresh
    later = plan(finding(), ledger=first.ledger, now=NOW + 7 * 3600)
    assert made.expires_at == NOW + 3600
    assert later.fresh[0].idempotency_key != made.idempotency_key


def test_one_gang_is_disturbed_by_one_recommendation_at_a_time() -> None:
    outcome = plan(finding(number=1), finding(FindingKind.IDLE_ALLOCATED, number=2), topology=fleet(nodes=100))
    assert [made.kind for made in outcome.fresh] == [RecommendationKind.REPLACE_STRAGGLER]
    assert outcome.withheld[0].reason == "another recommendation for job/prod/train is open"


def test_at_most_one_node_in_twenty_is_disturbed() -> None:
    several = [finding(number=number, job=f"job-{number}") for number in range(3)]
    assert len(plan(*several, topology=fleet(nodes=8)).fresh) == 1
    assert len(plan(*several, topology=fleet(nodes=40)).fresh) == 2
    assert plan(*several, topology=fleet(nodes=8)).withheld[0].reason == (
        "1 disruptive open already, of at most 1 for 8 nodes"
    )


def test_harmless_advice_is_not_rationed() -> None:
    several = [finding(FindingKind.THERMAL_LIMITED, number=number, job=f"job-{number}") for number in range(4)]
    assert len(plan(*several).fresh) == 4


def test_weak_confidence_disturbs_nobody() -> None:
    assert plan(finding(confidence=0.6)).withheld[0].reason == "confidence is below 0.7"


def test_missing_telemetry_disturbs_nobody() -> None:
    gap = finding(FindingKind.TELEMETRY_GAP, number=1, job=None)
    assert [item.reason for item in plan(finding(number=1), gap).withheld] == ["telemetry is missing"]
    assert plan(finding(number=2), gap).fresh


def test_a_fleet_that_looks_bad_all_at_once_trips_the_breaker() -> None:
    sick = [finding(number=number, job=f"job-{number}") for number in range(5)]
    outcome = plan(*sick, topology=fleet(nodes=8))
    assert not outcome.fresh
    assert outcome.withheld[0].reason == "5 of 8 nodes look bad at once: suspect the telemetry"


def test_mode_observe_recommends_nothing() -> None:
    outcome = recommend([finding()], (), fleet(), Ledger(), now=NOW, mode="observe")
    assert not outcome.fresh
    assert [item.reason for item in outcome.withheld] == ["mode is observe"]


def test_of_an_incident_only_the_cause_is_acted_on() -> None:
    cause, effect = finding(FindingKind.DEVICE_LOST), finding(FindingKind.STRAGGLER)
    incident = Incident(
        id="i",
        severity=Severity.WARNING,
        since=NOW,
        findings=(cause.id, effect.id),
        summary="",
        scope=Scope(cluster="prod"),
        root_cause=cause.id,
    )
    (made,) = recommend([effect, cause], [incident], fleet(), Ledger(), now=NOW).fresh
    assert made.cause.finding_id == cause.id
    assert made.cause.incident_id == "i"


def test_what_is_simulated_says_so() -> None:
    (made,) = plan(finding(simulated=True)).fresh
    assert made.to_event()["data"]["simulated"] is True


def test_a_spare_is_a_device_that_answers_and_that_no_job_holds() -> None:
    builder = FrameBuilder(columns=12)
    add_device(builder, "n0", "GPU-held")
    add_device(builder, "n0", "GPU-free", index=1)
    add_device(builder, "n0", "GPU-lost", index=2, state={"lost": 1.0})
    builder.job("train", [("n0", "GPU-held")], scheduler="slurm")
    topology = topology_of(builder.build())
    assert topology.spare_for("test", "GPU-held") == 1
    assert topology.spare_for("test", "GPU-unheard-of") == 0
    assert topology.platforms == {("test", "train"): "slurm"}


def test_a_fleet_is_counted_by_its_nodes() -> None:
    assert topology_of(Lockstep(columns=12).frame()).nodes == {"test": 2}


def test_jobs_that_only_report_steps_belong_to_the_configured_scheduler() -> None:
    builder = FrameBuilder(columns=30)
    for rank in range(4):
        builder.steps("train", rank=rank, node="n1", seconds=1.0)
    frame = builder.build()
    assert topology_of(frame).platforms == {}
    assert topology_of(frame, scheduler="slurm").platforms == {("test", "train"): "slurm"}


def test_a_job_on_devices_that_no_scheduler_is_named_for_stays_without_one() -> None:
    frame = Lockstep().frame()
    assert topology_of(frame, scheduler="yarn").platforms == topology_of(frame).platforms
