"""The Slurm executor on a real Slurm: the contract, and what it does to nodes and jobs."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.executors.executor_contract import Bench, ExecutorContract, World, advice, undo_of
from tests.real_servers import wait_until
from warpgauge.core.ack import Phase
from warpgauge.core.clock import ManualClock
from warpgauge.core.recommendation import Recommendation, RecommendationKind, Target, TargetType
from warpgauge.core.slurm import Slurm
from warpgauge.executors import ExecutionError, Order
from warpgauge.executors.slurm import SlurmExecutor
from warpgauge.executors.slurm.commands import reason_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.slurm_cluster import SlurmCluster

pytestmark = [pytest.mark.real, pytest.mark.slow]

REFUSING = """#!/bin/sh
case "$*" in {pattern}) echo "slurm_update error: Access/permission denied" >&2; exit 1;; esac
exec {program} "$@"
"""
DEAF = """#!/bin/sh
case "$*" in *starttime=now*) test -e {said} || {{ touch {said}; exit 0; }};; esac
exec {program} "$@"
"""
KINDS = (RecommendationKind.AVOID_NODE, RecommendationKind.CORDON, RecommendationKind.DRAIN)


def on_node(kind: RecommendationKind, node: str = "gpu-n1") -> Recommendation:
    target = Target(cluster="trial", type=TargetType.NODE, name=node, platform="slurm")
    return advice(kind, target=(target,), preconditions=())


def refusing(cluster: SlurmCluster, directory: Path, pattern: str) -> Slurm:
    """The cluster for an account that may read but not do what matches."""
    return scontrol_as(cluster, directory, REFUSING.format(pattern=pattern, program=cluster.programs["scontrol"]))


def scontrol_as(cluster: SlurmCluster, directory: Path, script: str) -> Slurm:
    """The cluster with another program in the place of scontrol."""
    path = directory / "scontrol"
    path.write_text(script)
    path.chmod(0o755)
    return Slurm(cluster.environ | {"PATH": f"{directory}:{cluster.environ['PATH']}"})


class SlurmWorld:
    def __init__(self, cluster: SlurmCluster, directory: Path, kind: RecommendationKind) -> None:
        self.cluster, self._directory, self._kind = cluster, directory, kind
        self.executor = SlurmExecutor(cluster.slurm)
        self.before = self.state()

    def advice(self) -> Recommendation:
        return on_node(self._kind)

    def state(self) -> Any:
        nodes = [(node.name, node.digest, node.weight) for node in self.cluster.slurm.nodes()]
        return nodes, self.cluster.run("scontrol", "-o", "show", "reservation").partition(" ")[0]

    def make_unfit(self) -> None:
        self.cluster.run("scontrol", "update", "nodename=gpu-n1", "state=drain", "reason=fan broken")

    def make_failing(self) -> None:
        self.executor._slurm = refusing(self.cluster, self._directory, "update*|create*|delete*")


class TestSlurm(ExecutorContract):
    shown_elsewhere = frozenset(  # of running jobs
        {RecommendationKind.REPLACE_STRAGGLER, RecommendationKind.MIGRATE, RecommendationKind.SEPARATE}
    )

    @pytest.fixture
    def world(self, slurm_cluster: SlurmCluster, tmp_path: Path) -> World:
        return SlurmWorld(slurm_cluster, tmp_path, RecommendationKind.DRAIN)

    def settle(self, world: World) -> None:
        assert self.is_undone(world)

    def is_undone(self, world: World) -> bool:
        """After a resume Slurm calls a node not responding until that node was heard again, for a second or so."""
        return wait_until(lambda: world.state() == world.before, what="the cluster is as it was")


@pytest.fixture
def bench(slurm_cluster: SlurmCluster, tmp_path: Path) -> Iterator[Bench]:
    """A worker on the cluster whose clock shows the cluster's time, and may be moved."""
    bench = Bench(SlurmExecutor(slurm_cluster.slurm), tmp_path)
    bench.clock = ManualClock(time.time())
    bench.restart()
    yield bench
    bench.journal.close()


