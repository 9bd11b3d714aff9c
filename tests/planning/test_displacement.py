"""Stragglers, heat and noise: who moves, where to, and when nothing is proposed."""

from __future__ import annotations

import pytest

from tests.planning.pools import node, pod
from tests.planning.test_consolidation import running
from warpgauge.analyzer.planning.displacement import cool_down, replace_straggler, separate


def gang(count=2):
    return [pod(f"rank{number}", 4, cores=40, gang="train", movable=False) for number in range(count)]


def slow_node(*others):
    ranks = gang()
    return running([node("slow"), *others], (ranks[0], "slow", (0, 1, 2, 3)), (ranks[1], "slow", (4, 5, 6, 7)))


def test_a_spare_of_the_same_kind_takes_over_all_pods_of_a_straggler():
    plan = replace_straggler(slow_node(node("spare")), "slow", spares=["spare"])
    assert {(move.pod, move.target) for move in plan.moves} == {("rank0", "spare"), ("rank1", "spare")}


@pytest.mark.parametrize(
    ("other", "spares"),
    [
        (node("spare"), []),
        (node("spare", model="B"), ["spare"]),
        (node("spare", 4), ["spare"]),
        (node("spare", zone="far"), ["spare"]),
        (node("spare", cores=79), ["spare"]),
    ],
)
def test_without_a_spare_of_the_same_kind_a_gang_is_not_restarted(other, spares):
    plan = replace_straggler(slow_node(other), "slow", spares=spares)
    assert plan.moves == ()
    assert plan.reason.startswith("nothing worth moving: there is no spare for slow")


def test_a_node_in_use_is_no_spare():
    occupancy = slow_node(node("busy"))
    taken = occupancy.cluster.index["busy"]
    occupancy.start(pod("x", 0), type(occupancy.seat_of("rank0"))(taken))
    assert replace_straggler(occupancy, "slow", spares=["busy"]).moves == ()


def hot_pool():
    nodes = [node("hot"), node("warm"), node("cool")]
    return running(nodes, (pod("big", 4), "hot", (0, 1, 2, 3)), (pod("small", 1), "hot", (4,)))


def test_the_largest_movable_pod_leaves_a_hot_node_for_a_cool_one():
    heat = {"hot": 0.4, "warm": 0.2, "cool": 0.0}
    (move,) = cool_down(hot_pool(), "hot", throttled_ratio=heat, rack_of={}).moves
    assert (move.pod, move.target) == ("big", "cool")


def test_a_node_that_was_not_measured_gets_nothing():
    plan = cool_down(hot_pool(), "hot", throttled_ratio={"hot": 0.4}, rack_of={})
    assert plan.moves == ()
    assert "no movable pod of hot has a place on a cool node" in plan.reason


def test_a_hot_rack_is_a_matter_of_cooling():
    heat = {"hot": 0.4, "warm": 0.2, "cool": 0.0}
    plan = cool_down(hot_pool(), "hot", throttled_ratio=heat, rack_of={"hot": "r1", "warm": "r1"})
    assert plan.moves == ()
    assert "1 of 1 other nodes of rack r1 are hot too: check its cooling" in plan.reason


def test_a_cool_node_is_left_alone():
    heat = {"hot": 0.05, "warm": 0.0, "cool": 0.0}
    assert cool_down(hot_pool(), "hot", throttled_ratio=heat, rack_of={}).moves == ()


def test_the_noisy_pod_moves_rather_than_its_victims():
    occupancy = running(
        [node("a"), node("b"), node("c")],
        (pod("noisy"), "a", (0,)),
        (pod("quiet"), "a", (1,)),
        (pod("other"), "b", (0,)),
    )
    (move,) = separate(occupancy, noisy="noisy", victims=["quiet", "other"]).moves
    assert (move.pod, move.target) == ("noisy", "c")  # not to b, where another victim runs


def test_a_noisy_pod_that_must_stay_sees_its_victim_go():
    occupancy = running([node("a"), node("b")], (pod("noisy", movable=False), "a", (0,)), (pod("quiet"), "a", (1,)))
    (move,) = separate(occupancy, noisy="noisy", victims=["quiet"]).moves
    assert (move.pod, move.target) == ("quiet", "b")


def test_pods_on_different_nodes_are_apart_already():
    occupancy = running([node("a"), node("b")], (pod("noisy"), "a", (0,)), (pod("quiet"), "b", (1,)))
    assert separate(occupancy, noisy="noisy", victims=["quiet", "gone"]).moves == ()
