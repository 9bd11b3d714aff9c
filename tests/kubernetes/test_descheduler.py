"""The real descheduler with the policy of docs/howto/load.md, on a real API server and a real Prometheus.

It runs as in a pod: in a mount namespace of its own, where its account's token lies where a pod has it, and with
Prometheus as the HTTP proxy through which it reaches the address that the policy names; not a letter of it is changed.
Loads are the fleet model's, pushed as agents push and recorded by the generated rule; nodes and pods are mere objects.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
from dataclasses import dataclass
from pathlib import Path
from statistics import fmean
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, urlsplit

import pytest
import yaml

pytest.importorskip("cramjam", reason="cramjam is not installed: pip install '.[push]'")

from tests.kubernetes_cluster import SPACE, built
from tests.real_servers import get_json, prometheus_config, servers_in, start_prometheus, wait_until
from warpgauge.core.catalog import device
from warpgauge.core.config import Config, PushConfig, RemoteWriteConfig
from warpgauge.exporters.push.reading import Reading
from warpgauge.exporters.push.remote_write import RemoteWrite
from warpgauge.exporters.push.sink import Acked
from warpgauge.exporters.synthetic import Fleet

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.kubernetes_cluster import KubernetesCluster

pytestmark = [pytest.mark.real, pytest.mark.slow]

ROOT = Path(__file__).resolve().parents[2]
GPUS = {"nvidia.com/gpu.present": "true"}
BUSY, BUSY_TOO, WELL_USED, IDLE = "sim-node-0", "sim-node-7", "sim-node-2", "sim-node-4"  # 78, 72, 24 and 19 %
PLACES = (BUSY, BUSY_TOO, WELL_USED, IDLE)
UNMEASURED = "new-node"

ACCOUNT = {"name": "descheduler", "namespace": "kube-system"}
READ = ["get", "list", "watch"]
RULES = [  # of its kubernetes/base/rbac.yaml, those that this policy needs
    {"apiGroups": [""], "resources": ["nodes", "namespaces", "pods", "persistentvolumeclaims"], "verbs": READ},
    {"apiGroups": [""], "resources": ["pods/eviction"], "verbs": ["create"]},
    {"apiGroups": ["events.k8s.io"], "resources": ["events"], "verbs": ["create", "update"]},
    {"apiGroups": ["scheduling.k8s.io"], "resources": ["priorityclasses"], "verbs": READ},
    {"apiGroups": ["policy"], "resources": ["poddisruptionbudgets"], "verbs": READ},
]
RBAC = "rbac.authorization.k8s.io"
ROLE = {"apiVersion": f"{RBAC}/v1", "kind": "ClusterRole", "metadata": {"name": "descheduler"}, "rules": RULES}
BINDING = {
    "apiVersion": f"{RBAC}/v1", "kind": "ClusterRoleBinding", "metadata": {"name": "descheduler"},
    "roleRef": {"apiGroup": RBAC, "kind": "ClusterRole", "name": "descheduler"},
    "subjects": [{"kind": "ServiceAccount", **ACCOUNT}],
}  # fmt: skip

OWN_MOUNTS = ("unshare", "--user", "--map-root-user", "--mount")
AS_IN_A_POD = """
mount -t tmpfs none /var/run && mkdir -p /var/run/secrets/kubernetes.io/serviceaccount &&
cp "$1" /var/run/secrets/kubernetes.io/serviceaccount/ca.crt &&
cp "$2" /var/run/secrets/kubernetes.io/serviceaccount/token && shift 2 && exec "$@"
"""


def policy() -> str:
    """The policy that the page shows."""
    blocks = (ROOT / "docs" / "howto" / "load.md").read_text().split("```yaml\n")[1:]
    (found,) = [text.split("```")[0] for text in blocks if "kind: DeschedulerPolicy" in text]
    return found


def query() -> str:
    """The question to Prometheus in it."""
    (profile,) = yaml.safe_load(policy())["profiles"]
    (args,) = [one["args"] for one in profile["pluginConfig"] if one["name"] == "LowNodeUtilization"]
    asked: str = args["metricsUtilization"]["prometheus"]["query"]
    return asked


@dataclass(frozen=True)
class Watched:
    """A Prometheus that knows a moment of a fleet; `loads` are its nodes', 0-1, as the model knows them."""

    url: str
    loads: dict[str, float]


