"""The YARN executor on a real ResourceManager: the contract, and what it does to applications and nodes."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.executors.executor_contract import FOLLOWED, Bench, ExecutorContract, World, advice, as_kind, undo_of
from tests.real_servers import wait_until
from tests.yarn_cluster import ADMIN, STRANGER
from warpgauge.core.ack import Phase
from warpgauge.core.posting import HttpClient
from warpgauge.core.recommendation import Precondition, Recommendation, RecommendationKind, Target, TargetType
from warpgauge.core.yarn import Yarn
from warpgauge.executors import Order
from warpgauge.executors.yarn import Admin, Exclusion, YarnExecutor
from warpgauge.executors.yarn.exclusion import mark_of

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.yarn_cluster import YarnCluster

pytestmark = [pytest.mark.real, pytest.mark.slow]


def seen_by(cluster: YarnCluster, user: str) -> Yarn:
    return Yarn([cluster.url], HttpClient(timeout_seconds=30.0), user=user)


def executor(cluster: YarnCluster, user: str = ADMIN) -> YarnExecutor:
    return YarnExecutor(
        seen_by(cluster, user), Admin(cluster.rmadmin), Exclusion(cluster.exclude), avoid_label="avoid",
        decommission_seconds=300,
    )  # fmt: skip


def of_app(kind: RecommendationKind, app: str, queue: str = "", **checks: str) -> Recommendation:
    targets = [Target(cluster="trial", type=TargetType.WORKLOAD, name=app, platform="yarn")]
    if queue:
        targets.append(Target(cluster="trial", type=TargetType.QUEUE, name=queue, platform="yarn"))
    preconditions = tuple(Precondition(check=check, expected=expected) for check, expected in checks.items())
    return advice(kind, target=tuple(targets), preconditions=preconditions)


def on_node(kind: RecommendationKind, node: str, **checks: str) -> Recommendation:
    target = Target(cluster="trial", type=TargetType.NODE, name=node, platform="yarn")
    preconditions = tuple(Precondition(check=check, expected=expected) for check, expected in checks.items())
    return advice(kind, target=(target,), preconditions=preconditions)


class MovingWorld:
    """An application of the queue train, which is to go to the queue batch."""

    def __init__(self, cluster: YarnCluster, app: str) -> None:
        self.cluster, self.app = cluster, app
        self.executor = executor(cluster)
        self.before = self.state()

    def advice(self) -> Recommendation:
        return of_app(RecommendationKind.REBALANCE_QUEUE, self.app, "batch", yarnQueue="root.train")

    def state(self) -> Any:
        app = self.cluster.app(self.app)
        return {name: app[name] for name in ("queue", "priority", "state", "masterNodeId", "runningContainers")}

    def make_unfit(self) -> None:
        self.cluster.rest("PUT", f"apps/{self.app}/queue", {"queue": "private"})

    def make_failing(self) -> None:
        self.executor._yarn = self.executor._caller.yarn = seen_by(self.cluster, STRANGER)


class TestYarn(ExecutorContract):
    shown_elsewhere = frozenset(FOLLOWED["yarn"]) - {
        RecommendationKind.REBALANCE_QUEUE,
        RecommendationKind.RECLAIM_IDLE,
    }

    def advice_of(self, world: World, kind: RecommendationKind) -> Recommendation:
        if kind is RecommendationKind.RECLAIM_IDLE:
            return of_app(kind, world.app, yarnPriority=str(world.state()["priority"]))
        return as_kind(world.advice(), kind)

    @pytest.fixture
    def world(self, yarn_cluster: YarnCluster, yarn_app: str) -> World:
        return MovingWorld(yarn_cluster, yarn_app)

    def is_undone(self, world: World) -> bool:
        return world.state() == world.before


@pytest.fixture
def bench(yarn_cluster: YarnCluster, tmp_path: Path) -> Iterator[Bench]:
    bench = Bench(executor(yarn_cluster), tmp_path)
    yield bench
    bench.journal.close()


def test_an_application_is_moved_and_goes_on_as_it_was(bench: Bench, yarn_cluster: YarnCluster, yarn_app: str):
    before = yarn_cluster.app(yarn_app)
    order = of_app(RecommendationKind.REBALANCE_QUEUE, yarn_app, "root.batch")
    bench.worker.take(order)
    after = yarn_cluster.app(yarn_app)
    assert (after["queue"], after["state"], after["runningContainers"]) == ("root.batch", "RUNNING", 2)
    assert after["amContainerLogs"] == before["amContainerLogs"]
    assert [(ref.kind, ref.name, ref.version) for ref in bench.acks[-1].native_refs] == [
        ("application", yarn_app, "queue:root.train")
    ]
    bench.worker.take(undo_of(order))
    assert yarn_cluster.app(yarn_app)["queue"] == "root.train"


@pytest.mark.parametrize(
    ("queue", "why"),
    [("nowhere", "has no queue nowhere"), ("closed", "queue root.closed is stopped"), ("root", "has no queue root")],
)
def test_a_queue_that_takes_no_applications_is_refused(bench: Bench, yarn_app: str, queue: str, why: str):
    bench.worker.take(of_app(RecommendationKind.REBALANCE_QUEUE, yarn_app, queue))
    assert (bench.phases()[-1], bench.acks[-1].reason) == (Phase.REJECTED, "preconditionFailed")
    assert why in bench.acks[-1].detail


def test_what_yarn_does_not_allow_us_is_told_in_its_words(yarn_cluster: YarnCluster, yarn_app: str, tmp_path: Path):
    bench = Bench(executor(yarn_cluster, STRANGER), tmp_path)
    bench.worker.take(of_app(RecommendationKind.REBALANCE_QUEUE, yarn_app, "batch"))
    assert (bench.phases()[-1], bench.acks[-1].reason) == (Phase.FAILED, "yarnRefused")
    assert f"Unauthorized attempt to move appid {yarn_app} by remote user {STRANGER}" in bench.acks[-1].detail
    assert bench.journal.unfinished() == []  # a refusal is not asked for again
    bench.journal.close()


def test_who_names_nobody_is_told_so(yarn_cluster: YarnCluster, yarn_app: str, tmp_path: Path):
    bench = Bench(executor(yarn_cluster, ""), tmp_path)
    bench.worker.take(of_app(RecommendationKind.REBALANCE_QUEUE, yarn_app, "batch"))
    assert (bench.phases()[-1], bench.acks[-1].reason) == (Phase.FAILED, "yarnUnreachable")
    assert "HTTP 401" in bench.acks[-1].detail
    assert "set yarn.user" in bench.acks[-1].detail
    bench.journal.close()


def test_an_idle_application_goes_to_the_end_of_its_queue(bench: Bench, yarn_cluster: YarnCluster, yarn_app: str):
    order = of_app(RecommendationKind.RECLAIM_IDLE, yarn_app, ownerTold="yes", yarnPriority="3")
    bench.worker.take(order)
    assert yarn_cluster.app(yarn_app)["priority"] == 0
    bench.worker.take(undo_of(order))
    assert yarn_cluster.app(yarn_app)["priority"] == 3


def test_another_attempt_than_the_one_meant_is_left_alone(bench: Bench, yarn_app: str):
    attempt = f"{yarn_app.replace('application', 'appattempt')}_00000"
    bench.worker.take(of_app(RecommendationKind.RECLAIM_IDLE, yarn_app, yarnAttempt=f"{attempt}2"))
    assert f"is in {attempt}1 by now, not in {attempt}2" in bench.acks[-1].detail


def test_an_application_that_ended_is_left_alone(bench: Bench, yarn_cluster: YarnCluster):
    ended = yarn_cluster.submit()
    yarn_cluster.kill(ended)
    bench.worker.take(of_app(RecommendationKind.REBALANCE_QUEUE, ended, "batch"))
    assert f"{ended} is killed, not running" in bench.acks[-1].detail


def test_a_busy_node_is_decommissioned_gracefully_and_let_in_again(
    bench: Bench, yarn_cluster: YarnCluster, yarn_app: str
):
    node = yarn_cluster.app(yarn_app)["masterNodeId"].partition(":")[0]
    yarn_cluster.exclude.write_text("old-host # fan broken\n")
    order = on_node(RecommendationKind.DRAIN, node)
    bench.worker.take(order)
    assert bench.phases()[-1] is Phase.EXECUTED, bench.acks[-1]
    assert yarn_cluster.exclude.read_text() == f"old-host # fan broken\n{node} # {mark_of(order.id)}\n"
    assert yarn_cluster.nodes()[node]["state"] == "DECOMMISSIONING"
    assert yarn_cluster.app(yarn_app)["runningContainers"] == 2

    bench.worker.take(undo_of(order))
    assert bench.phases()[-1] is Phase.EXECUTED, bench.acks[-1]
    assert yarn_cluster.exclude.read_text() == "old-host # fan broken\n"
    wait_until(lambda: yarn_cluster.nodes()[node]["state"] == "RUNNING", what="the node takes work again")
    assert yarn_cluster.app(yarn_app)["runningContainers"] == 2


def test_a_node_excluded_by_somebody_else_stays_theirs(bench: Bench, yarn_cluster: YarnCluster):
    yarn_cluster.exclude.write_text("gpu-n1 # fan broken\n")
    bench.worker.take(on_node(RecommendationKind.DRAIN, "gpu-n1"))
    assert "node gpu-n1 is excluded already: fan broken" in bench.acks[-1].detail
    bench.worker.take(on_node(RecommendationKind.UNCORDON, "gpu-n1"))
    assert "was excluded by somebody else: fan broken" in bench.acks[-1].detail
    assert yarn_cluster.exclude.read_text() == "gpu-n1 # fan broken\n"


def test_a_dry_run_leaves_the_file_and_the_node(yarn_cluster: YarnCluster, tmp_path: Path):
    bench, before = Bench(executor(yarn_cluster), tmp_path, dry_run=True), yarn_cluster.nodes()["gpu-n1"]["state"]
    order = on_node(RecommendationKind.DRAIN, "gpu-n1")
    bench.worker.take(order)
    assert bench.acks[-1].detail == (
        f"add 'gpu-n1 # {mark_of(order.id)}' to {yarn_cluster.exclude} (undo: remove gpu-n1 from "
        f"{yarn_cluster.exclude}); rmadmin -refreshNodes -g 300 -server (undo: rmadmin -refreshNodes -g 300 -server)"
    )
    assert (yarn_cluster.exclude.read_text(), yarn_cluster.nodes()["gpu-n1"]["state"]) == ("", before)
    bench.journal.close()


def test_a_host_is_taken_out_of_the_file_again_if_yarn_does_not_read_it(yarn_cluster: YarnCluster, tmp_path: Path):
    bench = Bench(executor(yarn_cluster), tmp_path)
    bench.executor._caller._admin = Admin(["/bin/sh", "-c", "echo 'refreshNodes: Connection refused' >&2; exit 255"])
    bench.worker.take(on_node(RecommendationKind.DRAIN, "gpu-n1"))
    assert (bench.phases()[-1], bench.acks[-1].reason) == (Phase.FAILED, "yarnRefused")
    assert "it said: refreshNodes: Connection refused; nothing else was changed" in bench.acks[-1].detail
    assert yarn_cluster.exclude.read_text() == ""
    bench.journal.close()


def test_a_node_hands_out_nothing_more_until_it_is_undone(bench: Bench, yarn_cluster: YarnCluster, yarn_app: str):
    """One that was decommissioned before: with YARN's own word for "no time limit" it would kill what runs there."""
    node = yarn_cluster.app(yarn_app)["masterNodeId"].partition(":")[0]
    drain = on_node(RecommendationKind.DRAIN, node)
    bench.worker.take(drain)
    wait_until(lambda: yarn_cluster.nodes()[node]["totalResource"]["memory"] < 4096, what="the node is leaving")
    bench.worker.take(undo_of(drain))
    wait_until(lambda: yarn_cluster.nodes()[node]["totalResource"]["memory"] == 4096, what="the node is back")
    before = yarn_cluster.nodes()[node]["totalResource"]
    order = on_node(RecommendationKind.CORDON, node, yarnNodeResource="memory-mb=4096,vcores=8,yarn.io/gpu=4")
    bench.worker.take(order)
    assert bench.phases()[-1] is Phase.EXECUTED, bench.acks[-1]
    assert yarn_cluster.nodes()[node]["totalResource"]["memory"] == 0
    time.sleep(2.0)  # twenty beats of the node
    assert yarn_cluster.app(yarn_app)["runningContainers"] == 2

    bench.worker.take(undo_of(order))
    assert bench.phases()[-1] is Phase.EXECUTED, bench.acks[-1]
    assert yarn_cluster.nodes()[node]["totalResource"] == before
    assert yarn_cluster.app(yarn_app)["runningContainers"] == 2


