"""Moving a Slurm job off a node that goes on working: the calls, the refusals, the way back; then on a real Slurm."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.executors.executor_contract import NOW, STEPS, Bench, advice, as_kind, undo_of
from tests.executors.test_slurm import bench, now, refusing  # noqa: F401 - a fixture
from tests.executors.test_slurm_commands import GANG, NODES, seen
from warpgauge.core.ack import NativeRef, Phase
from warpgauge.core.errors import InputError
from warpgauge.core.recommendation import Precondition, Recommendation, RecommendationKind, Target, TargetType
from warpgauge.executors import ExecutionError, Order
from warpgauge.executors.slurm import SlurmExecutor
from warpgauge.executors.slurm.migrating import Migrate

if TYPE_CHECKING:
    from pathlib import Path

    from tests.slurm_cluster import SlurmCluster
    from warpgauge.core.slurm import SlurmJob


def of_job(job: int = 1, node: str = "gpu-n1", **changes: Any) -> Recommendation:
    target = Target(cluster="trial", type=TargetType.WORKLOAD, name=str(job), platform="slurm", node=node)
    return advice(RecommendationKind.MIGRATE, **{"target": (target,), "preconditions": (), **changes})


MOVE = of_job()
MARK = f"warpgauge {MOVE.id} excluded="
HELD = replace(GANG, state="PENDING", reason="JobHeldUser", held=(), restarts=1, admin_comment=MARK)


def calls(job: SlurmJob) -> list[tuple[str, ...]]:
    return [step.command for step in Migrate().steps(MOVE, seen(job))]


def test_a_job_is_moved_in_five_calls_and_its_node_is_left_as_it_is():
    assert Migrate().objection(MOVE, seen()) is None
    assert calls(GANG) == [
        ("update", "jobid=1", f"admincomment={MARK}"),
        ("requeuehold", "1"),
        ("update", "jobid=1", "excnodelist=gpu-n1"),
        ("update", "jobid=1", "starttime=now"),
        ("release", "1"),
    ]


def test_two_jobs_are_put_apart_as_one_of_them_is_moved():
    apart = as_kind(MOVE, RecommendationKind.SEPARATE)
    assert RecommendationKind.SEPARATE in SlurmExecutor.kinds
    assert [step.command[0] for step in Migrate().steps(apart, seen())] == [command[0] for command in calls(GANG)]


def test_what_it_excluded_and_what_administrators_wrote_stay():
    picky = replace(GANG, excluded_nodes="old[1-2]", admin_comment="rack 7")
    assert calls(picky)[0][-1] == f"admincomment=rack 7 {MARK}old[1-2]"
    assert calls(picky)[2][-1] == "excnodelist=old[1-2],gpu-n1"


@pytest.mark.parametrize(
    ("job", "why"),
    [
        (None, "knows no job 1"),
        (replace(GANG, state="PENDING", held=()), "is pending, not running"),
        (replace(GANG, held=GANG.held[:1]), "does not run on gpu-n1"),
        (replace(GANG, start_time=int(NOW)), "was started again since"),
        (replace(GANG, required_nodes="gpu-n1"), "asks for gpu-n1 by name"),
        (replace(GANG, is_part_of_another=True), "is part of a heterogeneous job"),
        (replace(GANG, is_array_task=True), "is a task of an array: Slurm could end all of its tasks"),
        (replace(GANG, is_batch=False), "is interactive"),
        (replace(GANG, is_requeueable=False), "does not want to be requeued"),
        (replace(GANG, comment="warpgauge=keep"), "says warpgauge=keep"),
    ],
)
def test_a_job_that_must_not_be_ended_is_left_alone(job: SlurmJob | None, why: str):
    assert why in (Migrate().objection(MOVE, seen(job)) or "")


def test_another_run_of_the_job_than_the_one_that_was_meant_is_left_alone():
    one = of_job(preconditions=(Precondition(check="slurmRestartCount", expected="3"),))
    assert "was restarted 0 times, not 3" in (Migrate().objection(one, seen()) or "")


def test_a_job_is_not_ended_where_no_other_node_would_do():
    elsewhere = zip(GANG.held, ["gpu-n2", "gpu-n3"], strict=True)
    full = replace(GANG, id=2, held=tuple(replace(one, node=node, gpus=(0, 1, 2)) for one, node in elsewhere))
    assert "needs 2 nodes without gpu-n1, and 1 have room now" in (Migrate().objection(MOVE, seen(GANG, full)) or "")


def test_a_comment_that_leaves_no_room_for_our_mark_refuses():
    with pytest.raises(InputError, match="longer than 1000 letters together"):
        Migrate().objection(MOVE, seen(replace(GANG, admin_comment="x" * 990)))


def test_a_crash_after_the_mark_goes_on_with_the_requeue():
    marked = replace(GANG, admin_comment=MARK)
    assert Migrate().objection(MOVE, seen(marked)) is None
    assert calls(marked)[0] == ("requeuehold", "1")


def test_a_crash_after_the_requeue_goes_on_with_the_exclusion():
    assert Migrate().objection(MOVE, seen(HELD)) is None
    assert [command[0] for command in calls(HELD)] == ["update", "update", "release"]
    assert calls(replace(HELD, admin_comment=f"{MARK}old", excluded_nodes="old,gpu-n1"))[0][-1] == (
        "excnodelist=old,gpu-n1"
    )


def test_a_job_that_its_owner_holds_is_not_released():
    assert calls(replace(HELD, admin_comment="")) == []


def test_what_was_done_is_not_done_again():
    moved = replace(GANG, held=tuple(replace(one, node="gpu-n3") for one in GANG.held[:1]), admin_comment=MARK)
    assert calls(moved) == []
    assert Migrate().refs(MOVE, seen(moved)) == (
        NativeRef(kind="job", name="1", version="restarts=0"),
        NativeRef(kind="excludedNode", name="gpu-n1"),
    )


def back(job: SlurmJob | None) -> list[str]:
    return [step.command[-1] for step in Migrate().way_back(MOVE, (), seen(job))]


def test_a_job_that_waits_may_have_the_node_again():
    waits = replace(HELD, reason="Resources", excluded_nodes="old,gpu-n1", admin_comment=f"rack 7 {MARK}old")
    assert back(waits) == ["excnodelist=old", "admincomment=rack 7"]


def test_what_another_excluded_later_stays():
    later = replace(HELD, excluded_nodes="gpu-n1,gpu-n2", admin_comment=f"{MARK} warpgauge other excluded=gpu-n1")
    assert back(later) == ["admincomment=warpgauge other excluded=gpu-n1"]


def test_of_a_job_that_runs_again_only_our_mark_goes():
    assert back(replace(GANG, admin_comment=MARK)) == ["admincomment="]
    assert back(GANG) == back(None) == []


def test_a_node_that_somebody_else_drained_is_theirs():
    theirs = replace(NODES[1], flags=frozenset({"DRAIN"}), reason="fan broken")
    assert "is drained already: fan broken" in (Migrate().objection(MOVE, seen(node=theirs)) or "")


@pytest.mark.real
@pytest.mark.slow
def test_a_real_job_is_moved_after_a_dry_run_that_changes_nothing_and_taken_back(
    bench: Bench,  # noqa: F811 - the fixture
    slurm_cluster: SlurmCluster,
    tmp_path: Path,
):
    job = slurm_cluster.submit("-N2", "--gres=gpu:4")
    before = slurm_cluster.running(job)
    node = before.held[0].node
    time.sleep(1.1)  # Slurm's times are whole seconds
    recommendation = now(of_job(job, node, preconditions=(Precondition(check="slurmRestartCount", expected="0"),)))
    (tmp_path / "dry").mkdir()
    dry = Bench(bench.executor, tmp_path / "dry", dry_run=True)
    dry.clock = bench.clock
    dry.restart()
    dry.worker.take(recommendation)
    dry.journal.close()
    assert dry.phases() == STEPS[:3]
    assert f"scontrol update jobid={job} excnodelist={node} (no undo)" in dry.acks[-1].detail
    assert slurm_cluster.job(job) == before

    bench.worker.take(recommendation)
    assert bench.phases() == STEPS, bench.acks[-1]
    moved = slurm_cluster.running(job)
    assert node not in [held.node for held in moved.held]
    assert (len(moved.held), moved.restarts, moved.excluded_nodes) == (2, 1, node)
    assert not slurm_cluster.slurm.node(node).is_drained
    assert bench.executor.found(Order(recommendation=recommendation)) == bench.acks[-1].native_refs
    other = slurm_cluster.submit("--gres=gpu:4", f"--nodelist={node}")
    assert slurm_cluster.running(other).held[0].node == node

    bench.worker.take(now(undo_of(recommendation)))
    assert bench.phases()[-1] is Phase.EXECUTED
    assert slurm_cluster.job(job).admin_comment == ""
    assert slurm_cluster.job(job).held == moved.held


@pytest.mark.real
@pytest.mark.slow
def test_the_mark_goes_again_if_the_job_cannot_be_ended(slurm_cluster: SlurmCluster, tmp_path: Path):
    job = slurm_cluster.submit("--gres=gpu:1", "--hold")
    slurm_cluster.run("scontrol", "update", f"jobid={job}", "admincomment=rack 7")
    slurm_cluster.run("scontrol", "release", str(job))
    order = Order(recommendation=now(of_job(job, slurm_cluster.running(job).held[0].node)))
    executor = SlurmExecutor(refusing(slurm_cluster, tmp_path, "requeuehold*"))
    with pytest.raises(ExecutionError, match=r"Access/permission denied; nothing else was changed"):
        executor.execute(order)
    assert (slurm_cluster.job(job).state, slurm_cluster.job(job).admin_comment) == ("RUNNING", "rack 7")


@pytest.mark.real
@pytest.mark.slow
def test_a_task_of_a_real_array_is_seen_to_be_one(slurm_cluster: SlurmCluster):
    job = slurm_cluster.submit("--array=1-2", "--gres=gpu:1")
    one = now(of_job(job, slurm_cluster.running(job).held[0].node))
    assert "is a task of an array" in (SlurmExecutor(slurm_cluster.slurm).objection(Order(recommendation=one)) or "")
