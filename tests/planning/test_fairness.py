"""Dominant-resource fairness and the queue: whose turn it is, gangs whole or not at all, and why a job waits."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.planning.pools import NODES, PODS, adds_up, filled, node, pod, state
from warpgauge.analyzer.planning.fairness import (
    HALF_LIFE_SECONDS,
    Resources,
    Use,
    decayed,
    dominant_share,
    poorest,
)
from warpgauge.analyzer.planning.occupancy import Occupancy
from warpgauge.analyzer.planning.policies import placer_for
from warpgauge.analyzer.planning.waiting import jobs_of, place_waiting, why_waiting

NINE_CPUS = Resources(cpu_milli=9000, memory_mib=18 * 1024)


def placed(nodes, pods, **more):
    occupancy = Occupancy(nodes)
    outcome = place_waiting(occupancy, placer_for("bestfit", occupancy.cluster, pods), jobs_of(pods), **more)
    return occupancy, outcome


def test_the_dominant_share_is_the_largest_part_of_any_resource():
    """The example of the DRF paper: <3 CPU, 12 GB> and <6 CPU, 2 GB> of <9 CPU, 18 GB> are two thirds each."""
    first = Resources(cpu_milli=3000, memory_mib=12 * 1024)
    second = Resources(cpu_milli=6000, memory_mib=2 * 1024)
    assert dominant_share(first, NINE_CPUS) == pytest.approx(2 / 3)
    assert dominant_share(second, NINE_CPUS) == pytest.approx(2 / 3)


def test_the_paper_s_example_is_reproduced_pod_by_pod():
    """Tenant a asks for <1 CPU, 4 GB>, b for <3 CPU, 1 GB>: DRF gives a three and b two tasks of <9 CPU, 18 GB>."""
    box = node("n", 0, cores=9)
    box = type(box)(name="n", cpu_milli=9000, memory_mib=18 * 1024, gpu_count=0)
    kinds = {"a": Resources(cpu_milli=1000, memory_mib=4096), "b": Resources(cpu_milli=3000, memory_mib=1024)}
    pods = [_like(pod(f"{tenant}{number}", 0, tenant=tenant), kinds[tenant]) for tenant in kinds for number in range(9)]
    _, outcome = placed([box], pods)
    assert [sum(one.tenant == tenant for one, _ in outcome.placed) for tenant in "ab"] == [3, 2]


def _like(one, asked):
    request = type(one.request)(cpu_milli=int(asked.cpu_milli), memory_mib=int(asked.memory_mib))
    return type(one)(name=one.name, tenant=one.tenant, request=request)


def test_past_use_counts_half_after_a_half_life():
    hour = Resources(gpu_milli=1000)
    now = 10 * HALF_LIFE_SECONDS
    recent = decayed([Use(start=now - 3600, end=now, held=hour)], now=now)
    old = decayed([Use(start=now - 3600 - HALF_LIFE_SECONDS, end=now - HALF_LIFE_SECONDS, held=hour)], now=now)
    assert old.gpu_milli == pytest.approx(recent.gpu_milli / 2)


def test_what_was_always_held_is_what_is_held_and_the_future_is_not():
    always = [Use(start=-1e12, end=1e12, held=Resources(gpu_milli=4000))]
    assert decayed(always, now=0.0).gpu_milli == pytest.approx(4000)
    assert decayed([Use(start=5.0, end=9.0, held=Resources(gpu_milli=4000))], now=0.0) == Resources()


def test_the_poorest_goes_first_by_weight_and_then_by_name():
    capacity, two = Resources(gpu_milli=8000), Resources(gpu_milli=2000)
    assert poorest(["b", "a"], {"a": two, "b": two}, capacity, {}) == "a"
    assert poorest(["b", "a"], {"a": two, "b": two}, capacity, {"b": 2.0}) == "b"


def test_who_used_much_lately_waits_for_who_did_not():
    pods = [pod(f"{tenant}{number}", tenant=tenant) for tenant in ("greedy", "new") for number in range(8)]
    _, outcome = placed([node("n")], pods, past={"greedy": Resources(gpu_milli=6000)})
    assert [sum(one.tenant == tenant for one, _ in outcome.placed) for tenant in ("greedy", "new")] == [1, 7]


def test_a_gang_is_placed_whole_or_not_at_all():
    gang = [pod(f"rank{number}", 8, cores=80, gang="train") for number in range(3)]
    occupancy, outcome = placed([node("a"), node("b")], [*gang, pod("small")])
    assert [one.name for one, _ in outcome.placed] == ["small"]
    ((job, reason),) = outcome.waiting
    assert (job.name, len(job.pods)) == ("train", 3)
    assert reason.startswith("its 3 pods do not all fit at once; 8 GPUs, 80 cores, 80 GiB: of 2 such nodes 2 have the")
    assert adds_up(occupancy)


def test_gangs_of_two_tenants_with_one_name_are_two_gangs():
    pods = [pod("a0", gang="g", tenant="a"), pod("b0", gang="g", tenant="b")]
    assert [len(job.pods) for job in jobs_of(pods)] == [1, 1]


def test_a_job_that_no_node_could_ever_hold_is_told_so():
    cluster = Occupancy([node("a", 2)]).cluster
    (job,) = jobs_of([pod("p", 8)])
    assert why_waiting(cluster, job) == "no node of the pool could ever hold 8 GPUs, 8 cores, 8 GiB"


def test_a_waiting_job_is_told_what_its_nodes_lack():
    occupancy, outcome = placed([node("a"), node("b")], [pod("cpu", 0, cores=90), pod("w", 8), pod("x", 1, cores=90)])
    assert [one.name for one, _ in outcome.placed] == ["cpu", "w"]
    assert outcome.waiting[0][1] == (
        "1 GPU, 90 cores, 90 GiB: of 2 such nodes 1 have the devices free, 0 the CPU and memory, 0 both"
    )
    assert len(occupancy.pods) == 2


@settings(max_examples=40, deadline=None)
@given(NODES, PODS, st.integers(0, 3), st.integers(0, 3))
def test_the_queue_never_overcommits_and_forgets_nobody(nodes, pods, tenants, gangs):
    named = [
        type(one)(
            name=one.name,
            request=one.request,
            tenant=str(place % (tenants + 1)),
            gang=str(place % (gangs + 1)) if gangs and place % 2 else "",
        )
        for place, one in enumerate(pods)
    ]
    occupancy, outcome = placed(nodes, named)
    waiting = {one.name for job, _ in outcome.waiting for one in job.pods}
    assert adds_up(occupancy)
    assert {one.name for one, _ in outcome.placed} == set(occupancy.pods)
    assert waiting.isdisjoint(occupancy.pods)
    assert waiting | set(occupancy.pods) == {one.name for one in named}
    for job in jobs_of(named):
        assert len({one.name in occupancy.pods for one in job.pods}) == 1


@settings(max_examples=30, deadline=None)
@given(NODES, PODS)
def test_a_queue_of_single_pods_of_one_tenant_is_the_policy_in_file_order(nodes, pods):
    assert state(placed(nodes, pods)[0])[0] == state(filled(nodes, pods, "bestfit"))[0]