@pytest.fixture(scope="module")
def watched(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Watched]:
    fleet = Fleet(2, (), gpus_per_node=4, start=1e9)
    fleet.advance(fleet.time + 60)
    told = {node: fleet.samples(node) for node in fleet.node_names}
    loads = {
        node: fmean(float(one.value) for one in samples if one.metric is device.COMPUTE_ACTIVE)
        for node, samples in told.items()
    }
    home = tmp_path_factory.mktemp("watched")
    rules = yaml.safe_load((ROOT / "alerts" / "generated" / "device.yml").read_text())
    (home / "device.yml").write_text(json.dumps({"groups": [one | {"interval": "1s"} for one in rules["groups"]]}))
    with servers_in(home) as servers:
        url = start_prometheus(servers, prometheus_config([], [home / "device.yml"], [], "1s"))
        for node, samples in told.items():
            pushed = as_pushed_by(node, url)
            assert pushed.send(pushed.encode(Reading(time.time(), samples))) == Acked()

        def is_recorded() -> bool:
            found = get_json(f"{url}/api/v1/query?query={quote(query())}")["data"]["result"]
            return len(found) == len(loads)

        wait_until(is_recorded, what="the rule was evaluated", seconds=60)
        yield Watched(url, loads)


def as_pushed_by(node: str, url: str) -> RemoteWrite:
    """A node's agent, with the labels of a cluster whose service discovery takes addresses for instances.

    Pushed once, a sample counts for five minutes; scraped anew each second it would be gone with the first late answer.
    """
    labels = ("cluster=prod", f"node={node}", "instance=10.0.0.1:9837")
    settings = RemoteWriteConfig(url=f"{url}/api/v1/write")
    return RemoteWrite(Config(push=PushConfig(external_labels=labels), remote_write=settings), {})


@dataclass(frozen=True)
class Descheduler:
    """The program, begun as a pod would; `loads` are the nodes', 0-1, as the fleet model knows them."""

    command: tuple[str | Path, ...]
    environ: dict[str, str]
    loads: dict[str, float]

    def round(self, *flags: str) -> list[dict[str, Any]]:
        """What it logged, once around."""
        done = subprocess.run(
            [*self.command, *flags], env=self.environ, capture_output=True, text=True, check=False, timeout=60
        )
        assert done.returncode == 0, done.stderr
        return [json.loads(line) for line in done.stderr.splitlines()]


@pytest.fixture(scope="module")
def program() -> Path:
    path = built("descheduler") / "descheduler"
    probe = [*OWN_MOUNTS, "mount", "-t", "tmpfs", "none", "/var/run"]
    if subprocess.run(probe, check=False, capture_output=True).returncode:
        pytest.skip(f"no mounts of its own for this user: {' '.join(probe)}")
    return path


@pytest.fixture
def descheduler(kubernetes_cluster: KubernetesCluster, program: Path, watched: Watched, tmp_path: Path) -> Descheduler:
    kubernetes_cluster.account(ACCOUNT["name"], ROLE, BINDING, space=ACCOUNT["namespace"])
    token = tmp_path / "token"
    token.write_text(kubernetes_cluster.token(ACCOUNT["name"], space=ACCOUNT["namespace"]))
    file = tmp_path / "policy.yaml"
    file.write_text(policy())
    server = urlsplit(kubernetes_cluster.settings.server)
    return Descheduler(
        (
            *OWN_MOUNTS, "sh", "-c", AS_IN_A_POD, "sh", kubernetes_cluster.settings.ca_file, token,
            program, f"--policy-config-file={file}", "--secure-port=0", "--v=3", "--logging-format=json",
        ),
        {
            "PATH": os.environ["PATH"], "HTTP_PROXY": watched.url,
            "KUBERNETES_SERVICE_HOST": str(server.hostname), "KUBERNETES_SERVICE_PORT": str(server.port),
        },
        watched.loads,
    )  # fmt: skip


def loads_told(said: list[dict[str, Any]]) -> dict[str, tuple[str, float]]:
    """What it takes each node for, and its load in percent."""
    return {
        one["node"]["name"]: (one.get("category", "well used"), one["usagePercentage"]["MetricResource"])
        for one in said
        if "usagePercentage" in one
    }


