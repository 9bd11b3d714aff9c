"""The Kubernetes executor on a real API server: the contract, and what it does to nodes, pods and devices."""

from __future__ import annotations

import secrets
import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.executors.executor_contract import Bench, ExecutorContract, World, undo_of
from tests.kubernetes.orders import (
    NODE,
    NODE_PATH,
    PODS,
    UUID,
    bench_of,
    device_slice,
    drained,
    follow,
    now,
    on_node,
    taints,
    target,
)
from tests.kubernetes_cluster import REFUSED, SPACE
from warpgauge.core.ack import Phase
from warpgauge.core.kubernetes import KEEP, OWNER, Kubernetes
from warpgauge.core.recommendation import Recommendation, RecommendationKind, TargetType
from warpgauge.executors import ExecutionError, Order
from warpgauge.executors.kubernetes import KubernetesExecutor
from warpgauge.executors.kubernetes.calls import AVOID, CORDONED_BY

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.kubernetes_cluster import KubernetesCluster

pytestmark = [pytest.mark.real, pytest.mark.slow]


class KubernetesWorld:
    def __init__(self, cluster: KubernetesCluster, recommendation: Recommendation) -> None:
        self.cluster, self._advice = cluster, recommendation
        self.executor = KubernetesExecutor(cluster.api)
        cluster.node(NODE)
        self.before = self.plain()

    def advice(self) -> Recommendation:
        return self._advice

    def state(self) -> Any:
        """Everything to the resourceVersion, which every write raises."""
        node, rules = (
            self.cluster.api.get(NODE_PATH),
            self.cluster.api.items("/apis/resource.k8s.io/v1/devicetaintrules"),
        )
        events = self.cluster.api.items("/api/v1/namespaces/default/events")
        return node, rules, [event["metadata"]["name"] for event in events]

    def plain(self) -> Any:
        """The node without what only counts its changes."""
        node = self.cluster.api.get(NODE_PATH)
        meta = {
            key: value for key, value in node["metadata"].items() if key not in {"resourceVersion", "managedFields"}
        }
        return meta, node["spec"], node["status"]

    def make_unfit(self) -> None:
        self.cluster.change(NODE_PATH, {"spec": {"unschedulable": True}})

    def make_failing(self) -> None:
        self.cluster.change(NODE_PATH, {"metadata": {"annotations": {REFUSED: "yes"}}})


class TestKubernetes(ExecutorContract):
    @pytest.fixture
    def world(self, kubernetes_cluster: KubernetesCluster) -> World:
        return KubernetesWorld(kubernetes_cluster, on_node(RecommendationKind.CORDON))

    def is_undone(self, world: World) -> bool:
        return world.plain() == world.before

    def advice_of(self, world: World, kind: RecommendationKind) -> Recommendation:
        if kind in OF_PODS:
            kind_of = {"target": (target(TargetType.WORKLOAD, f"{SPACE}/{pod_for(world.cluster, kind)}", node=NODE),)}
            return replace(on_node(kind, **kind_of), created=time.time() + 1)
        return replace(on_node(kind), created=time.time() + 1)


OF_PODS = {
    RecommendationKind.MIGRATE,
    RecommendationKind.REPLACE_STRAGGLER,
    RecommendationKind.RECLAIM_IDLE,
    RecommendationKind.SEPARATE,
}


def pod_for(cluster: KubernetesCluster, kind: RecommendationKind) -> str:
    """A new pod on the node that can be ended, with a Job that can be stopped and room on another node."""
    name = f"{kind}-{secrets.token_hex(4)}"
    cluster.controller("Job", name)
    cluster.node(f"room-for-{name}")
    cluster.pod(name, NODE, owner=f"Job/{name}")
    return name


@pytest.fixture
def bench(kubernetes_cluster: KubernetesCluster, tmp_path: Path) -> Iterator[Bench]:
    bench = bench_of(kubernetes_cluster.api, tmp_path)
    yield bench
    bench.journal.close()


def test_a_cordon_says_by_whom_in_the_node_its_fields_and_an_event(bench: Bench, kubernetes_cluster: KubernetesCluster):
    kubernetes_cluster.node(NODE)
    order = now(on_node(RecommendationKind.CORDON))
    assert follow(bench, order)[0] is Phase.EXECUTED
    node = kubernetes_cluster.api.get(NODE_PATH)
    assert (node["spec"]["unschedulable"], node["metadata"]["annotations"][CORDONED_BY]) == (True, order.id)
    assert OWNER in {fields["manager"] for fields in node["metadata"]["managedFields"]}
    (event,) = kubernetes_cluster.api.items("/api/v1/namespaces/default/events")
    assert (event["involvedObject"]["name"], event["reason"]) == (NODE, "RecommendationFollowed")
    assert order.id in event["message"]
    (ref,) = bench.acks[-1].native_refs
    assert (ref.kind, ref.name, ref.uid) == ("node", NODE, node["metadata"]["uid"])


