"""The Kubernetes executor on a real API server: the contract, and what it does to nodes, pods and devices."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.executors.executor_contract import Bench, ExecutorContract, World, advice, undo_of
from tests.kubernetes_cluster import REFUSED, SPACE
from tests.real_servers import wait_until
from warpgauge.core.ack import Phase
from warpgauge.core.clock import ManualClock
from warpgauge.core.kubernetes import KEEP, OWNER, Kubernetes, KubernetesError
from warpgauge.core.recommendation import Approval, Recommendation, RecommendationKind, Target, TargetType
from warpgauge.executors import ExecutionError, Order
from warpgauge.executors.kubernetes import KubernetesExecutor
from warpgauge.executors.kubernetes.calls import AVOID, CORDONED_BY, QUARANTINE

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from tests.kubernetes_cluster import KubernetesCluster

pytestmark = [pytest.mark.real, pytest.mark.slow]

NODE = "gpu-a"
NODE_PATH = f"/api/v1/nodes/{NODE}"
PODS = f"/api/v1/namespaces/{SPACE}/pods"
UUID = "GPU-1e8a6f6b-0001-0002-0003-000000000001"


def target(kind: TargetType = TargetType.NODE, name: str = NODE, **more: Any) -> Target:
    return Target(cluster="trial", type=kind, name=name, platform="kubernetes", **more)


def on_node(kind: RecommendationKind, **changes: Any) -> Recommendation:
    return advice(kind, **{"target": (target(),), "preconditions": ()} | changes)


def of_pod(name: str, **changes: Any) -> Recommendation:
    what = target(TargetType.WORKLOAD, f"{SPACE}/{name}", node=NODE)
    return now(advice(RecommendationKind.REPLACE_STRAGGLER, **{"target": (what,), "preconditions": ()} | changes))


def now(recommendation: Recommendation) -> Recommendation:
    """The recommendation made right now, a second after all that is there."""
    at = time.time() + 1
    return replace(recommendation, created=at, not_before=at - 60, expires_at=at + 900)


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


@pytest.fixture
def bench(kubernetes_cluster: KubernetesCluster, tmp_path: Path) -> Iterator[Bench]:
    """A worker on the cluster whose clock shows the cluster's time, and may be moved."""
    bench = Bench(KubernetesExecutor(kubernetes_cluster.api), tmp_path)
    bench.clock = ManualClock(time.time() + 2)
    bench.restart()
    yield bench
    bench.journal.close()


def follow(bench: Bench, recommendation: Recommendation) -> tuple[Phase, str]:
    """The last ack's phase and what it says."""
    bench.worker.take(recommendation)
    return bench.acks[-1].phase, bench.acks[-1].detail or ""


def taints(cluster: KubernetesCluster) -> list[tuple[str, str, str]]:
    spec = cluster.api.get(NODE_PATH)["spec"]
    return [(one["key"], one.get("value", ""), one["effect"]) for one in spec.get("taints", [])]


def names(cluster: KubernetesCluster) -> set[str]:
    """Pods of the namespace that are not on their way out."""
    pods = cluster.api.items(PODS)
    return {pod["metadata"]["name"] for pod in pods if "deletionTimestamp" not in pod["metadata"]}


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


def drained(cluster: KubernetesCluster) -> None:
    """Two nodes; on the first a service, a member of a gang of two, and what belongs to the node."""
    cluster.node(NODE)
    cluster.node("gpu-b")
    cluster.pod("serve", NODE)
    gang = {"labels": {"jobset.sigs.k8s.io/jobset-name": "train"}}
    cluster.pod("train-0", NODE, owner="Job", **gang)
    cluster.pod("train-1", "gpu-b", owner="Job", **gang)
    cluster.pod("beside", "gpu-b")
    cluster.pod("logs", NODE, owner="DaemonSet", gpus=0)