def now(recommendation: Recommendation) -> Recommendation:
    """The recommendation made right now."""
    at = time.time()
    return replace(recommendation, created=at, not_before=at - 60, expires_at=at + 900)


def of_job(job: int, node: str) -> Recommendation:
    target = Target(cluster="trial", type=TargetType.WORKLOAD, name=str(job), platform="slurm", node=node)
    return now(advice(RecommendationKind.REPLACE_STRAGGLER, target=(target,), preconditions=()))


@pytest.mark.parametrize("kind", KINDS)
def test_a_node_gets_no_new_job_until_it_is_undone(bench: Bench, slurm_cluster: SlurmCluster, kind: RecommendationKind):
    world = SlurmWorld(slurm_cluster, bench.path.parent, kind)
    recommendation = now(on_node(kind))
    bench.worker.take(recommendation)
    assert bench.phases()[-1] is Phase.EXECUTED
    jobs = [slurm_cluster.submit("--gres=gpu:4") for _ in range(3)]
    assert {slurm_cluster.running(job).held[0].node for job in jobs} == {"gpu-n0", "gpu-n2", "gpu-n3"}

    bench.worker.take(now(undo_of(recommendation)))
    assert bench.phases()[-1] is Phase.EXECUTED
    assert slurm_cluster.running(slurm_cluster.submit("--gres=gpu:4")).held[0].node == "gpu-n1"
    assert world.state()[1] == world.before[1]


def test_uncordon_gives_back_what_we_drained(bench: Bench, slurm_cluster: SlurmCluster):
    bench.worker.take(now(on_node(RecommendationKind.DRAIN)))
    bench.worker.take(now(on_node(RecommendationKind.UNCORDON)))
    assert bench.phases()[-1] is Phase.EXECUTED
    wait_until(lambda: slurm_cluster.slurm.node("gpu-n1").why_not is None, what="the node takes work again")


def test_a_gang_leaves_the_node_and_runs_elsewhere(bench: Bench, slurm_cluster: SlurmCluster):
    job = slurm_cluster.submit("-N2", "--gres=gpu:4")
    nodes = [held.node for held in slurm_cluster.running(job).held]
    time.sleep(1.1)  # Slurm's times are whole seconds
    recommendation = of_job(job, nodes[0])
    bench.worker.take(recommendation)
    assert bench.phases()[-1] is Phase.EXECUTED, bench.acks[-1]
    moved = slurm_cluster.running(job)
    assert nodes[0] not in [held.node for held in moved.held]
    assert (len(moved.held), moved.restarts, moved.excluded_nodes) == (2, 1, nodes[0])
    assert slurm_cluster.slurm.node(nodes[0]).reason == reason_of(recommendation.id)
    assert [(ref.kind, ref.name, ref.version) for ref in bench.acks[-1].native_refs] == [
        ("node", nodes[0], None),
        ("job", str(job), "restarts=1"),
    ]

    bench.worker.take(now(undo_of(recommendation)))
    wait_until(lambda: slurm_cluster.slurm.node(nodes[0]).why_not is None, what="the node takes work again")
    assert slurm_cluster.job(job).held == moved.held


def test_a_job_whose_start_was_put_off_again_is_told_to_start_now_once_more(
    slurm_cluster: SlurmCluster, tmp_path: Path
):
    """Slurm sets the two minutes when it has cleaned up after the job; what it was told before that is lost."""
    job = slurm_cluster.submit("--gres=gpu:1")
    node = slurm_cluster.running(job).held[0].node
    script = DEAF.format(said=tmp_path / "said", program=slurm_cluster.programs["scontrol"])

    SlurmExecutor(scontrol_as(slurm_cluster, tmp_path, script)).execute(Order(recommendation=of_job(job, node)))

    assert (tmp_path / "said").exists()
    assert slurm_cluster.running(job).held[0].node != node