def test_uncordon_gives_back_what_we_cordoned_and_nothing_else(bench: Bench, kubernetes_cluster: KubernetesCluster):
    kubernetes_cluster.node(NODE)
    follow(bench, now(on_node(RecommendationKind.CORDON)))
    assert follow(bench, now(on_node(RecommendationKind.UNCORDON)))[0] is Phase.EXECUTED
    assert "unschedulable" not in kubernetes_cluster.api.get(NODE_PATH)["spec"]

    kubernetes_cluster.change(NODE_PATH, {"spec": {"unschedulable": True}})
    other = now(on_node(RecommendationKind.UNCORDON, undoes="something else, so that it has another key"))
    assert follow(bench, other) == (Phase.REJECTED, f"node {NODE} was cordoned by somebody else")


def test_a_node_to_avoid_is_tainted_beside_the_taints_it_has(bench: Bench, kubernetes_cluster: KubernetesCluster):
    kubernetes_cluster.node(NODE)
    theirs = {"key": "site/own", "value": "x", "effect": "NoExecute", "timeAdded": "2026-01-02T03:04:05Z"}
    kubernetes_cluster.change(NODE_PATH, {"spec": {"taints": [theirs]}})
    order = now(on_node(RecommendationKind.AVOID_NODE))
    assert follow(bench, order)[0] is Phase.EXECUTED
    assert taints(kubernetes_cluster) == [("site/own", "x", "NoExecute"), (AVOID, order.id, "PreferNoSchedule")]
    bench.worker.take(now(undo_of(order)))
    assert kubernetes_cluster.api.get(NODE_PATH)["spec"]["taints"] == [theirs]


def test_what_is_for_people_becomes_a_condition_until_it_is_taken_back(
    bench: Bench, kubernetes_cluster: KubernetesCluster
):
    kubernetes_cluster.node(NODE)
    what = target(TargetType.DEVICE, UUID, node=NODE, gpu_uuid=UUID)
    order = now(on_node(RecommendationKind.INSPECT_HARDWARE, target=(what,)))
    assert follow(bench, order)[0] is Phase.EXECUTED
    said = {one["type"]: one for one in kubernetes_cluster.api.get(NODE_PATH)["status"]["conditions"]}
    assert order.id in said["WarpgaugeInspectHardware"]["message"]
    assert said["Ready"]["status"] == "True"
    bench.worker.take(now(undo_of(order)))
    assert [one["type"] for one in kubernetes_cluster.api.get(NODE_PATH)["status"]["conditions"]] == ["Ready"]


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"metadata": {"annotations": {KEEP: "true"}}}, f"says {KEEP}=true"),
        ({"metadata": {"labels": {KEEP: "true"}}}, f"says {KEEP}=true"),
        ({"spec": {"taints": [{"key": "karpenter.sh/disrupted", "effect": "NoSchedule"}]}}, "in somebody else's hands"),
    ],
)
def test_a_node_whose_owner_objects_is_left_alone(
    bench: Bench, kubernetes_cluster: KubernetesCluster, change: dict[str, Any], why: str
):
    kubernetes_cluster.node(NODE)
    kubernetes_cluster.change(NODE_PATH, change)
    phase, said = follow(bench, now(on_node(RecommendationKind.CORDON)))
    assert phase is Phase.REJECTED
    assert why in said


def test_a_name_that_another_machine_has_by_now_is_refused(bench: Bench, kubernetes_cluster: KubernetesCluster):
    old = kubernetes_cluster.node(NODE)["metadata"]["uid"]
    kubernetes_cluster.delete(NODE_PATH)
    kubernetes_cluster.node(NODE)
    phase, said = follow(bench, now(on_node(RecommendationKind.CORDON, target=(target(uid=old),))))
    assert phase is Phase.REJECTED
    assert "is another machine than the one that was meant" in said


class Overtaken(Kubernetes):
    """Lets somebody else change the node right before each of the first changes of ours."""

    def __init__(self, cluster: KubernetesCluster, times: int, change: dict[str, Any]) -> None:
        super().__init__(connect_of(cluster))
        self._cluster, self._times, self._change = cluster, times, change

    def send(self, call: Any, *, dry_run: bool = False) -> dict[str, Any]:
        if not dry_run and call.method == "PATCH" and self._times:
            self._times -= 1
            self._cluster.change(NODE_PATH, {"metadata": {"labels": {"at": str(self._times)}}} | self._change)
        return super().send(call, dry_run=dry_run)


