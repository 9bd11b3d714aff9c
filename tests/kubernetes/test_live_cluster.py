"""A real API server, read: `warpgauge plan --core kubernetes`, and what kubectl shows of what we did."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from tests.kubernetes.orders import NODE, now, on_node
from tests.kubernetes_cluster import kubectl
from tests.running import warpgauge
from tools import peers
from warpgauge.core.recommendation import RecommendationKind
from warpgauge.executors import Order
from warpgauge.executors.kubernetes import KubernetesExecutor

if TYPE_CHECKING:
    from pathlib import Path

    from tests.kubernetes_cluster import KubernetesCluster

pytestmark = [pytest.mark.real, pytest.mark.slow]


def settings(cluster: KubernetesCluster) -> dict[str, str]:
    return {
        "WARPGAUGE_KUBERNETES_SERVER": cluster.settings.server,
        "WARPGAUGE_KUBERNETES_CA_FILE": cluster.settings.ca_file,
        "WARPGAUGE_KUBERNETES_CLIENT_CERT": cluster.settings.client_cert,
    }


def test_what_moves_where_lets_a_waiting_gang_run(kubernetes_cluster: KubernetesCluster, tmp_path: Path):
    for letter in "abcd":
        kubernetes_cluster.node(f"gpu-{letter}")
        kubernetes_cluster.pod(f"serve-{letter}", f"gpu-{letter}")
    for rank in range(2):
        kubernetes_cluster.pod(f"train-{rank}", gpus=8, labels={"jobset.sigs.k8s.io/jobset-name": "train"})

    done = warpgauge("plan", "--core", "kubernetes", "--json", home=tmp_path, **settings(kubernetes_cluster))
    assert (done.returncode, done.stderr) == (1, "")
    lines = [json.loads(line) for line in done.stdout.splitlines()]
    (summary,) = [line for line in lines if line["type"] == "summary"]
    assert summary["jobs_that_fit_after_moves"] == ["ml/train"]
    moved = {line["pod"] for line in lines if line["type"] == "move"}
    assert moved
    assert moved <= {f"ml/serve-{letter}" for letter in "abcd"}


def test_more_pods_than_a_page_holds_are_all_read(kubernetes_cluster: KubernetesCluster):
    for number in range(5):
        kubernetes_cluster.pod(f"p{number}")
    path = "/api/v1/pods"
    whole = kubernetes_cluster.api.items(path)
    paged = kubernetes_cluster.api._pages(path, {"limit": "2"})
    assert [one["metadata"]["name"] for one in paged] == [one["metadata"]["name"] for one in whole]
    assert len(paged) == 5


def test_kubectl_shows_what_was_done_and_by_whom(kubernetes_cluster: KubernetesCluster):
    try:
        program = peers.environment("kubectl") / "bin" / "kubectl"
    except peers.PeerMissingError as error:
        pytest.skip(str(error))
    kubernetes_cluster.node(NODE)
    order = now(on_node(RecommendationKind.CORDON))
    KubernetesExecutor(kubernetes_cluster.api).execute(Order(recommendation=order))
    said = kubectl(kubernetes_cluster, program, "get", "nodes", NODE)
    assert "Ready,SchedulingDisabled" in said.stdout, said.stderr
    said = kubectl(kubernetes_cluster, program, "describe", "node", NODE)
    assert f"warpgauge.internal/cordoned-by: {order.id}" in said.stdout, said.stderr
    assert "RecommendationFollowed" in said.stdout
