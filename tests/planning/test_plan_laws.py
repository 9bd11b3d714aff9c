"""Laws of every plan: nothing is overcommitted, every move has room, and the way back leads back."""

from __future__ import annotations

from hypothesis import given, settings
from hypothesis import strategies as st

from tests.planning.pools import NODES, PODS, adds_up, filled, state
from warpgauge.analyzer.planning.consolidation import consolidate
from warpgauge.analyzer.planning.defragmentation import defragment
from warpgauge.analyzer.planning.displacement import cool_down, replace_straggler, separate
from warpgauge.analyzer.planning.moves import carry_out, undo
from warpgauge.analyzer.planning.policies import POLICY_NAMES
from warpgauge.analyzer.planning.typical import TypicalPods

POLICIES = st.sampled_from(POLICY_NAMES)
EXAMPLES = settings(max_examples=40, deadline=None)


def plans(occupancy):
    """One plan of every kind for this occupancy."""
    pods = list(occupancy.pods.values())
    names = [node.name for node in occupancy.cluster.nodes]
    for count in {node.gpu_count for node in occupancy.cluster.nodes}:
        yield consolidate(occupancy, gpu_count=count, wanted=3)
    yield defragment(occupancy, TypicalPods(pods), most_moves=4, least_gain_milli=1)
    yield replace_straggler(occupancy, names[0], spares=names)
    heat = dict.fromkeys(names, 0.0) | {names[0]: 0.5}
    yield cool_down(occupancy, names[0], throttled_ratio=heat, rack_of={})
    if pods:
        yield separate(occupancy, noisy=pods[0].name, victims=[one.name for one in pods[1:]])


@EXAMPLES
@given(NODES, PODS, POLICIES)
def test_no_policy_overcommits_a_node_or_a_device(nodes, pods, policy):
    assert adds_up(filled(nodes, pods, policy))


@EXAMPLES
@given(NODES, PODS, POLICIES)
def test_every_plan_can_be_carried_out_move_by_move_and_adds_up(nodes, pods, policy):
    occupancy = filled(nodes, pods, policy)
    for plan in plans(occupancy):
        changed = occupancy.copy()
        for move in plan.moves:
            carry_out(changed, [move])
            assert adds_up(changed)
        assert set(changed.pods) == set(occupancy.pods)


@EXAMPLES
@given(NODES, PODS, POLICIES)
def test_undo_restores_the_state_exactly(nodes, pods, policy):
    occupancy = filled(nodes, pods, policy)
    for plan in plans(occupancy):
        changed = occupancy.copy()
        carry_out(changed, plan.moves)
        undo(changed, plan)
        assert state(changed) == state(occupancy)


@EXAMPLES
@given(NODES, PODS, POLICIES)
def test_planning_changes_nothing(nodes, pods, policy):
    occupancy = filled(nodes, pods, policy)
    before = state(occupancy)
    list(plans(occupancy))
    assert state(occupancy) == before


@EXAMPLES
@given(NODES, PODS, POLICIES)
def test_only_movable_pods_without_a_gang_are_moved(nodes, pods, policy):
    occupancy = filled(nodes, pods, policy)
    stay = set(list(occupancy.pods)[::2])
    plan = consolidate(occupancy, gpu_count=8, wanted=9, may_move=lambda one: one.name not in stay)
    assert not stay & {move.pod for move in plan.moves}


@EXAMPLES
@given(NODES, PODS)
def test_a_consolidation_gains_exactly_the_nodes_it_says(nodes, pods):
    occupancy = filled(nodes, pods)
    for count in {node.gpu_count for node in nodes}:
        plan = consolidate(occupancy, gpu_count=count, wanted=len(nodes))
        carried = occupancy.copy()
        carry_out(carried, plan.moves)
        empty = sum(
            not carried.on(place) for place, node in enumerate(carried.cluster.nodes) if node.gpu_count == count
        )
        assert plan.gain.after == empty
        assert bool(plan.moves) == (plan.gain.after > plan.gain.before)


@EXAMPLES
@given(NODES, PODS, POLICIES.filter(lambda name: name != "random"), st.randoms(use_true_random=False))
def test_the_order_of_nodes_in_the_file_does_not_matter(nodes, pods, policy, rng):
    shuffled = list(nodes)
    rng.shuffle(shuffled)
    assert state(filled(shuffled, pods, policy)) == state(filled(nodes, pods, policy))


@EXAMPLES
@given(NODES, PODS, POLICIES)
def test_pods_that_ask_for_the_same_may_swap_their_turns(nodes, pods, policy):
    """Equal pods are interchangeable: which of them comes first decides nothing but their names."""
    by_request = {}
    for one in pods:
        by_request.setdefault(one.request, []).append(one)
    swapped = [by_request[one.request].pop() for one in pods]
    first, second = filled(nodes, pods, policy, seed=7), filled(nodes, swapped, policy, seed=7)
    assert state(first)[0] == state(second)[0]
