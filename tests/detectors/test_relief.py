"""From a hot device to the advice to move its job: detectors, planner and rails on one frame."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.detectors.scenes import MAX_HERTZ, add_device
from tests.frame_builder import FrameBuilder
from warpgauge.analyzer.bottlenecks.thermal_limited import ThermalLimited
from warpgauge.analyzer.health.throttle import HardwareThrottle
from warpgauge.analyzer.incidents.engine import EngineState, Result, analyze
from warpgauge.analyzer.planning.watched import watched_cluster
from warpgauge.analyzer.recommend import Ledger, Limits, Plan, recommend
from warpgauge.analyzer.recommend.relief import relief_of
from warpgauge.analyzer.recommend.site_rules import SiteRules
from warpgauge.analyzer.recommend.topology import topology_of
from warpgauge.core.catalog import device
from warpgauge.core.finding import Level
from warpgauge.core.recommendation import RecommendationKind

if TYPE_CHECKING:
    from warpgauge.analyzer.frame import Frame

HEAT = {"sw_thermal": 1.0}
BRAKE = {"hw_power_brake": 1.0}
DETECTORS = (ThermalLimited(), HardwareThrottle())


class Site:
    """Nodes of two devices each, all of one rack unless it is said otherwise."""

    def __init__(self) -> None:
        self.builder = FrameBuilder(columns=90)

    def node(self, name: str, *, slowed: dict[str, float] | None = None, rack: str = "r1", **more: Any) -> None:
        for index in range(2):
            clock = MAX_HERTZ * (0.7 if slowed else 1.0)
            uuid = f"{name}-{index}"
            add_device(self.builder, name, uuid, index=index, throttled=slowed, sm_hertz=clock, **more)
        self.builder.frame.layout.learn("test", name, {Level.RACK.value: rack})

    def job(self, job: str, *devices: tuple[str, int], scheduler: str = "kubernetes") -> None:
        held = [(node, f"{node}-{index}") for node, index in devices]
        self.builder.job(job, held, scheduler=scheduler)


def hot_site(slowed: dict[str, float] | None = None, *, scheduler: str = "kubernetes") -> Site:
    """A job on a slowed node, another at work on a second, and a third node that idles; nobody else is slowed."""
    site = Site()
    site.node("hot", slowed=slowed or HEAT)
    for name in ("busy", "free"):
        site.node(name)
    site.job("ml/train", ("hot", 0), ("hot", 1), scheduler=scheduler)
    site.job("ml/other", ("busy", 0))
    return site


def judged(frame: Frame) -> Result:
    return analyze(frame, EngineState(), DETECTORS)


def planned(site: Site, limits: Limits | None = None, **changes: Any) -> Plan:
    frame = site.builder.build()
    result = judged(frame)
    topology = replace(topology_of(frame, now=frame.now), **changes)
    topology = replace(topology, relief=relief_of(result.findings, frame, topology.platforms))
    return recommend(result.findings, (), topology, Ledger(), now=frame.now, limits=limits or Limits())


def moves(plan: Plan) -> list[Any]:
    return [one for one in plan.fresh if one.kind is RecommendationKind.MIGRATE]


def test_a_job_on_a_hot_node_is_to_move_to_a_cool_one_with_room() -> None:
    plan = planned(hot_site())
    (move,) = moves(plan)
    assert (move.target[0].name, move.target[0].node, move.target[0].platform) == ("ml/train", "hot", "kubernetes")
    assert move.text.summary == "Move job ml/train off hot, which is slowed down: free is cool and has room."
    assert {one.check for one in move.preconditions} == {"findingOpen", "spareNode", "checkpoint"}
    assert (move.approval.required, move.disruption.jobs_affected) == (True, ("ml/train",))
    assert move.expected_gain is not None


@pytest.mark.parametrize(
    ("scheduler", "undo"),
    [
        ("kubernetes", "Let hot take work again; the job stays where it runs then."),
        ("slurm", "Let job ml/train have hot again; the job stays where it runs then."),
    ],
)
def test_the_way_back_is_what_that_core_did(scheduler: str, undo: str) -> None:
    (move,) = moves(planned(hot_site(scheduler=scheduler)))
    assert move.undo == undo


def test_the_cooling_is_looked_at_all_the_same() -> None:
    kinds = sorted(one.kind for one in planned(hot_site()).fresh)
    assert kinds == [RecommendationKind.CHECK_COOLING, RecommendationKind.CHECK_COOLING, RecommendationKind.MIGRATE]


def test_two_hot_devices_of_one_job_are_one_move() -> None:
    plan = planned(hot_site())
    assert len(moves(plan)) == 1
    assert [one.reason for one in plan.withheld if one.kind == "migrate"] == [
        "another recommendation for job/test/ml/train is open"
    ]


def test_a_power_brake_moves_a_job_too() -> None:
    (move,) = moves(planned(hot_site(BRAKE)))
    assert move.cause.finding_kind == "hardware_throttle"


def test_a_rack_that_is_hot_as_a_whole_is_a_matter_of_cooling_and_moves_nobody() -> None:
    site = hot_site()
    for name in ("warm-1", "warm-2", "warm-3"):
        site.node(name, slowed=HEAT)
    assert moves(planned(site, nodes={"test": 100})) == []  # so many that the fleet's breaker has nothing to say


def test_a_hot_node_in_a_rack_of_its_own_is_left_though_other_racks_are_hot() -> None:
    site = hot_site()
    for number in range(2):
        site.node(f"warm-{number}", slowed=HEAT, rack="r2")
    assert len(moves(planned(site, nodes={"test": 100}))) == 1


def test_nobody_moves_without_a_free_cool_node() -> None:
    site = hot_site()
    site.job("ml/late", ("free", 0))
    assert moves(planned(site)) == []


def test_a_free_node_that_was_not_measured_is_no_cool_one() -> None:
    site = Site()
    site.node("hot", slowed=HEAT)
    for index in range(2):
        site.builder.device("unknown", f"unknown-{index}", index=index)
    site.job("ml/train", ("hot", 0), ("hot", 1))
    assert moves(planned(site)) == []


def test_a_free_node_with_a_device_that_does_not_answer_is_too_small() -> None:
    site = Site()
    site.node("hot", slowed=HEAT)
    add_device(site.builder, "free", "free-0", index=0)
    add_device(site.builder, "free", "free-1", index=1, state={"lost": 1.0})
    site.job("ml/train", ("hot", 0), ("hot", 1))
    assert moves(planned(site)) == []


def test_a_gang_on_several_nodes_is_not_torn() -> None:
    site = hot_site()
    site.job("ml/gang", ("hot", 0), ("hot", 1), ("busy", 1))
    assert moves(planned(site)) == []


def test_a_job_that_shares_its_devices_is_not_moved() -> None:
    site = hot_site()
    site.job("ml/guest", ("hot", 0))
    assert moves(planned(site)) == []


@pytest.mark.parametrize("scheduler", ["yarn", "docker", "none"])
def test_a_core_that_moves_no_jobs_is_not_asked_to(scheduler: str) -> None:
    assert moves(planned(hot_site(scheduler=scheduler))) == []


def test_the_rails_hold_for_these_moves_too() -> None:
    frozen = Limits(rules=SiteRules(nodes=("hot",)))
    assert moves(planned(hot_site(), frozen)) == []
    (reason,) = {one.reason for one in planned(hot_site(), frozen).withheld if one.kind == "migrate"}
    assert reason == "node hot is left alone (hot)"


def test_the_move_is_withdrawn_when_the_node_is_cool_again_and_the_look_at_the_cooling_with_it() -> None:
    frame = hot_site().builder.build()
    result = judged(frame)
    topology = topology_of(frame, now=frame.now)
    topology = replace(topology, relief=relief_of(result.findings, frame, topology.platforms))
    first = recommend(result.findings, (), topology, Ledger(), now=frame.now)
    again = recommend(result.findings, (), topology, first.ledger, now=frame.now + 10)
    assert (again.fresh, again.withdrawn, len(again.ledger.open)) == ((), (), 3)
    after = recommend((), (), topology, again.ledger, now=frame.now + 20)
    assert {one.reason for one in after.withdrawn} == {"findingEnded"}
    assert (len(after.withdrawn), after.ledger.open) == (3, {})


def test_without_a_hot_node_no_pool_is_made() -> None:
    class Untouchable:
        def __getattr__(self, name: str) -> Any:
            raise AssertionError(name)

    assert relief_of((), Untouchable(), {}) == {}  # type: ignore[arg-type]


def test_for_a_gang_no_pool_is_made() -> None:
    site = Site()
    site.node("hot", slowed=HEAT)
    site.node("busy")
    site.job("ml/gang", ("hot", 0), ("hot", 1), ("busy", 1))
    frame = site.builder.build()
    findings = [one for one in judged(frame).findings if one.scope.job_id == "ml/gang"]
    assert findings
    asked = relief_of(findings, frame, topology_of(frame, now=frame.now).platforms)
    assert {plan.reason for plan in asked.values()} == {
        "nothing worth moving: ml/gang cannot be started elsewhere by its core, or is a gang"
    }


def test_the_watched_cluster_holds_what_the_frame_shows() -> None:
    site = hot_site()
    site.builder.gauge(device.MEMORY_USED, 2.0**30, node="free", uuid="free-1", index="1", instance_id="3")
    watched = watched_cluster(site.builder.build(), "test", {"ml/train"})
    sizes = {node.name: node.gpu_count for node in watched.occupancy.cluster.nodes}
    assert sizes == {"hot": 2, "busy": 2, "free": 1}  # a partitioned device is no whole one
    assert {name: pod.is_movable for name, pod in watched.occupancy.pods.items()} == {
        "ml/train@hot": True,
        "ml/other@busy": False,
    }
    assert watched.rack_of == {"hot": "r1", "busy": "r1", "free": "r1"}
    assert watched.throttled_ratio["hot"] == pytest.approx(1.0)
