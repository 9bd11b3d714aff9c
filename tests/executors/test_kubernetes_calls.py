"""What the Kubernetes executor would ask for and when it sees no room; no server is needed to know that."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.executors.executor_contract import advice
from tests.kubernetes.made import node, pod
from warpgauge.core.errors import InputError
from warpgauge.core.kubernetes import KubeNode, KubePod, parse_node, parse_pod
from warpgauge.core.recommendation import Precondition
from warpgauge.executors import ExecutionError
from warpgauge.executors.kubernetes import calls
from warpgauge.executors.kubernetes.actions import Cordon, unfit_node
from warpgauge.executors.kubernetes.budgets import check_budgets, selects
from warpgauge.executors.kubernetes.evicting import evictions_of
from warpgauge.executors.kubernetes.room import why_no_room

ID = "0d0c9df8-2a0c-5d3e-9f2e-0a1b2c3d4e5f"
TAINT = {"key": "site/own", "value": "x", "effect": "NoExecute", "timeAdded": "2026-01-02T03:04:05Z"}


@pytest.mark.parametrize("text", ["", "..", "a/b", "A", "a b", "a?x=1", "-a", "a-", "a%2fb", "a\n", "a" * 254, "é"])
def test_what_is_no_name_goes_into_no_path(text: str):
    with pytest.raises(InputError, match="is not the name of a Kubernetes object"):
        calls.object_name(text)


@given(st.text())
def test_a_name_that_is_taken_needs_no_quoting(text: str):
    try:
        name = calls.object_name(text)
    except InputError:
        return
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789.-")


@pytest.mark.parametrize("text", ["", "short", "a" * 64, "with space-123", "semi;colon-1", "-12345678"])
def test_an_id_that_is_none_is_written_nowhere(text: str):
    with pytest.raises(InputError, match="is not the id of a recommendation"):
        calls.cordon(parse_node(node()), text)


def test_every_change_of_a_node_is_bound_to_what_was_seen():
    seen = parse_node(node(spec={"taints": [TAINT]}))
    for call in (
        calls.cordon(seen, ID),
        calls.uncordon(seen),
        calls.release(seen),
        calls.taint(seen, calls.AVOID, ID, "PreferNoSchedule"),
        calls.untaint(seen, calls.AVOID),
    ):
        assert call.body["metadata"].items() >= {"uid": "uid-gpu-a", "resourceVersion": "7"}.items()


def test_taints_of_others_are_written_back_as_they_were():
    seen = parse_node(node(spec={"taints": [TAINT]}))
    assert calls.taint(seen, calls.AVOID, ID, "NoSchedule").body["spec"]["taints"][0] == TAINT
    assert calls.untaint(seen, calls.AVOID).body["spec"]["taints"] == [TAINT]


def test_giving_back_a_node_that_somebody_else_cordoned_leaves_it_cordoned():
    taints = [{"key": calls.QUARANTINE, "value": ID, "effect": "NoSchedule"}]
    seen = parse_node(node(spec={"unschedulable": True, "taints": taints}))
    assert calls.release(seen).body["spec"] == {"taints": None}


@pytest.mark.parametrize(
    ("selector", "takes"),
    [
        (None, False),
        ({}, True),
        ({"matchLabels": {"app": "a"}}, True),
        ({"matchLabels": {"app": "b"}}, False),
        ({"matchExpressions": [{"key": "app", "operator": "In", "values": ["a", "b"]}]}, True),
        ({"matchExpressions": [{"key": "app", "operator": "NotIn", "values": ["a"]}]}, False),
        ({"matchExpressions": [{"key": "x", "operator": "DoesNotExist"}]}, True),
        ({"matchExpressions": [{"key": "x", "operator": "Exists"}]}, False),
        ({"matchExpressions": [{"key": "x", "operator": "Newer"}]}, True),
    ],
)
def test_a_budget_counts_for_the_pods_that_it_selects(selector: Any, *, takes: bool):
    assert selects(selector, {"app": "a"}) is takes


def pods(*made: dict[str, Any]) -> list[KubePod]:
    return [parse_pod(one) for one in made]


def room(moving: list[KubePod], *others: dict[str, Any], nodes: tuple[dict[str, Any], ...]) -> str | None:
    return why_no_room(moving, "a", [parse_node(one) for one in nodes], [*moving, *pods(*others)])


class Cluster:
    """A look at one node, some pods and one budget."""

    def __init__(self, *pods: dict[str, Any], allowed: int = 0, **about: Any) -> None:
        self._node, self._pods, self._allowed = parse_node(node(**about)), [parse_pod(one) for one in pods], allowed

    def node(self, _: str) -> KubeNode:
        return self._node

    def pods_in(self, _: str) -> list[KubePod]:
        return self._pods

    def budgets(self, _: str) -> list[dict[str, Any]]:
        return [{"metadata": {"name": "b"}, "spec": {"selector": {}}, "status": {"disruptionsAllowed": self._allowed}}]


def test_a_node_that_was_set_up_anew_under_an_old_name_is_left_alone():
    meant = advice(preconditions=(Precondition(check="kubernetesNodeUid", expected="uid-of-before"),))
    assert "is another machine" in str(unfit_node(meant, Cluster()))
    assert unfit_node(advice(preconditions=()), Cluster()) is None


@pytest.mark.parametrize(("whose", "steps"), [("of this one", 1), ("of another", 0)])
def test_only_the_cordon_of_the_same_recommendation_is_taken_back(whose: str, steps: int):
    ours = advice()
    marks = {"annotations": {calls.CORDONED_BY: ours.id if whose == "of this one" else ID}}
    assert len(Cordon().way_back(ours, Cluster(spec={"unschedulable": True}, **marks))) == steps


def test_a_gang_is_not_evicted_by_halves():
    pods = [pod(name, at="gpu-a") for name in ("a", "b")]
    going = evictions_of(map(parse_pod, pods))
    check_budgets(going, Cluster(*pods, allowed=2))
    with pytest.raises(ExecutionError, match="allows 1 of the 2 evictions that belong together"):
        check_budgets(going, Cluster(*pods, allowed=1))


def test_a_gang_has_room_only_if_all_of_it_has():
    gang = pods(pod("t0", at="a", gpus=4), pod("t1", at="b", gpus=4))
    assert room(gang, nodes=(node("a"), node("b"))) is None  # t1 leaves b as well, so b has room for both
    assert "pod ml/t1 has no room" in (room(gang, pod("x", at="b", gpus=1), nodes=(node("a"), node("b"))) or "")


@pytest.mark.parametrize(
    "other",
    [
        node("b", spec={"unschedulable": True}),
        node("b", ready="False"),
        node("b", labels={"nvidia.com/gpu.replicas": "2"}),
        node("b", spec={"taints": [{"key": "own", "effect": "NoSchedule"}]}),
        node("b", gpus=0),
    ],
)
def test_a_node_that_takes_no_such_pod_is_no_room(other: dict[str, Any]):
    assert room(pods(pod("t", at="a", gpus=1)), nodes=(node("a"), other)) is not None


def test_the_largest_is_seated_first():
    moving = pods(pod("small", at="a", gpus=1), pod("large", at="a", gpus=8))
    assert room(moving, nodes=(node("a"), node("b"), node("c", gpus=1))) is None


def test_where_a_place_is_asked_for_in_other_words_room_cannot_be_judged():
    moving = pods(pod("t", at="a", spec={"resourceClaims": [{"name": "g"}]}))
    assert "asks for its place by resourceClaims" in (room(moving, nodes=(node("a"), node("b"))) or "")
