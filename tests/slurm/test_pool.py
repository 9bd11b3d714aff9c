"""A Slurm cluster in the planner's words."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from warpgauge.analyzer.planning.pool_plan import occupancy_of, plan_pool
from warpgauge.analyzer.planning.slurm import MOST_TASKS, pool_of, read_pool
from warpgauge.core.errors import ConfigError, InputError
from warpgauge.core.slurm import Allocation, parse_jobs, parse_nodes

RECORDED = Path(__file__).parents[1] / "fixtures" / "slurm-22.05.8"
NODES = parse_nodes((RECORDED / "sinfo.json").read_bytes())
GANG, SINGLE, WAITING, PINNED, ARRAY, _CANCELLED = JOBS = parse_jobs((RECORDED / "squeue.json").read_bytes())


def pods(pool):
    return {pod.name: pod for pod in pool.workload.pods}


def test_the_recorded_cluster_adds_up():
    pool = pool_of(NODES, JOBS)
    occupancy = occupancy_of(pool.nodes, pool.workload)
    assert occupancy.cluster.allocated_ratio == pytest.approx(5 / 12)


def test_a_job_on_several_nodes_is_a_gang_with_a_pod_on_each():
    pool = pool_of(NODES, [GANG])
    assert {pod.gang for pod in pool.workload.pods} == {"1"}
    assert pool.workload.seats == {"1/gpu-n0": ("gpu-n0", (0, 1)), "1/gpu-n1": ("gpu-n1", (0, 1))}


def test_the_account_is_the_tenant():
    assert pods(pool_of(NODES, [GANG]))["1/gpu-n0"].tenant == "ml"


@pytest.mark.parametrize(
    ("changes", "may_move"),
    [({}, True), ({"is_requeueable": False}, False), ({"is_batch": False}, False), ({"state": "SUSPENDED"}, False)],
)
def test_only_what_slurm_would_start_again_by_itself_may_move(changes: dict[str, object], *, may_move: bool):
    job = replace(GANG, **changes)
    assert {pod.is_movable for pod in pool_of(NODES, [job]).workload.pods} == {may_move}


def test_what_a_requeue_would_lose_is_unknown():
    assert {pod.lost_gpu_seconds for pod in pool_of(NODES, [GANG]).workload.pods} == {None}


def test_a_node_that_takes_no_work_is_left_out_with_its_reason():
    pool = pool_of(NODES, [])
    assert [node.name for node in pool.nodes] == ["gpu-n0", "gpu-n1", "gpu-n2"]
    assert [(one.what, one.why) for one in pool.left_out] == [("node gpu-n3", "drain (fan broken)")]


def test_a_gang_that_is_partly_on_such_a_node_stays_where_it_is():
    elsewhere = replace(GANG.held[1], node="gpu-n3")
    (pod,) = pool_of(NODES, [replace(GANG, held=(GANG.held[0], elsewhere))]).workload.pods
    assert (pod.name, pod.is_movable) == ("1/gpu-n0", False)


def test_a_waiting_job_is_a_gang_of_what_it_asks_per_node():
    waiting = pods(pool_of(NODES, [WAITING]))
    assert set(waiting) == {"3/0", "3/1"}
    request = waiting["3/0"].request
    assert (request.gpu_count, request.gpu_milli, request.cpu_milli, request.memory_mib) == (4, 1000, 1000, 64)


def test_a_job_that_a_place_would_not_help_is_left_out():
    left_out = {one.what: one.why for one in pool_of(NODES, [PINNED, ARRAY]).left_out}
    assert left_out["job 4"] == "pending for ReqNodeNotAvail, not for room"
    assert left_out["job 5"] == "pending for JobHeldUser, not for room"


def test_a_job_that_names_its_nodes_is_left_out():
    left_out = {one.what: one.why for one in pool_of(NODES, [replace(PINNED, reason="Resources")]).left_out}
    assert "by name or feature" in left_out["job 4"]


@pytest.mark.parametrize(
    ("tasks", "names"),
    [("1-3%2", ["5_1", "5_2", "5_3"]), ("7,9", ["5_7", "5_9"]), ("0-9:4", ["5_0", "5_4", "5_8"])],
)
def test_each_task_of_an_array_waits_by_itself(tasks: str, names: list[str]):
    pool = pool_of(NODES, [replace(ARRAY, reason="Priority", tasks=tasks)])
    assert [pod.name for pod in pool.workload.pods] == names


def test_an_endless_array_is_cut():
    pool = pool_of(NODES, [replace(ARRAY, reason="Priority", tasks="0-4294967293,5-99999999")])
    assert len(pool.workload.pods) == MOST_TASKS


def in_partitions(*partitions: tuple[str, ...]):
    return [replace(node, partitions=names, flags=frozenset()) for node, names in zip(NODES, partitions, strict=True)]


def test_a_job_gets_no_place_in_another_partition():
    nodes = in_partitions(("a",), ("a",), ("b",), ("b",))
    job = replace(WAITING, partition="b")
    outcome = plan_pool(pool_of(nodes, [job]).nodes, pool_of(nodes, [job]).workload).outcome
    assert len(outcome.placed) == 2
    third = replace(WAITING, id=9, partition="b", asked=replace(WAITING.asked, nodes=1))
    pool = pool_of(nodes, [job, third])
    assert [one.name for one, _ in plan_pool(pool.nodes, pool.workload).outcome.waiting] == ["9"]


def test_partitions_that_share_nodes_must_be_named():
    nodes = in_partitions(("a", "b"), ("a",), ("b",), ("b",))
    jobs = [replace(WAITING, partition="a"), replace(WAITING, id=9, partition="b")]
    with pytest.raises(ConfigError, match=r"partitions a and b share nodes \(gpu-n0\): name one with --partition"):
        pool_of(nodes, jobs)
    assert len(pool_of(nodes, jobs, partition="a").nodes) == 2


def test_a_guest_of_another_partition_takes_room_and_is_not_moved():
    nodes = in_partitions(("a", "b"), ("a",), ("b",), ("b",))
    guest = replace(SINGLE, partition="b", is_requeueable=True)
    pool = pool_of(nodes, [guest, replace(WAITING, partition="a")], partition="a")
    assert (pods(pool)["2"].is_movable, "2" in pool.workload.seats) == (False, True)


def test_an_unknown_partition_is_refused_with_those_there_are():
    with pytest.raises(ConfigError, match="no node is in partition 'x'; there are gpu"):
        pool_of(NODES, [], partition="x")


class Restless:
    """A cluster in which a job starts between any two looks, for so many looks."""

    def __init__(self, looks: int) -> None:
        self.looks = looks
        self.asked = 0

    def nodes(self):
        return NODES

    def jobs(self):
        self.asked += 1
        held = (Allocation(node="gpu-n2", cpus=1, memory_mib=1, gpus=(min(self.asked, self.looks) % 4,)),)
        return (replace(SINGLE, held=held),)


def test_a_cluster_that_changes_while_it_is_read_is_read_again():
    slurm = Restless(looks=2)
    assert len(read_pool(slurm).workload.pods) == 1
    assert slurm.asked == 4


def test_a_cluster_that_never_holds_still_is_an_error():
    with pytest.raises(InputError, match="during each of 3 readings"):
        read_pool(Restless(looks=99))