def test_a_gang_is_not_touched_where_it_has_no_other_place(bench: Bench, slurm_cluster: SlurmCluster):
    job = slurm_cluster.submit("-N4", "--gres=gpu:1")
    before = slurm_cluster.running(job)
    time.sleep(1.1)
    bench.worker.take(of_job(job, "gpu-n1"))
    assert bench.phases()[-1] is Phase.REJECTED
    assert "needs 4 nodes without gpu-n1, and 3 have room now" in bench.acks[-1].detail
    assert slurm_cluster.job(job) == before


def test_a_crash_after_the_job_was_ended_lets_it_start_again(bench: Bench, slurm_cluster: SlurmCluster):
    job = slurm_cluster.submit("--gres=gpu:1")
    node = slurm_cluster.running(job).held[0].node
    time.sleep(1.1)
    recommendation = of_job(job, node)
    executor = bench.executor
    for step in executor._plan(Order(recommendation=recommendation))[0][:2]:
        executor._run(step)
    assert slurm_cluster.job(job).reason == "JobHeldUser"
    bench.worker.take(recommendation)
    assert bench.phases()[-1] is Phase.EXECUTED
    assert slurm_cluster.running(job).held[0].node != node


def test_a_drain_is_taken_back_if_the_job_cannot_be_ended(slurm_cluster: SlurmCluster, tmp_path: Path):
    job = slurm_cluster.submit("--gres=gpu:1")
    node = slurm_cluster.running(job).held[0].node
    executor = SlurmExecutor(refusing(slurm_cluster, tmp_path, "requeuehold*"))
    with pytest.raises(ExecutionError, match=r"Access/permission denied; nothing else was changed"):
        executor.execute(Order(recommendation=of_job(job, node)))
    wait_until(lambda: slurm_cluster.slurm.node(node).why_not is None, what="the node takes work again")
    assert slurm_cluster.job(job).state == "RUNNING"


def test_a_job_that_ended_just_now_is_not_started_anew(slurm_cluster: SlurmCluster):
    job = slurm_cluster.submit("--gres=gpu:1")
    node = slurm_cluster.running(job).held[0].node
    executor = SlurmExecutor(slurm_cluster.slurm)
    executor._run = lambda step: (slurm_cluster.run("scancel", str(job)), SlurmExecutor._run(executor, step))
    with pytest.raises(ExecutionError, match=rf"job {job} is \w+ by now, not running; nothing else was changed"):
        executor.execute(Order(recommendation=of_job(job, node)))
    wait_until(lambda: slurm_cluster.slurm.node(node).why_not is None, what="the node takes work again")
    assert slurm_cluster.job(job).restarts == 0


@pytest.mark.parametrize(
    ("script", "said"),
    [
        ("echo 'Unable to contact slurm controller' >&2; exit 1", "Unable to contact slurm controller"),
        ("echo '{}'", "sinfo --json: has no list 'nodes'"),
    ],
)
def test_a_controller_that_is_away_or_answers_nonsense_is_tried_again(
    bench: Bench, slurm_cluster: SlurmCluster, tmp_path: Path, script: str, said: str
):
    (tmp_path / "sinfo").write_text(f"#!/bin/sh\n{script}\n")
    (tmp_path / "sinfo").chmod(0o755)
    away = Slurm(slurm_cluster.environ | {"PATH": f"{tmp_path}:{slurm_cluster.environ['PATH']}"})
    bench.executor._slurm = away
    bench.worker.take(now(on_node(RecommendationKind.DRAIN)))
    assert (bench.phases()[-1], bench.acks[-1].reason) == (Phase.FAILED, "slurmUnreachable")
    assert said in bench.acks[-1].detail

    bench.executor._slurm = slurm_cluster.slurm
    bench.clock.advance(60)
    bench.worker.resume()
    assert bench.phases()[-1] is Phase.EXECUTED
    wait_until(lambda: slurm_cluster.slurm.node("gpu-n1").is_drained, what="the node is drained")
