"""Whole nodes for waiting gangs: all or nothing, the cheapest first, and silence where there is nothing to win."""

from __future__ import annotations

import pytest

from tests.planning.pools import filled, node, pod, workload
from warpgauge.analyzer.planning.churn import churned
from warpgauge.analyzer.planning.cluster import Seat
from warpgauge.analyzer.planning.consolidation import consolidate
from warpgauge.analyzer.planning.defragmentation import defragment
from warpgauge.analyzer.planning.moves import RESTART_SECONDS, Gain, Move, MovePlan, carry_out, cost_of, undo
from warpgauge.analyzer.planning.occupancy import Occupancy
from warpgauge.analyzer.planning.typical import TypicalPods


def running(nodes, *seats) -> Occupancy:
    """`seats` are (pod, node name, devices)."""
    occupancy = Occupancy(nodes)
    for one, name, gpus in seats:
        occupancy.start(one, Seat(occupancy.cluster.index[name], gpus))
    return occupancy


def test_the_node_with_the_fewest_gpu_pods_is_emptied_into_nodes_in_use():
    occupancy = running(
        [node("a"), node("b"), node("c")],
        (pod("p", 1), "a", (0,)),
        (pod("q", 1), "a", (1,)),
        (pod("r", 4), "b", (0, 1, 2, 3)),
    )
    plan = consolidate(occupancy, gpu_count=8, wanted=2)
    (move,) = plan.moves
    assert (move.pod, move.source, move.target) == ("r", "b", "a")
    assert (plan.gain.before, plan.gain.after) == (1, 2)


def test_a_node_is_not_touched_if_one_of_its_pods_has_no_place():
    occupancy = running(
        [node("a"), node("b")],
        (pod("p", 1), "a", (0,)),
        (pod("q", 1, models=["A"], cores=80), "a", (1,)),
        (pod("r", 4, cores=90, movable=False), "b", (0, 1, 2, 3)),
    )
    plan = consolidate(occupancy, gpu_count=8, wanted=1)
    assert plan.moves == ()
    assert plan.reason.startswith("nothing worth moving: no node of 8 GPUs can be emptied")


def test_room_that_a_refused_node_had_been_promised_serves_the_next():
    occupancy = running(
        [node("a"), node("b"), node("c")],
        (pod("p", 3, cores=10), "a", (0, 1, 2)),
        (pod("q", 1, cores=86), "a", (3,)),  # has no other place, so p, which fits c, stays too
        (pod("r", 2, cores=45), "b", (0, 1)),
        (pod("s", 3, cores=45), "b", (2, 3, 4)),
        (pod("fixed", 3, cores=2, movable=False), "c", (0, 1, 2)),
    )
    plan = consolidate(occupancy, gpu_count=8, wanted=1)
    assert {(move.pod, move.target) for move in plan.moves} == {("r", "c"), ("s", "c")}


@pytest.mark.parametrize("hindrance", [{"movable": False}, {"gang": "train"}])
def test_what_may_not_move_keeps_its_node(hindrance):
    occupancy = running(
        [node("a"), node("b")],
        (pod("p", 1, **hindrance), "a", (0,)),
        (pod("q", 1, **hindrance), "b", (0,)),
    )
    assert consolidate(occupancy, gpu_count=8, wanted=1).moves == ()


def test_no_pod_is_moved_into_a_node_that_is_free_already():
    occupancy = running(
        [node("a"), node("b"), node("c"), node("free")],
        (pod("p", 1), "a", (0,)),
        (pod("fixed", 4, movable=False), "b", (0, 1, 2, 3)),
        (pod("whole", 8), "c", tuple(range(8))),
    )
    assert [move.pod for move in consolidate(occupancy, gpu_count=8, wanted=3).moves] == ["p"]


def test_nothing_is_moved_while_enough_nodes_are_free():
    occupancy = running([node("a"), node("b"), node("c")], (pod("p"), "a", (0,)), (pod("q"), "b", (0,)))
    plan = consolidate(occupancy, gpu_count=8, wanted=1)
    assert plan.moves == ()
    assert plan.reason == "nothing worth moving: 1 whole node of 8 GPUs free already, 1 wanted"


