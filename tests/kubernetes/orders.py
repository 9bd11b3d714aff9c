"""Recommendations about the nodes and pods of the tests' API server, and what they are followed with."""

from __future__ import annotations

import time
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.executors.executor_contract import Bench, advice
from tests.kubernetes_cluster import SPACE
from warpgauge.core.clock import ManualClock
from warpgauge.core.recommendation import Recommendation, RecommendationKind, Target, TargetType
from warpgauge.executors.kubernetes import KubernetesExecutor

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kubernetes_cluster import KubernetesCluster
    from warpgauge.core.ack import Phase
    from warpgauge.core.kubernetes import Kubernetes

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


def bench_of(api: Kubernetes, directory: Path, *, dry_run: bool = False) -> Bench:
    """A worker on the cluster whose clock shows the cluster's time, and may be moved."""
    bench = Bench(KubernetesExecutor(api), directory, dry_run=dry_run)
    bench.clock = ManualClock(time.time() + 2)
    bench.restart()
    return bench


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
