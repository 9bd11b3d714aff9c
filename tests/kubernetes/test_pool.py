"""A Kubernetes cluster in the planner's words."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.kubernetes.made import node, pod
from warpgauge.analyzer.planning.kubernetes import pool_of
from warpgauge.analyzer.planning.pool_plan import occupancy_of, plan_pool
from warpgauge.core.kubernetes import KEEP, parse_node, parse_pod

if TYPE_CHECKING:
    from warpgauge.analyzer.planning.live import LivePool


def pool(nodes: list[dict[str, Any]], pods: list[dict[str, Any]], **more: Any) -> LivePool:
    return pool_of([parse_node(one) for one in nodes], [parse_pod(one) for one in pods], **more)


def pods_of(made: LivePool) -> dict[str, Any]:
    return {one.name: one for one in made.workload.pods}


def left_out(made: LivePool) -> dict[str, str]:
    return {one.what: one.why for one in made.left_out}


def test_what_runs_and_what_is_free_add_up():
    made = pool([node("a"), node("b")], [pod("x", at="a", gpus=4), pod("y", at="a", gpus=2), pod("w", gpus=8)])
    assert occupancy_of(made.nodes, made.workload).cluster.allocated_ratio == pytest.approx(6 / 16)
    assert made.workload.seats == {"ml/x": ("a", (0, 1, 2, 3)), "ml/y": ("a", (4, 5))}


def test_the_namespace_is_the_tenant_and_a_gang_keeps_its_name_apart_from_other_namespaces():
    labels = {"jobset.sigs.k8s.io/jobset-name": "train"}
    made = pods_of(pool([node("a")], [pod("t0", gpus=1, labels=labels), pod("t1", gpus=1, labels=labels)]))
    assert {(one.tenant, one.gang) for one in made.values()} == {("ml", "ml/train")}


def test_the_highest_priority_is_tried_first_then_the_oldest():
    waiting = [
        pod("new", created="2026-01-03T00:00:00Z"),
        pod("old", created="2026-01-01T00:00:00Z"),
        pod("important", created="2026-01-04T00:00:00Z", spec={"priority": 1000}),
    ]
    assert list(pods_of(pool([node()], waiting))) == ["ml/important", "ml/old", "ml/new"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"spec": {"unschedulable": True}}, "cordoned"),
        ({"ready": "False"}, "not ready"),
        ({"labels": {"nvidia.com/gpu.replicas": "4"}}, "its GPUs are shared (time slicing or MPS)"),
        ({"gpus": 1}, "its pods hold more than it has by now"),
    ],
)
def test_a_node_that_cannot_be_planned_with_is_left_out_with_what_runs_there(change: dict[str, Any], why: str):
    made = pool([node("a", **change), node("b")], [pod("x", at="a", gpus=2)])
    assert left_out(made) == {"node a": why}
    assert ([one.name for one in made.nodes], made.workload.pods) == (["b"], ())


@pytest.mark.parametrize(
    ("spec", "why"),
    [
        ({"schedulingGates": [{"name": "kueue"}]}, "waits behind a scheduling gate, not for room"),
        ({"resourceClaims": [{"name": "g"}]}, "asks for its place by resourceClaims, which a plan does not know"),
    ],
)
def test_a_pod_that_a_place_would_not_help_is_left_out_with_its_gang(spec: dict[str, Any], why: str):
    labels = {"jobset.sigs.k8s.io/jobset-name": "train"}
    made = pool([node()], [pod("t0", spec=spec, labels=labels), pod("t1", labels=labels)])
    assert left_out(made) == {"pod ml/t0": why, "pod ml/t1": "its gang train cannot be planned as a whole"}


@pytest.mark.parametrize(
    ("change", "may_move"),
    [
        ({}, True),
        ({"owner": ""}, False),
        ({"owner": "DaemonSet"}, False),
        ({"annotations": {KEEP: "true"}}, False),
        ({"annotations": {"kubernetes.io/config.mirror": "x"}}, False),
        ({"phase": "Pending"}, False),
        ({"deletionTimestamp": "2026-01-01T00:00:00Z"}, False),
        ({"spec": {"priorityClassName": "system-node-critical"}}, False),
        ({"spec": {"priority": 10}}, False),
    ],
)
def test_only_what_its_controller_starts_again_may_move_and_never_for_less(change: dict[str, Any], *, may_move: bool):
    made = pool([node("a")], [pod("x", at="a", **change), pod("w")])
    assert pods_of(made)["ml/x"].is_movable is may_move


def test_a_gang_moves_whole_or_not_at_all():
    labels = {"jobset.sigs.k8s.io/jobset-name": "train"}
    gang = [pod("t0", at="a", labels=labels), pod("t1", at="b", labels=labels, annotations={KEEP: "true"})]
    made = pool([node("a"), node("b")], gang)
    assert {one.is_movable for one in made.workload.pods} == {False}


def test_nobody_moves_in_a_namespace_that_opted_out():
    made = pool([node("a")], [pod("x", at="a")], kept=frozenset({"ml"}))
    assert not pods_of(made)["ml/x"].is_movable


def test_a_pod_is_placed_only_where_its_selector_and_the_taints_allow():
    nodes = [
        node("a", labels={"pool": "h100"}, spec={"taints": [{"key": "gpu", "effect": "NoSchedule"}]}),
        node("b", labels={"pool": "h100"}),
        node("c", labels={"pool": "a100"}),
    ]
    tolerant = {"tolerations": [{"operator": "Exists"}], "nodeSelector": {"pool": "h100"}}
    waiting = [
        pod("anywhere", gpus=8),
        pod("h100", gpus=8, spec=tolerant),
        pod("nowhere", gpus=8, spec={"nodeSelector": {"pool": "b200"}}),
    ]
    made = pool(nodes, waiting)
    may = {name: {n.name for n in made.nodes if one.request.allows(n)} for name, one in pods_of(made).items()}
    assert may == {"ml/anywhere": {"b", "c"}, "ml/h100": {"a", "b"}, "ml/nowhere": set()}


def test_nodes_that_no_wish_tells_apart_are_one_zone():
    made = pool([node("a"), node("b"), node("c")], [pod("w", gpus=1)])
    assert len({one.zone for one in made.nodes}) == 1


def test_moves_gather_what_is_scattered_so_that_a_whole_node_job_fits():
    scattered = [pod(f"s{number}", at=name, gpus=1) for number, name in enumerate("abc")]
    made = pool([node(name) for name in "abc"], [*scattered, pod("train", gpus=8), pod("train-2", gpus=8)])
    plan = plan_pool(made.nodes, made.workload, policy="filling", may_move=lambda one: one.is_movable)
    assert plan.moves.moves
    assert {job.name for job in plan.fit_after_moves} == {"ml/train", "ml/train-2"}