def evicted(cluster: KubernetesCluster) -> set[str]:
    """Pods that are to go; without a kubelet they stay as terminating."""
    pods = cluster.api.items(f"/api/v1/namespaces/{SPACE}/pods")
    return {pod["metadata"]["name"] for pod in pods if pod["metadata"].get("deletionTimestamp")}


def test_of_each_loaded_node_one_pod_has_to_go(kubernetes_cluster: KubernetesCluster, descheduler: Descheduler):
    for node in PLACES:
        kubernetes_cluster.node(node, labels=GPUS)
        for number in range(2):
            kubernetes_cluster.pod(f"{node}-{number}", node)
    told = loads_told(descheduler.round())
    assert {node: what for node, (what, _) in told.items()} == {
        BUSY: "overutilized", BUSY_TOO: "overutilized", WELL_USED: "well used", IDLE: "underutilized",
    }  # fmt: skip
    assert {node: load for node, (_, load) in told.items()} == pytest.approx(
        {node: 100 * descheduler.loads[node] for node in PLACES}, abs=1.1
    )
    assert sorted(name.rpartition("-")[0] for name in evicted(kubernetes_cluster)) == [BUSY, BUSY_TOO]


def test_where_all_nodes_are_loaded_alike_nothing_is_evicted(
    kubernetes_cluster: KubernetesCluster, descheduler: Descheduler
):
    for node in (BUSY, BUSY_TOO):
        kubernetes_cluster.node(node, labels=GPUS)
    kubernetes_cluster.node(IDLE)  # not of the policy's nodes: nobody else's idleness makes room here
    for node in (BUSY, BUSY_TOO, IDLE):
        kubernetes_cluster.pod(f"on-{node}", node)
    told = loads_told(descheduler.round())
    assert {node: what for node, (what, _) in told.items()} == {BUSY: "overutilized", BUSY_TOO: "overutilized"}
    assert not evicted(kubernetes_cluster)


def test_a_node_of_which_nothing_is_measured_ends_the_round(
    kubernetes_cluster: KubernetesCluster, descheduler: Descheduler
):
    for node in (BUSY, IDLE, UNMEASURED):
        kubernetes_cluster.node(node, labels=GPUS)
        kubernetes_cluster.pod(f"on-{node}", node)
    (failure,) = [one["err"] for one in descheduler.round() if "err" in one]
    assert f"unable to find metric entry for {UNMEASURED}" in failure
    assert not evicted(kubernetes_cluster)


def test_what_is_to_stay_and_what_fits_nowhere_else_stays(
    kubernetes_cluster: KubernetesCluster, descheduler: Descheduler
):
    for node in (BUSY, BUSY_TOO, IDLE):
        kubernetes_cluster.node(node, labels=GPUS)
    kubernetes_cluster.pod("serves", IDLE)
    kubernetes_cluster.pod("fits-nowhere-else", BUSY_TOO, gpus=8)
    keep = {"descheduler.alpha.kubernetes.io/prefer-no-eviction": "true"}
    kubernetes_cluster.pod("annotated", BUSY, annotations=keep)
    kubernetes_cluster.pod("labeled", BUSY, labels={"warpgauge.internal/keep": "true"})
    kubernetes_cluster.pod("owned-by-nobody", BUSY, owner="")
    told = loads_told(descheduler.round())
    assert (told[BUSY][0], told[BUSY_TOO][0], told[IDLE][0]) == ("overutilized", "overutilized", "underutilized")
    assert not evicted(kubernetes_cluster)


def test_a_dry_run_names_the_pod_and_leaves_it(kubernetes_cluster: KubernetesCluster, descheduler: Descheduler):
    for node in (BUSY, IDLE):
        kubernetes_cluster.node(node, labels=GPUS)
        kubernetes_cluster.pod(f"on-{node}", node)

    def named() -> list[str]:
        said = descheduler.round("--dry-run")
        return [one["pod"]["name"] for one in said if one["msg"] == "Evicted pod in dry run mode"]

    # It plays on a copy of the cluster, and its first look may come before the copy is there: then it finds no node.
    assert wait_until(named, what="a dry run sees the cluster") == [f"on-{BUSY}"]
    assert not evicted(kubernetes_cluster)
