"""Moves off slow nodes in a pool that a core told of: which finding asks for which, and when nobody moves."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from tests.detectors.test_recommend import finding
from tests.frame_builder import FrameBuilder
from tests.planning.pools import node, pod
from tests.planning.test_displacement import running
from warpgauge.analyzer.frame import Frame
from warpgauge.analyzer.planning.telemetry import Measured, measured
from warpgauge.core.catalog import device
from warpgauge.core.finding import Finding, FindingKind, Mute, MutedBy, Scope

if TYPE_CHECKING:
    from warpgauge.analyzer.planning.occupancy import Occupancy


def slow(name: str = "slow") -> Finding:
    return replace(finding(FindingKind.STRAGGLER), scope=Scope(cluster="prod", node=name, job_id="train", rank=1))


def pool(*more: str) -> Occupancy:
    nodes = [node(name) for name in ("slow", "busy", *more)]
    return running(nodes, (pod("rank-0", 4), "slow", (0, 1, 2, 3)), (pod("other", 1), "busy", (0,)))


def asked(one: Finding, occupancy: Occupancy) -> Measured:
    return measured([one], Frame(), occupancy)


def test_all_pods_of_a_slow_node_go_to_one_spare() -> None:
    (relief,) = asked(slow(), pool("spare")).reliefs
    assert [(move.pod, move.target) for move in relief.plan.moves] == [("rank-0", "spare")]


def test_without_an_empty_node_of_its_kind_nobody_moves_and_it_says_why() -> None:
    (relief,) = asked(slow(), pool()).reliefs
    assert relief.plan.moves == ()
    assert "there is no spare for slow" in relief.plan.reason


def test_a_pod_that_may_not_be_moved_keeps_all_of_them_and_one_without_devices_does_not() -> None:
    nodes = [node("slow"), node("spare")]
    ranks = ((pod("rank-0", 4), "slow", (0, 1, 2, 3)), (pod("logs", 0, movable=False), "slow", ()))
    (relief,) = asked(slow(), running(nodes, *ranks)).reliefs
    assert [(move.pod, move.target) for move in relief.plan.moves] == [("rank-0", "spare")]
    fixed = (pod("fixed", 1, movable=False), "slow", (4,))
    (relief,) = asked(slow(), running(nodes, *ranks, fixed)).reliefs
    assert relief.plan.moves == ()
    assert "pod fixed of slow may not be moved" in relief.plan.reason


def test_a_node_that_the_pool_does_not_have_is_somebody_elses() -> None:
    assert asked(slow("elsewhere"), pool("spare")).reliefs == ()


def test_what_ended_or_is_muted_moves_nobody() -> None:
    muted = replace(slow(), muted=Mute(by=MutedBy.SILENCE, id="s", reason="known"))
    assert asked(muted, pool("spare")).reliefs == ()
    assert asked(replace(slow(), ended=1.0), pool("spare")).reliefs == ()


def test_of_two_findings_of_one_node_the_first_decides() -> None:
    first, second = slow(), replace(finding(FindingKind.THERMAL_LIMITED), scope=Scope(cluster="prod", node="slow"))
    (relief,) = measured([first, second], Frame(), pool("spare")).reliefs
    assert relief.finding.kind is FindingKind.STRAGGLER


def test_for_a_gang_that_heat_slows_nobody_elses_pod_goes() -> None:
    builder = FrameBuilder(columns=60, cluster="prod")
    for name, hot in (("slow", 1.0), ("busy", 0.0)):
        builder.device(name, f"GPU-{name}")
        where = {"node": name, "uuid": f"GPU-{name}", "index": "0"}
        builder.gauge(device.THROTTLE_ACTIVE, hot, reason="hw_thermal", **where)
        builder.job(f"job of {name}", [(name, f"GPU-{name}")])
    hot = replace(
        finding(FindingKind.THERMAL_LIMITED),
        scope=Scope(cluster="prod", node="slow", job_id="ml/train", uuid="GPU-slow"),
    )
    rank = pod("ml/train-worker-0", 1, gang="ml/train")
    pods = running([node("slow"), node("busy")], (pod("ml/big", 4), "slow", (1, 2, 3, 4)), (rank, "slow", (0,)))

    (relief,) = measured([hot], builder.build(), pods).reliefs
    assert relief.plan.moves == ()
    assert "pod ml/train-worker-0 of slow cannot move" in relief.plan.reason