def test_a_drain_evicts_what_runs_there_and_its_gang_but_not_what_belongs_to_the_node(
    bench: Bench, kubernetes_cluster: KubernetesCluster
):
    drained(kubernetes_cluster)
    order = now(on_node(RecommendationKind.DRAIN))
    assert follow(bench, order)[0] is Phase.EXECUTED, bench.acks[-1]
    assert names(kubernetes_cluster) == {"beside", "logs"}
    assert kubernetes_cluster.api.get(NODE_PATH)["spec"]["unschedulable"] is True
    bench.worker.take(now(undo_of(order)))
    assert "unschedulable" not in kubernetes_cluster.api.get(NODE_PATH)["spec"]


def test_a_dry_run_of_a_drain_changes_no_object(kubernetes_cluster: KubernetesCluster, tmp_path: Path):
    drained(kubernetes_cluster)
    bench = Bench(KubernetesExecutor(kubernetes_cluster.api), tmp_path, dry_run=True)
    bench.clock = ManualClock(time.time() + 2)
    bench.restart()
    before = kubernetes_cluster.api.items("/api/v1/nodes"), kubernetes_cluster.api.items(PODS)
    phase, said = follow(bench, now(on_node(RecommendationKind.DRAIN)))
    assert phase is Phase.DRY_RUN_OK
    assert f"cordon node {NODE} (undo: uncordon node {NODE}); evict pod {SPACE}/serve (no undo)" in said
    assert (kubernetes_cluster.api.items("/api/v1/nodes"), kubernetes_cluster.api.items(PODS)) == before
    bench.journal.close()


def test_a_budget_that_allows_nothing_is_heard_before_anything_is_touched_and_asked_again(
    bench: Bench, kubernetes_cluster: KubernetesCluster
):
    kubernetes_cluster.node(NODE)
    kubernetes_cluster.pod("serve", NODE, labels={"app": "serve"})
    kubernetes_cluster.budget("serve", {"app": "serve"}, allowed=0)
    before = kubernetes_cluster.api.get(NODE_PATH)
    phase, said = follow(bench, now(on_node(RecommendationKind.DRAIN)))
    assert (phase, bench.acks[-1].reason) == (Phase.FAILED, "pdbRefused")
    assert "disruption budget" in said
    assert kubernetes_cluster.api.get(NODE_PATH) == before
    assert names(kubernetes_cluster) == {"serve"}

    path = f"/apis/policy/v1/namespaces/{SPACE}/poddisruptionbudgets/serve/status"
    kubernetes_cluster.change(path, {"status": {"disruptionsAllowed": 1}})
    bench.clock.advance(60)
    bench.worker.resume()
    assert bench.phases()[-1] is Phase.EXECUTED, bench.acks[-1]
    assert names(kubernetes_cluster) == set()


def test_a_gang_whose_budget_is_too_small_for_all_of_it_is_not_ended_by_halves(
    bench: Bench, kubernetes_cluster: KubernetesCluster
):
    drained(kubernetes_cluster)
    kubernetes_cluster.budget("train", {"jobset.sigs.k8s.io/jobset-name": "train"}, allowed=1)
    phase, said = follow(bench, now(on_node(RecommendationKind.DRAIN)))
    assert (phase, bench.acks[-1].reason) == (Phase.FAILED, "pdbRefused")
    assert "allows 1 of the 2 evictions that belong together" in said
    assert len(names(kubernetes_cluster)) == 5


def test_a_cordon_is_taken_back_if_a_budget_refuses_the_first_eviction(kubernetes_cluster: KubernetesCluster):
    kubernetes_cluster.node(NODE)
    kubernetes_cluster.pod("serve", NODE, labels={"app": "serve"})
    kubernetes_cluster.budget("serve", {"app": "serve"}, allowed=0)
    executor = KubernetesExecutor(kubernetes_cluster.api)
    with pytest.raises(ExecutionError, match=r"pdbRefused.*nothing else was changed") as raised:
        executor.execute(Order(recommendation=now(on_node(RecommendationKind.DRAIN))))
    assert raised.value.may_succeed_later
    assert "unschedulable" not in kubernetes_cluster.api.get(NODE_PATH)["spec"]


