"""The executor's account as deploy/kubernetes/executor.yaml grants it, on a real API server: enough, and not more."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import pytest

from tests.deploy.test_executor_manifest import DOCUMENTS
from tests.kubernetes.orders import NODE, UUID, bench_of, device_slice, drained, names, now, of_pod, on_node, target
from tests.kubernetes_cluster import SPACE, KubernetesCluster
from tests.real_servers import wait_until
from warpgauge.analyzer.planning.kubernetes import read_pool
from warpgauge.core.ack import Phase
from warpgauge.core.kubernetes import Call, Kubernetes, KubernetesError
from warpgauge.core.recommendation import RecommendationKind, TargetType

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.real, pytest.mark.slow]

RIGHTS = [one for one in DOCUMENTS if one["kind"].startswith(("Role", "ClusterRole", "ServiceAccount"))]


@pytest.fixture
def account(kubernetes_cluster: KubernetesCluster) -> Kubernetes:
    """The cluster as the executor's service account sees it."""
    kubernetes_cluster.apply({"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": "warpgauge"}})
    for manifest in RIGHTS:
        kubernetes_cluster.apply(manifest)
    account = kubernetes_cluster.known_as(kubernetes_cluster.token("warpgauge-executor", space="warpgauge"))
    wait_until(lambda: may(account, "GET", "/api/v1/nodes"), what="the rights are in force")
    return account


def may(api: Kubernetes, method: str, path: str, body: dict[str, Any] | None = None) -> bool:
    """Whether the server lets the account do it; what it does is thrown away."""
    try:
        if method == "GET":
            api.items(path)
        else:
            api.send(Call(method=method, path=path, body=body or {}, words=path), dry_run=True)
    except KubernetesError as error:
        return error.status != 403
    return True


def test_the_account_can_follow_every_kind(account: Kubernetes, kubernetes_cluster: KubernetesCluster, tmp_path: Path):
    drained(kubernetes_cluster)
    kubernetes_cluster.node("gpu-c")
    device_slice(kubernetes_cluster)
    bench = bench_of(account, tmp_path)
    device = target(TargetType.DEVICE, UUID, node=NODE)
    kubernetes_cluster.controller("Job", "idle")
    kubernetes_cluster.pod("idle-0", NODE, owner="Job/idle")
    idle = target(TargetType.WORKLOAD, f"{SPACE}/idle-0", node=NODE)
    for order in (
        on_node(RecommendationKind.RECLAIM_IDLE, target=(idle,)),
        on_node(RecommendationKind.AVOID_NODE),
        on_node(RecommendationKind.INSPECT_HARDWARE),
        on_node(RecommendationKind.CORDON, target=(device,)),
        of_pod("train-0"),
        on_node(RecommendationKind.DRAIN),
        on_node(RecommendationKind.UNCORDON),
    ):
        bench.worker.take(now(order))
        assert bench.phases()[-1] is Phase.EXECUTED, bench.acks[-1]
    assert names(kubernetes_cluster) == {"beside", "logs"}
    assert len(kubernetes_cluster.api.items("/api/v1/namespaces/default/events")) == 7
    bench.journal.close()


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("DELETE", f"/api/v1/nodes/{NODE}"),
        ("DELETE", f"/api/v1/namespaces/{SPACE}/pods/serve"),
        ("POST", f"/api/v1/namespaces/{SPACE}/pods"),
        ("DELETE", f"/apis/batch/v1/namespaces/{SPACE}/jobs/idle"),
        ("POST", f"/apis/batch/v1/namespaces/{SPACE}/jobs"),
        ("GET", f"/api/v1/namespaces/{SPACE}/secrets"),
        ("GET", "/api/v1/secrets"),
        ("POST", "/apis/rbac.authorization.k8s.io/v1/clusterrolebindings"),
        ("POST", "/api/v1/namespaces/warpgauge/serviceaccounts/warpgauge-executor/token"),
        ("POST", "/apis/events.k8s.io/v1/namespaces/kube-system/events"),
    ],
)
def test_the_account_can_do_nothing_else(
    account: Kubernetes, kubernetes_cluster: KubernetesCluster, method: str, path: str
):
    kubernetes_cluster.node(NODE)
    kubernetes_cluster.pod("serve", NODE)
    assert not may(account, method, path, {"metadata": {"name": "x"}})


def test_an_account_without_rights_is_a_failure_that_names_the_missing_one(
    kubernetes_cluster: KubernetesCluster, tmp_path: Path
):
    kubernetes_cluster.node(NODE)
    bench = bench_of(kubernetes_cluster.account("nobody"), tmp_path)
    bench.worker.take(now(on_node(RecommendationKind.CORDON)))
    assert (bench.phases()[-1], bench.acks[-1].reason) == (Phase.FAILED, "kubernetesForbidden")
    assert f'User "system:serviceaccount:{SPACE}:nobody" cannot get resource "nodes"' in bench.acks[-1].detail
    bench.journal.close()


def test_an_account_that_may_only_read_fails_in_the_dry_run(kubernetes_cluster: KubernetesCluster, tmp_path: Path):
    kubernetes_cluster.node(NODE)
    reader = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRole",
        "metadata": {"name": "reader"},
        "rules": [{"apiGroups": [""], "resources": ["nodes", "pods", "namespaces"], "verbs": ["get", "list"]}],
    }
    bound = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "reader"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "reader"},
        "subjects": [{"kind": "ServiceAccount", "name": "reader", "namespace": SPACE}],
    }
    api = kubernetes_cluster.account("reader", reader, bound)
    wait_until(lambda: may(api, "GET", "/api/v1/nodes"), what="the rights are in force")
    bench = bench_of(api, tmp_path)
    bench.worker.take(now(on_node(RecommendationKind.CORDON)))
    assert bench.phases() == [Phase.RECEIVED, Phase.ACCEPTED, Phase.FAILED]
    assert "cannot patch resource" in bench.acks[-1].detail
    bench.journal.close()


def test_a_token_that_is_none_is_tried_again_later(kubernetes_cluster: KubernetesCluster, tmp_path: Path):
    kubernetes_cluster.node(NODE)
    bench = bench_of(kubernetes_cluster.known_as("eyJhbGciOiJub25lIn0.e30."), tmp_path)
    bench.worker.take(now(on_node(RecommendationKind.CORDON)))
    assert (bench.phases()[-1], bench.acks[-1].reason) == (Phase.FAILED, "kubernetesUnauthorized")
    bench.journal.close()


def test_the_planners_role_is_enough_to_plan(kubernetes_cluster: KubernetesCluster):
    drained(kubernetes_cluster)
    role = next(one for one in DOCUMENTS if one["metadata"]["name"] == "warpgauge-planner")
    bound = {
        "apiVersion": "rbac.authorization.k8s.io/v1",
        "kind": "ClusterRoleBinding",
        "metadata": {"name": "planner"},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "warpgauge-planner"},
        "subjects": [{"kind": "ServiceAccount", "name": "planner", "namespace": SPACE}],
    }
    api = kubernetes_cluster.account("planner", role, bound)
    wait_until(lambda: may(api, "GET", "/api/v1/nodes"), what="the rights are in force")
    assert {one.name for one in read_pool(api).nodes} == {NODE, "gpu-b"}