def connect_of(cluster: KubernetesCluster) -> Any:
    return cluster.api._connection


def test_a_change_that_was_overtaken_is_looked_at_again(kubernetes_cluster: KubernetesCluster):
    kubernetes_cluster.node(NODE)
    executor = KubernetesExecutor(Overtaken(kubernetes_cluster, 2, {}))
    executor.execute(Order(recommendation=now(on_node(RecommendationKind.CORDON))))
    node = kubernetes_cluster.api.get(NODE_PATH)
    assert (node["spec"]["unschedulable"], node["metadata"]["labels"]["at"]) == (True, "0")


def test_what_was_overtaken_by_a_cordon_of_somebody_else_is_not_done(kubernetes_cluster: KubernetesCluster):
    kubernetes_cluster.node(NODE)
    executor = KubernetesExecutor(Overtaken(kubernetes_cluster, 1, {"spec": {"unschedulable": True}}))
    with pytest.raises(ExecutionError, match="cordoned already, by somebody else"):
        executor.execute(Order(recommendation=now(on_node(RecommendationKind.CORDON))))
    assert CORDONED_BY not in kubernetes_cluster.api.get(NODE_PATH)["metadata"].get("annotations", {})


def test_who_is_overtaken_all_the_time_comes_back_later(kubernetes_cluster: KubernetesCluster):
    kubernetes_cluster.node(NODE)
    executor = KubernetesExecutor(Overtaken(kubernetes_cluster, 99, {}))
    with pytest.raises(ExecutionError, match="kubernetesConflict") as raised:
        executor.execute(Order(recommendation=now(on_node(RecommendationKind.CORDON))))
    assert raised.value.may_succeed_later


def test_one_device_is_tainted_where_devices_are_handed_out_by_dra(bench: Bench, kubernetes_cluster: KubernetesCluster):
    kubernetes_cluster.node(NODE)
    device_slice(kubernetes_cluster)
    order = now(on_node(RecommendationKind.CORDON, target=(target(TargetType.DEVICE, UUID, node=NODE),)))
    assert follow(bench, order)[0] is Phase.EXECUTED, bench.acks[-1]
    (rule,) = kubernetes_cluster.api.items("/apis/resource.k8s.io/v1/devicetaintrules")
    assert rule["spec"]["deviceSelector"] == {"driver": "gpu.nvidia.com", "pool": NODE, "device": "gpu-3"}
    assert (rule["spec"]["taint"]["value"], rule["spec"]["taint"]["effect"]) == (order.id, "NoSchedule")
    assert "unschedulable" not in kubernetes_cluster.api.get(NODE_PATH)["spec"]
    bench.worker.take(now(undo_of(order)))
    assert kubernetes_cluster.api.items("/apis/resource.k8s.io/v1/devicetaintrules") == []


def test_a_device_that_no_driver_offers_is_not_cordoned(bench: Bench, kubernetes_cluster: KubernetesCluster):
    kubernetes_cluster.node(NODE)
    order = now(on_node(RecommendationKind.CORDON, target=(target(TargetType.DEVICE, UUID, node=NODE),)))
    assert follow(bench, order) == (Phase.REJECTED, f"no DRA driver offers device {UUID} on {NODE}")


@pytest.mark.parametrize("kind", sorted(KubernetesExecutor.kinds))
def test_doing_it_again_changes_nothing_whatever_it_is(kubernetes_cluster: KubernetesCluster, kind: RecommendationKind):
    drained(kubernetes_cluster)
    kubernetes_cluster.node("gpu-c")
    kubernetes_cluster.controller("Job", "idle")
    kubernetes_cluster.pod("idle-0", NODE, owner="Job/idle")
    pods = {
        RecommendationKind.MIGRATE: "train-0",
        RecommendationKind.REPLACE_STRAGGLER: "train-0",
        RecommendationKind.SEPARATE: "train-0",
        RecommendationKind.RECLAIM_IDLE: "idle-0",
    }
    workload = target(TargetType.WORKLOAD, f"{SPACE}/{pods.get(kind)}", node=NODE)
    order = Order(recommendation=now(on_node(kind, **({"target": (workload,)} if kind in pods else {}))))
    executor = KubernetesExecutor(kubernetes_cluster.api)

    def state() -> list[Any]:
        paths = ("/api/v1/nodes", PODS, f"/apis/batch/v1/namespaces/{SPACE}/jobs")
        return [kubernetes_cluster.api.items(path) for path in paths]

    first = executor.execute(order)
    after = state()
    assert executor.found(order) == first
    assert executor.execute(order) == first
    assert state() == after