def test_the_cost_counts_restarts_and_known_losses_and_names_the_unknown():
    occupancy = running(
        [node("a"), node("b")],
        (pod("p", 2, lost_gpu_seconds=500.0), "a", (0, 1)),
        (pod("q", 0.5), "a", (2,)),
        (pod("c", 0), "a", ()),
        (pod("r", 4, movable=False), "b", (0, 1, 2, 3)),
    )
    cost = consolidate(occupancy, gpu_count=8, wanted=1).cost
    assert cost.gpu_seconds == 2.5 * RESTART_SECONDS + 500.0
    assert cost.pods_of_unknown_loss == 1


def test_a_spread_cluster_gives_whole_nodes_and_a_packed_one_nothing():
    nodes, pods = [node(f"n{number:02}") for number in range(20)], workload(2, 200)
    spread = churned(nodes, pods, "spread", load_ratio=0.6, departures=600, seed=1)
    packed = churned(nodes, pods, "bestfit", load_ratio=0.6, departures=600, seed=1)
    freed = consolidate(spread, gpu_count=8, wanted=2, may_move=lambda _pod: True)
    assert (freed.gain.before, freed.gain.after) == (0, 2)
    silent = consolidate(packed, gpu_count=8, wanted=2, may_move=lambda _pod: True)
    assert silent.moves == ()
    assert silent.reason.startswith("nothing worth moving")


def test_defragmentation_brings_shares_together():
    pods = [pod("p", 0.5), pod("q", 0.5)]
    occupancy = running([node("a", 1), node("b", 1)], (pods[0], "a", (0,)), (pods[1], "b", (0,)))
    whole = [pod(f"w{number}", 1) for number in range(8)]
    plan = defragment(occupancy, TypicalPods([*pods, *whole]), most_moves=5)
    carry_out(occupancy, plan.moves)
    assert len(plan.moves) == 1
    assert sorted(occupancy.cluster.gpu_left.ravel().tolist()) == [0, 1000]
    assert plan.gain.after < plan.gain.before


def test_defragmentation_of_a_packed_pool_says_nothing_worth_moving():
    pods = workload(3, 150)
    occupancy = filled([node(f"n{number}") for number in range(8)], pods, "bestfit")
    plan = defragment(occupancy, TypicalPods(pods), most_moves=5, least_gain_milli=2500, may_move=lambda _pod: True)
    assert plan.moves == ()
    assert plan.reason == "nothing worth moving: no move wins 2.5 GPU"


def test_undo_takes_the_moves_backwards():
    """q takes the seat that p left: it must be free again before p can return."""
    seats = [(pod("p", 8), "a", tuple(range(8))), (pod("q", 8), "c", tuple(range(8)))]
    occupancy = running([node("a"), node("b"), node("c")], *seats)
    places = [Seat(place, tuple(range(8))) for place in range(3)]
    moves = (
        Move.between(seats[0][0], occupancy.cluster, places[0], places[1]),
        Move.between(seats[1][0], occupancy.cluster, places[2], places[0]),
    )
    gain = Gain(metric="any", unit="nodes", before=0, after=0)
    plan = MovePlan(moves=moves, gain=gain, cost=cost_of([]), reason="")
    carry_out(occupancy, plan.moves)
    assert (occupancy.seat_of("p"), occupancy.seat_of("q")) == (places[1], places[0])
    undo(occupancy, plan)
    assert (occupancy.seat_of("p"), occupancy.seat_of("q")) == (places[0], places[2])


def test_moves_that_do_not_start_where_they_say_are_refused():
    occupancy = running([node("a"), node("b")], (pod("p"), "a", (0,)), (pod("q"), "b", (0,)))
    plan = consolidate(occupancy, gpu_count=8, wanted=1)
    carry_out(occupancy, plan.moves)
    with pytest.raises(ValueError, match="pod p does not run on a"):
        carry_out(occupancy, plan.moves)


def test_a_move_without_room_leaves_everything_where_it_was():
    occupancy = running([node("a"), node("b")], (pod("p"), "a", (0,)), (pod("q"), "b", (0,)))
    plan = consolidate(occupancy, gpu_count=8, wanted=1)
    occupancy.start(pod("r", 7, cores=80), Seat(1, (1, 2, 3, 4, 5, 6, 7)))
    occupancy.start(pod("s", 0, cores=7), Seat(1))
    with pytest.raises(ValueError, match="does not fit b"):
        carry_out(occupancy, plan.moves)
    assert occupancy.seat_of("p") == Seat(0, (0,))
