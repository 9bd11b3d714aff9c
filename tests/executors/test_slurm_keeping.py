"""Partitions of Slurm that are left alone, on what a real Slurm said of its nodes and jobs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.executors.executor_contract import Bench, advice, undo_of
from warpgauge.core.ack import NativeRef, Phase
from warpgauge.core.recommendation import Recommendation, RecommendationKind, Target, TargetType
from warpgauge.core.slurm import SlurmError, parse_jobs, parse_nodes
from warpgauge.executors import Intent, Order
from warpgauge.executors.slurm import SlurmExecutor
from warpgauge.executors.slurm.keeping import KeepingPartitions

if TYPE_CHECKING:
    from collections.abc import Iterator

RECORDED = Path(__file__).parents[1] / "fixtures" / "slurm-22.05.8"
NODES = parse_nodes((RECORDED / "sinfo.json").read_bytes())
JOBS = parse_jobs((RECORDED / "squeue.json").read_bytes())
NODE, JOB = NODES[0], JOBS[0]


class Recorded:
    """A Slurm that says what was recorded, or does not answer."""

    def __init__(self, *, answers: bool = True) -> None:
        self.answers = answers

    def nodes(self) -> Any:
        if not self.answers:
            msg = "sinfo: socket timed out"
            raise SlurmError(msg)
        return NODES

    def jobs(self) -> Any:
        return JOBS


class Willing:
    """An executor that does whatever it is told."""

    name, platform, takes_simulated = "slurm", "slurm", False
    kinds = SlurmExecutor.kinds

    def __init__(self) -> None:
        self.done: list[str] = []

    def objection(self, _: Order) -> str | None:
        return None

    def intents(self, _: Order) -> tuple[Intent, ...]:
        return (Intent("do it", "undo it"),)

    def found(self, _: Order) -> None:
        return None

    def execute(self, order: Order) -> tuple[NativeRef, ...]:
        self.done.append(order.recommendation.id)
        return (NativeRef(kind="node", name="n"),)


def on_node(name: str) -> Recommendation:
    target = Target(cluster="trial", type=TargetType.NODE, name=name, platform="slurm")
    return advice(RecommendationKind.DRAIN, target=(target,), preconditions=())


def of_job(number: int, node: str | None = None) -> Recommendation:
    target = Target(cluster="trial", type=TargetType.WORKLOAD, name=str(number), platform="slurm", node=node)
    return advice(RecommendationKind.REPLACE_STRAGGLER, target=(target,), preconditions=())


@pytest.fixture
def bench(tmp_path: Path) -> Iterator[Any]:
    benches = []

    def make(*partitions: str, answers: bool = True) -> Bench:
        executor = KeepingPartitions(Willing(), Recorded(answers=answers), partitions)  # type: ignore[arg-type]
        benches.append(Bench(executor, tmp_path))
        return benches[-1]

    yield make
    for one in benches:
        one.journal.close()


def test_a_node_of_a_kept_partition_is_not_touched(bench: Any) -> None:
    one = bench(NODE.partitions[0])
    one.worker.take(on_node(NODE.name))
    assert one.phases() == [Phase.RECEIVED, Phase.REJECTED]
    assert one.acks[-1].detail == (
        f"node {NODE.name} is in partition {NODE.partitions[0]}, which is left alone (acting.keep_partitions)"
    )
    assert one.executor._inner.done == []


def test_a_job_of_a_kept_partition_is_not_touched_wherever_it_runs(bench: Any) -> None:
    one = bench(JOB.partition)
    one.worker.take(of_job(JOB.id))
    assert one.phases()[-1] is Phase.REJECTED
    assert one.acks[-1].detail.startswith(f"job {JOB.id} is in partition {JOB.partition}")


def test_a_job_elsewhere_is_not_touched_on_a_node_of_a_kept_partition(bench: Any) -> None:
    one = bench(NODE.partitions[0])
    one.worker.take(of_job(999_999, node=NODE.name))
    assert one.phases()[-1] is Phase.REJECTED


def test_what_is_in_no_kept_partition_is_the_other_executors_to_judge(bench: Any) -> None:
    one = bench("nobody-is-here")
    one.worker.take(on_node(NODE.name))
    assert one.phases()[-1] is Phase.EXECUTED


def test_what_was_done_before_is_taken_back_all_the_same(bench: Any) -> None:
    one = bench("nobody-is-here")
    one.worker.take(on_node(NODE.name))
    one.executor._partitions = frozenset(NODE.partitions)
    one.worker.take(undo_of(on_node(NODE.name)))
    assert one.phases()[-1] is Phase.EXECUTED


def test_while_slurm_does_not_say_nothing_is_touched(bench: Any) -> None:
    one = bench(NODE.partitions[0], answers=False)
    one.worker.take(on_node(NODE.name))
    assert (one.phases()[-1], one.acks[-1].reason) == (Phase.FAILED, "slurmUnreachable")
    assert one.executor._inner.done == []
