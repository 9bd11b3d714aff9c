"""The greedy plans beside exact ones (HiGHS) on pools small enough to solve."""

from __future__ import annotations

import pytest

from tests.planning.oracle import most_gpu_milli, most_whole_nodes
from tests.planning.pools import filled, node, workload
from warpgauge.analyzer.planning.consolidation import consolidate
from warpgauge.analyzer.planning.pool import MILLI

NODES = [node("a", 2, cores=16), node("b", 2, cores=24), node("c", 4, cores=40), node("d", 2, cores=64)]
SEEDS = range(6)


def allocated(policy, pods):
    return MILLI * sum(one.gpu_count for one in NODES) - int(filled(NODES, pods, policy).cluster.gpu_left.sum())


@pytest.mark.parametrize(("policy", "most_regret"), [("bestfit", 0.25), ("fgd", 0.2), ("filling", 0.2)])
def test_no_policy_beats_the_optimum_and_none_is_far_below(policy, most_regret):
    regrets = []
    for seed in SEEDS:
        pods = workload(seed, 14)
        best = most_gpu_milli(NODES, pods)
        found = allocated(policy, pods)
        assert found <= best
        regrets.append(1 - found / best)
    assert sum(regrets) / len(regrets) < most_regret  # first come, first served: the optimum chooses who comes


def test_consolidation_never_claims_more_than_the_optimum_and_often_reaches_it():
    nodes = [node(f"n{number}", 2, cores=24) for number in range(5)]
    reached = 0
    for seed in SEEDS:
        occupancy = filled(nodes, workload(seed, 7), "spread")
        plan = consolidate(occupancy, gpu_count=2, wanted=5, may_move=lambda _pod: True)
        best = most_whole_nodes(occupancy, 2)
        assert plan.gain.after <= best
        reached += plan.gain.after == best
    assert reached >= len(SEEDS) / 2