def test_a_node_to_avoid_gets_the_label_and_loses_it_again(bench: Bench, yarn_cluster: YarnCluster):
    order = on_node(RecommendationKind.AVOID_NODE, "gpu-n1")
    bench.worker.take(order)
    assert yarn_cluster.nodes()["gpu-n1"]["nodeLabels"] == ["avoid"]
    bench.worker.take(undo_of(order))
    assert bench.phases()[-1] is Phase.EXECUTED, bench.acks[-1]
    assert not yarn_cluster.nodes()["gpu-n1"].get("nodeLabels")


def test_a_node_without_work_leaves_and_is_not_decommissioned_twice(bench: Bench, yarn_cluster: YarnCluster):
    """Last: the NodeManager ends, and only a person starts it again."""
    idle = next(name for name, node in yarn_cluster.nodes().items() if node["numContainers"] == 0)
    order = on_node(RecommendationKind.DRAIN, idle)
    bench.worker.take(order)
    wait_until(lambda: yarn_cluster.nodes()[idle]["state"] == "DECOMMISSIONED", what="the node has left")
    bench.worker.take(replace(order, id="another-id-under-the-same-key"))
    assert bench.executor.intents(Order(recommendation=order)) == ()
    bench.worker.take(undo_of(order))
    assert yarn_cluster.exclude.read_text() == ""