def test_what_was_evicted_before_a_refusal_is_told_and_gone_on_with(kubernetes_cluster: KubernetesCluster):
    kubernetes_cluster.node(NODE)
    kubernetes_cluster.pod("free", NODE)
    kubernetes_cluster.pod("guarded", NODE, labels={"app": "serve"})
    kubernetes_cluster.budget("serve", {"app": "serve"}, allowed=0)
    executor, order = KubernetesExecutor(kubernetes_cluster.api), now(on_node(RecommendationKind.DRAIN))
    with pytest.raises(
        ExecutionError, match=rf"gone on with at the next attempt: cordon node {NODE}; evict pod ml/free"
    ):
        executor.execute(Order(recommendation=order))
    assert names(kubernetes_cluster) == {"guarded"}
    path = f"/apis/policy/v1/namespaces/{SPACE}/poddisruptionbudgets/serve/status"
    kubernetes_cluster.change(path, {"status": {"disruptionsAllowed": 1}})
    executor.execute(Order(recommendation=order))
    assert names(kubernetes_cluster) == set()


@pytest.mark.parametrize("kind", sorted(KubernetesExecutor.kinds))
def test_doing_it_again_changes_nothing_whatever_it_is(kubernetes_cluster: KubernetesCluster, kind: RecommendationKind):
    drained(kubernetes_cluster)
    kubernetes_cluster.node("gpu-c")
    workload = target(TargetType.WORKLOAD, f"{SPACE}/train-0", node=NODE)
    moves = {RecommendationKind.MIGRATE, RecommendationKind.REPLACE_STRAGGLER}
    order = Order(recommendation=now(on_node(kind, **({"target": (workload,)} if kind in moves else {}))))
    executor = KubernetesExecutor(kubernetes_cluster.api)
    first = executor.execute(order)
    after = kubernetes_cluster.api.items("/api/v1/nodes"), kubernetes_cluster.api.items(PODS)
    assert executor.found(order) == first
    assert executor.execute(order) == first
    assert (kubernetes_cluster.api.items("/api/v1/nodes"), kubernetes_cluster.api.items(PODS)) == after


@pytest.mark.parametrize(
    ("meta", "why"),
    [
        ({"owner": ""}, "has no controller"),
        ({"annotations": {KEEP: "true"}}, f"says {KEEP}"),
        ({"annotations": {"cluster-autoscaler.kubernetes.io/safe-to-evict": "false"}}, "safe-to-evict=false"),
    ],
)
def test_a_node_with_a_pod_that_must_not_be_ended_is_not_drained(
    bench: Bench, kubernetes_cluster: KubernetesCluster, meta: dict[str, Any], why: str
):
    kubernetes_cluster.node(NODE)
    kubernetes_cluster.pod("precious", NODE, **meta)
    phase, said = follow(bench, now(on_node(RecommendationKind.DRAIN)))
    assert phase is Phase.REJECTED
    assert why in said


def test_a_namespace_may_opt_out_for_all_its_pods(bench: Bench, kubernetes_cluster: KubernetesCluster):
    kubernetes_cluster.node(NODE)
    kubernetes_cluster.pod("serve", NODE)
    kubernetes_cluster.change(f"/api/v1/namespaces/{SPACE}", {"metadata": {"annotations": {KEEP: "true"}}})
    assert follow(bench, now(on_node(RecommendationKind.DRAIN))) == (
        Phase.REJECTED,
        f"namespace {SPACE} says {KEEP}=true",
    )


def test_a_gang_leaves_a_slow_node_whole_and_the_node_takes_nothing_new(
    bench: Bench, kubernetes_cluster: KubernetesCluster
):
    drained(kubernetes_cluster)
    kubernetes_cluster.node("gpu-c")
    order = of_pod("train-0")
    assert follow(bench, order)[0] is Phase.EXECUTED, bench.acks[-1]
    assert names(kubernetes_cluster) == {"serve", "beside", "logs"}
    assert taints(kubernetes_cluster) == [(QUARANTINE, order.id, "NoSchedule")]
    assert [(ref.kind, ref.name) for ref in bench.acks[-1].native_refs] == [
        ("node", NODE),
        ("workload", f"{SPACE}/train-0"),
    ]
    bench.worker.take(now(undo_of(order)))
    assert taints(kubernetes_cluster) == []


