"""From a noisy neighbor to the advice to part two jobs: who goes, where, and when nobody is told to."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pytest

from tests.detectors.test_relief import Site
from warpgauge.analyzer.recommend import Ledger, Limits, Plan, recommend
from warpgauge.analyzer.recommend.parting import parting_of
from warpgauge.analyzer.recommend.site_rules import SiteRules
from warpgauge.analyzer.recommend.topology import topology_of
from warpgauge.analyzer.recommend.verifying import _job_of
from warpgauge.core.catalog import host
from warpgauge.core.event import schema
from warpgauge.core.finding import Evidence, Finding, FindingKind, Scope, Severity, Whose, finding_from_json
from warpgauge.core.recommendation import RecommendationKind, recommendation_from_event

PRESSURE = Evidence(metric=f'{host.PRESSURE_SECONDS.name}{{resource="cpu",scope="some"}}', value=0.6, unit="ratio")
SLURM = "slurm"


def site(
    scheduler: str = SLURM, *, victims: tuple[Any, ...] = (("n1", 0),), noisy: tuple[Any, ...] = (("n1", 1),)
) -> Site:
    """A job and its neighbor on the first of three nodes."""
    made = Site()
    for name in ("n1", "n2", "n3"):
        made.node(name)
    made.job("77", *victims, scheduler=scheduler)
    made.job("78", *noisy, scheduler=scheduler)
    return made


def finding(now: float, whose: Whose | None = None, **changes: Any) -> Finding:
    blamed = Evidence(metric=host.PROCESS_CPU.name, value=0.43, unit="ratio", whose=whose)
    fields: dict[str, Any] = {
        "id": "f1",
        "kind": FindingKind.NOISY_NEIGHBOR,
        "severity": Severity.WARNING,
        "scope": Scope(cluster="test", node="n1", uuid="n1-0", job_id="77", rank=0),
        "since": now - 600,
        "confirmed": now - 500,
        "confidence": 0.9,
        "evidence": (PRESSURE, blamed),
        "summary": "A load beside rank 0 slows every step.",
        "remedy": "Keep others off its CPUs.",
    }
    return Finding(**fields | changes)


def planned(made: Site, whose: Whose | None = None, limits: Limits | None = None, **changes: Any) -> Plan:
    frame = made.builder.build()
    findings = [finding(frame.now, whose, **changes)]
    topology = topology_of(frame, now=frame.now)
    topology = replace(topology, parting=parting_of(findings, frame, topology.platforms))
    return recommend(findings, (), topology, Ledger(), now=frame.now, limits=limits or Limits())


NEIGHBOR = Whose(job_id="78", scheduler=SLURM, user="eve")


def test_the_job_that_disturbs_is_to_move_to_a_node_with_room():
    (made,) = planned(site(), NEIGHBOR).fresh

    assert made.kind is RecommendationKind.SEPARATE
    assert (made.target[0].name, made.target[0].node, made.target[0].platform) == ("78", "n1", SLURM)
    assert made.target[0].gpu_uuid is None
    assert made.text.summary == "Move job 78 off n1, where job 78 slows job 77 down: n2 has room."
    assert made.undo == "Let job 78 have n1 again; job 78 stays where it runs then."
    assert (made.approval.required, made.disruption.jobs_affected) == (True, ("78",))
    assert made.conflict_group == "job/test/78"
    assert {one.check for one in made.preconditions} == {"findingOpen", "spareNode", "checkpoint"}


def test_whether_it_helped_is_seen_on_the_job_that_was_disturbed():
    (made,) = planned(site(), NEIGHBOR).fresh
    assert _job_of(made) == ("test", "77")


def test_a_gang_that_disturbs_stays_and_its_victim_goes():
    (made,) = planned(site(noisy=(("n1", 1), ("n2", 0))), NEIGHBOR).fresh
    assert made.target[0].name == "77"
    assert made.text.summary == "Move job 77 off n1, where job 78 slows job 77 down: n3 has room."


def test_a_job_that_only_uses_cpus_goes_where_its_core_finds_room():
    (made,) = planned(site(), Whose(job_id="90", scheduler=SLURM)).fresh
    assert (made.kind, made.target[0].name, made.target[0].platform) == (RecommendationKind.SEPARATE, "90", SLURM)
    assert made.text.summary.endswith("it holds no device, its core has to find the room.")


def test_where_no_job_is_to_blame_the_node_is_taken_last():
    (made,) = planned(site()).fresh
    assert (made.kind, made.target[0].name) == (RecommendationKind.AVOID_NODE, "n1")
    assert made.text.summary == (
        "Give n1 work last, and look at what runs there: a load that is no one job's takes its CPUs from job 77."
    )
    assert made.expected_gain is None


@pytest.mark.parametrize(
    ("made", "whose"),
    [
        (site(victims=(("n1", 0), ("n3", 0)), noisy=(("n1", 1), ("n2", 0))), NEIGHBOR),
        (site("docker"), NEIGHBOR),
        (site(), Whose(job_id="90", scheduler="docker")),
        (site(), Whose(job_id="90")),
    ],
    ids=["both gangs", "a core that moves no jobs", "containers only", "no scheduler"],
)
def test_where_nobody_can_go_nobody_is_moved_and_the_neighbor_is_named(made: Site, whose: Whose):
    (advice,) = planned(made, whose).fresh
    assert advice.kind is RecommendationKind.AVOID_NODE
    assert f"job {whose.job_id}, which has no other place" in advice.text.summary


def test_on_the_only_node_there_is_nowhere_to_go():
    made = Site()
    made.node("n1")
    made.job("77", ("n1", 0), scheduler=SLURM)
    (advice,) = planned(made, Whose(job_id="90", scheduler=SLURM)).fresh
    assert advice.kind is RecommendationKind.AVOID_NODE


def test_two_jobs_on_one_device_are_left_to_people():
    made = site(noisy=(("n1", 0),))
    device_only = Evidence(metric="accel_workload_info", value=1.0, unit="", whose=NEIGHBOR)
    assert planned(made, evidence=(device_only,)).fresh == ()


@pytest.mark.parametrize("rules", [SiteRules(jobs=("78",)), SiteRules(users=("eve",)), SiteRules(nodes=("n1",))])
def test_who_opted_out_is_not_moved_for_another(rules: SiteRules):
    plan = planned(site(), NEIGHBOR, Limits(rules=rules))
    assert (plan.fresh, len(plan.withheld)) == ((), 1)


def test_who_is_disturbed_may_have_opted_out_of_being_moved_itself():
    assert len(planned(site(), NEIGHBOR, Limits(rules=SiteRules(jobs=("77",)))).fresh) == 1


@pytest.mark.parametrize(
    "weak", [{"confidence": 0.5}, {"since": 10**12}, {"kind": FindingKind.STRAGGLER}], ids=["unsure", "young", "other"]
)
def test_nobody_is_parted_on_a_weak_or_another_finding(weak: dict[str, Any]):
    assert [one for one in planned(site(), NEIGHBOR, **weak).fresh if one.kind is RecommendationKind.SEPARATE] == []


def test_the_document_says_whose_the_load_is_and_whom_it_helps():
    (made,) = planned(site(), NEIGHBOR).fresh
    event = made.to_event()
    assert event["data"]["evidence"][1]["whose"] == {"jobId": "78", "scheduler": "slurm", "user": "eve"}
    assert event["data"]["helps"][0]["name"] == "77"
    assert recommendation_from_event(event) == made
    described = schema("recommendation")
    assert "whose" in described["$defs"]["evidence"]["properties"]


def test_a_finding_with_somebody_elses_number_reads_back_as_it_was():
    made = finding(1_750_000_000.0, NEIGHBOR)
    assert made.to_json()["evidence"][1]["whose"] == {"job_id": "78", "scheduler": "slurm", "user": "eve"}
    assert finding_from_json(made.to_json()) == made


def test_without_a_noisy_neighbor_no_pool_is_made():
    class Untouchable:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(name)

    assert parting_of((finding(1.0),), Untouchable(), {}) == {}