def test_a_job_that_only_says_its_own_name_is_found_on_the_node(bench: Bench, kubernetes_cluster: KubernetesCluster):
    drained(kubernetes_cluster)
    kubernetes_cluster.node("gpu-c")
    what = target(TargetType.WORKLOAD, "train", node=NODE)
    assert follow(bench, of_pod("train", target=(what,)))[0] is Phase.EXECUTED, bench.acks[-1]
    assert names(kubernetes_cluster) == {"serve", "beside", "logs"}


def test_a_gang_is_not_touched_where_it_has_no_other_place(bench: Bench, kubernetes_cluster: KubernetesCluster):
    drained(kubernetes_cluster)
    kubernetes_cluster.pod("big", "gpu-b", gpus=6)
    phase, said = follow(bench, of_pod("train-0"))
    assert phase is Phase.REJECTED
    assert "has no room on another node now" in said
    assert taints(kubernetes_cluster) == []


def test_a_pod_that_was_started_again_since_is_not_ended_for_what_it_was(
    bench: Bench, kubernetes_cluster: KubernetesCluster
):
    drained(kubernetes_cluster)
    at = time.time() - 60
    order = replace(of_pod("train-0"), created=at)
    phase, said = follow(bench, order)
    assert phase is Phase.REJECTED
    assert "was started again since the recommendation was made" in said


def test_a_crash_between_two_evictions_is_gone_on_with_and_ends_nobody_twice(
    bench: Bench, kubernetes_cluster: KubernetesCluster
):
    drained(kubernetes_cluster)
    order = of_pod("train-0")
    for step in bench.executor._plan(Order(recommendation=order))[1][:2]:
        bench.executor._send(step)
    assert names(kubernetes_cluster) == {"serve", "train-0", "beside", "logs"}  # train-1, elsewhere, was the first
    wait_until(lambda: time.time() > order.created + 1, what="the successor is younger, by whole seconds")
    kubernetes_cluster.pod("train-1-again", labels={"jobset.sigs.k8s.io/jobset-name": "train"})
    bench.worker.take(order)
    assert bench.phases()[-1] is Phase.EXECUTED, bench.acks[-1]
    assert names(kubernetes_cluster) == {"serve", "train-1-again", "beside", "logs"}


def test_a_pod_that_took_the_name_of_another_is_not_evicted_for_it(kubernetes_cluster: KubernetesCluster):
    drained(kubernetes_cluster)
    executor = KubernetesExecutor(kubernetes_cluster.api)
    steps = executor._plan(Order(recommendation=of_pod("train-0")))[1]
    kubernetes_cluster.delete(f"{PODS}/train-0")
    kubernetes_cluster.pod("train-0", NODE)
    eviction = next(step for step in steps if "train-0" in step.call.path)
    with pytest.raises(KubernetesError, match=r"the UID in the precondition .* does not match") as raised:
        executor._send(eviction)
    assert raised.value.is_conflict


def test_what_a_precondition_does_not_show_needs_a_person(bench: Bench, kubernetes_cluster: KubernetesCluster):
    drained(kubernetes_cluster)
    order = replace(now(on_node(RecommendationKind.DRAIN)), mode="auto", approval=Approval(required=False))
    slow = replace(order, evidence=tuple(replace(row, metric="training_step_seconds") for row in order.evidence))
    assert "needs a person's approval" in follow(bench, slow)[1]
    assert len(names(kubernetes_cluster)) == 5


def device_slice(cluster: KubernetesCluster) -> None:
    """What a DRA driver publishes: one device with its UUID."""
    cluster.make(
        "/apis/resource.k8s.io/v1/resourceslices",
        {
            "apiVersion": "resource.k8s.io/v1",
            "kind": "ResourceSlice",
            "metadata": {"name": "slice"},
            "spec": {
                "driver": "gpu.nvidia.com",
                "nodeName": NODE,
                "pool": {"name": NODE, "generation": 1, "resourceSliceCount": 1},
                "devices": [{"name": "gpu-3", "attributes": {"uuid": {"string": UUID}}}],
            },
        },
    )


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
