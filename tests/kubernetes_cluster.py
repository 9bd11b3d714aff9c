"""A real API server with its etcd for tests, on 127.0.0.1, in a temporary folder; `make real-servers` builds both.

There is no controller manager, scheduler or kubelet, so nothing but a test changes an object after it was written: pods
are "bound" and "running" because their status says so, and a budget's status is written by hand. What is decided here
is the server's own: admission, validation, RBAC, conflicts, dry run, evictions.
"""

from __future__ import annotations

import json
import secrets
import subprocess
import tempfile
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import trustme
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from tests.real_servers import Servers, free_port, servers_in, wait_until
from tools import built_servers
from warpgauge.core.config import KubernetesConfig
from warpgauge.core.kubernetes import Call, Kubernetes, KubernetesError, connect
from warpgauge.core.kubernetes.api import MERGE, STRATEGIC

if TYPE_CHECKING:
    from collections.abc import Iterator

SPACE = "ml"
GPUS = 8
REFUSED = "test.invalid/refuse"  # annotation of what the policy below protects

# Lets a dry run pass and refuses the real change: so a test sees the server refuse what it said it would do.
REFUSAL = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicy",
    "metadata": {"name": "refuse"},
    "spec": {
        "failurePolicy": "Fail",
        "matchConstraints": {
            "resourceRules": [
                {
                    "apiGroups": [""], "apiVersions": ["*"], "operations": ["UPDATE"],
                    "resources": ["nodes", "nodes/status"],
                },
            ]
        },
        "matchConditions": [
            {
                "name": "marked",
                "expression": f"has(oldObject.metadata.annotations) && '{REFUSED}' in oldObject.metadata.annotations",
            }
        ],
        "validations": [{"expression": "request.dryRun", "message": "this site changes no node today"}],
    },
}  # fmt: skip
BINDING = {
    "apiVersion": "admissionregistration.k8s.io/v1",
    "kind": "ValidatingAdmissionPolicyBinding",
    "metadata": {"name": "refuse"},
    "spec": {"policyName": "refuse", "validationActions": ["Deny"]},
}


def built(name: str) -> Path:
    """Folder of a server that was built, or a skip that says how to build it."""
    try:
        return built_servers.built(name)
    except built_servers.ServerNotBuiltError as error:
        pytest.skip(str(error))


@dataclass
class KubernetesCluster:
    """A running API server; `api` is its administrator's."""

    home: Path
    settings: KubernetesConfig
    authority: trustme.CA
    api: Kubernetes = field(init=False)

    def __post_init__(self) -> None:
        self.api = Kubernetes(connect(self.settings, {}))

    def make(self, path: str, document: dict[str, Any], **more: Any) -> dict[str, Any]:
        """Write a new object."""
        return self.api.send(Call(method="POST", path=path, body=document | more, words="make"))

    def change(self, path: str, body: dict[str, Any], *, kind: str = MERGE) -> dict[str, Any]:
        """Patch an object."""
        return self.api.send(Call(method="PATCH", path=path, body=body, content_type=kind, words="change"))

    def delete(self, path: str) -> None:
        """Delete an object at once; none is fine."""
        try:
            self.api.send(Call(method="DELETE", path=path, body={"gracePeriodSeconds": 0}, words="delete"))
        except KubernetesError as error:
            if error.status != 404:
                raise

    def node(self, name: str, *, labels: dict[str, str] | None = None, gpus: int = GPUS) -> dict[str, Any]:
        """A node that is ready, without taints."""
        meta = {"name": name, "labels": {"kubernetes.io/hostname": name} | (labels or {})}
        self.make("/api/v1/nodes", {"apiVersion": "v1", "kind": "Node", "metadata": meta})
        sizes = {"cpu": "64", "memory": "512Gi", "pods": "110", "nvidia.com/gpu": str(gpus)}
        ready = {"type": "Ready", "status": "True", "reason": "KubeletReady", "message": ""}
        self.change(
            f"/api/v1/nodes/{name}/status",
            {"status": {"capacity": sizes, "allocatable": sizes, "conditions": [ready]}},
            kind=STRATEGIC,
        )
        # Admission taints a new node as not ready, until a controller finds it ready.
        return self.change(f"/api/v1/nodes/{name}", {"spec": {"taints": None}})

    def pod(self, name: str, node: str = "", *, gpus: int = 1, owner: str = "ReplicaSet", space: str = SPACE,
            spec: dict[str, Any] | None = None, **meta: Any) -> dict[str, Any]:  # fmt: skip
        """A pod that runs on a node, or waits for one; `owner` is a kind, or a kind and a name: `Job/train`."""
        kind, _, named = owner.partition("/")
        controller = {"apiVersion": "apps/v1", "kind": kind, "name": named or "o", "uid": "1", "controller": True}
        owners = [controller] if owner else []
        resources = {"requests": {"cpu": "1", "memory": "1Gi"}, "limits": {"nvidia.com/gpu": str(gpus)} if gpus else {}}
        document = {
            "apiVersion": "v1",
            "kind": "Pod",
            "metadata": {"name": name, "namespace": space, "ownerReferences": owners, **meta},
            "spec": {
                "containers": [{"name": "main", "image": "none", "resources": resources}],
                **({"nodeName": node} if node else {}),
                **(spec or {}),
            },
        }
        path = f"/api/v1/namespaces/{space}/pods"
        made = self.make(path, document)
        if not node:
            return made
        status = {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}
        return self.change(f"{path}/{name}/status", {"status": status}, kind=STRATEGIC)

    def controller(self, kind: str, name: str, *, spec: dict[str, Any] | None = None, **meta: Any) -> str:
        """A Job, Deployment, StatefulSet or ReplicaSet, which nothing here carries out; gives its path."""
        version = "batch/v1" if kind == "Job" else "apps/v1"
        path = f"/apis/{version}/namespaces/{SPACE}/{kind.lower()}s"
        container = {"name": "main", "image": "none"}
        template: dict[str, Any] = {"metadata": {"labels": {"app": name}}, "spec": {"containers": [container]}}
        if kind == "Job":
            template["spec"]["restartPolicy"] = "Never"
            whole = {"template": template}
        else:
            whole = {"replicas": 1, "selector": {"matchLabels": {"app": name}}, "template": template}
            whole |= {"serviceName": name} if kind == "StatefulSet" else {}
        document = {"apiVersion": version, "kind": kind, "metadata": {"name": name, "namespace": SPACE, **meta}}
        self.make(path, document | {"spec": whole | (spec or {})})
        return f"{path}/{name}"

    def budget(self, name: str, labels: dict[str, str], *, allowed: int) -> None:
        """A disruption budget with a status as the controller would write it."""
        path = f"/apis/policy/v1/namespaces/{SPACE}/poddisruptionbudgets"
        spec = {"minAvailable": 1, "selector": {"matchLabels": labels}}
        self.make(
            path, {"apiVersion": "policy/v1", "kind": "PodDisruptionBudget", "metadata": {"name": name}, "spec": spec}
        )
        status = {
            "observedGeneration": 1, "disruptionsAllowed": allowed, "currentHealthy": 4, "desiredHealthy": 1,
            "expectedPods": 4,
        }  # fmt: skip
        self.change(f"{path}/{name}/status", {"status": status})

    def account(self, name: str, *manifests: dict[str, Any], space: str = SPACE) -> Kubernetes:
        """The cluster as a real service account with these roles and bindings sees it, by a token of the server's."""
        account = {"apiVersion": "v1", "kind": "ServiceAccount", "metadata": {"name": name}}
        path = f"/api/v1/namespaces/{space}/serviceaccounts"
        self.delete(f"{path}/{name}")
        self.make(path, account)
        for manifest in manifests:
            self.apply(manifest)
        return self.known_as(self.token(name, space=space))

    def token(self, account: str, *, space: str = SPACE) -> str:
        """A token for a service account, from the server."""
        path = f"/api/v1/namespaces/{space}/serviceaccounts/{account}/token"
        asked = {"apiVersion": "authentication.k8s.io/v1", "kind": "TokenRequest", "spec": {"expirationSeconds": 3600}}
        token: str = self.make(path, asked)["status"]["token"]
        return token

    def known_as(self, token: str) -> Kubernetes:
        """The cluster as the owner of a token sees it."""
        path = self.home / f"token-{secrets.token_hex(4)}"
        path.write_text(token)
        settings = KubernetesConfig(server=self.settings.server, ca_file=self.settings.ca_file, token_file=str(path))
        return Kubernetes(connect(settings, {}))

    def apply(self, manifest: dict[str, Any]) -> None:
        """Write an object of a manifest, if it is not there."""
        try:
            self.make(collection_of(manifest), manifest)
        except KubernetesError as error:
            if error.reason != "AlreadyExists":
                raise

    def reset(self) -> None:
        """No node, pod, budget, event or rule that a test could have made."""
        for path in (
            "/api/v1/nodes", f"/api/v1/namespaces/{SPACE}/pods", "/api/v1/namespaces/default/events",
            f"/apis/policy/v1/namespaces/{SPACE}/poddisruptionbudgets", "/apis/resource.k8s.io/v1/resourceslices",
            "/apis/resource.k8s.io/v1/devicetaintrules", f"/apis/batch/v1/namespaces/{SPACE}/jobs",
            *(f"/apis/apps/v1/namespaces/{SPACE}/{kind}" for kind in ("deployments", "statefulsets", "replicasets")),
        ):  # fmt: skip
            body = {"gracePeriodSeconds": 0, "propagationPolicy": "Background"}  # else a Job waits for a collector
            self.api.send(Call(method="DELETE", path=path, body=body, words="delete all"))
        self.change(f"/api/v1/namespaces/{SPACE}", {"metadata": {"annotations": None}})


def collection_of(manifest: dict[str, Any]) -> str:
    """Where an object of a manifest is written."""
    version, kind = manifest["apiVersion"], manifest["kind"].lower()
    plural = f"{kind[:-1]}ies" if kind.endswith("y") else f"{kind}s"
    space = manifest["metadata"].get("namespace")
    root = f"/api/{version}" if "/" not in version else f"/apis/{version}"
    return f"{root}/namespaces/{space}/{plural}" if space else f"{root}/{plural}"


def _start_etcd(servers: Servers, programs: Path) -> str:
    def command(port: int, home: Path) -> list[str | Path]:
        client, peer = f"http://127.0.0.1:{port}", f"http://127.0.0.1:{free_port()}"
        return [
            programs / "server", f"--data-dir={home / 'data'}", "--unsafe-no-fsync", "--log-level=warn",
            f"--listen-client-urls={client}", f"--advertise-client-urls={client}", f"--listen-peer-urls={peer}",
            f"--initial-advertise-peer-urls={peer}", f"--initial-cluster=default={peer}",
        ]  # fmt: skip

    return servers.start("etcd", command, ready="/health")


def _start_api_server(servers: Servers, programs: Path, etcd: str, home: Path) -> KubernetesCluster:
    authority = trustme.CA()
    authority.cert_pem.write_to_path(home / "ca.pem")
    _write(authority.issue_cert("127.0.0.1"), home / "server.pem")
    admin = authority.issue_cert("admin@test.invalid", common_name="admin", organization_name="system:masters")
    _write(admin, home / "admin.pem")
    key = ec.generate_private_key(ec.SECP256R1())
    form = (serialization.Encoding.PEM, serialization.PrivateFormat.TraditionalOpenSSL, serialization.NoEncryption())
    (home / "accounts.key").write_bytes(key.private_bytes(*form))

    def settings(base: str) -> KubernetesConfig:
        server = base.replace("http:", "https:")
        return KubernetesConfig(server=server, ca_file=str(home / "ca.pem"), client_cert=str(home / "admin.pem"))

    def command(port: int, _here: Path) -> list[str | Path]:
        return [
            programs / "kube-apiserver", f"--etcd-servers={etcd}", "--bind-address=127.0.0.1",
            "--advertise-address=192.0.2.1", f"--secure-port={port}", "--endpoint-reconciler-type=none",
            f"--tls-cert-file={home / 'server.pem'}", f"--tls-private-key-file={home / 'server.pem'}",
            f"--client-ca-file={home / 'ca.pem'}", "--authorization-mode=RBAC", "--profiling=false",
            "--service-cluster-ip-range=10.0.0.0/24", "--disable-admission-plugins=ServiceAccount",
            "--service-account-issuer=https://accounts.test.invalid",
            f"--service-account-key-file={home / 'accounts.key'}",
            f"--service-account-signing-key-file={home / 'accounts.key'}",
        ]  # fmt: skip

    def is_ready(base: str) -> bool:
        try:
            return bool(Kubernetes(connect(settings(base), {})).items("/api/v1/namespaces"))
        except KubernetesError:
            return False

    base = servers.start("kube-apiserver", command, ready=is_ready, ready_seconds=120)
    return KubernetesCluster(home, settings(base), authority)


def _write(issued: trustme.LeafCert, path: Path) -> None:
    issued.private_key_and_cert_chain_pem.write_to_path(path)
    path.chmod(0o600)


def _prepare(cluster: KubernetesCluster) -> None:
    cluster.make("/api/v1/namespaces", {"apiVersion": "v1", "kind": "Namespace", "metadata": {"name": SPACE}})
    cluster.apply(REFUSAL)
    cluster.apply(BINDING)
    marked = cluster.make(
        "/api/v1/nodes",
        {"apiVersion": "v1", "kind": "Node", "metadata": {"name": "probe", "annotations": {REFUSED: "yes"}}},
    )
    assert marked

    def refuses() -> bool:
        try:
            cluster.change("/api/v1/nodes/probe", {"metadata": {"labels": {"try": secrets.token_hex(4)}}})
        except KubernetesError as error:
            return "changes no node today" in str(error)
        return False

    wait_until(refuses, what="the policy is in force", seconds=60)


@pytest.fixture(scope="session")
def _kubernetes(tmp_path_factory: pytest.TempPathFactory) -> Iterator[KubernetesCluster]:
    programs = built("kubernetes")
    with tempfile.TemporaryDirectory() as home, servers_in(tmp_path_factory.mktemp("kubernetes")) as servers:
        etcd = _start_etcd(servers, programs)
        cluster = _start_api_server(servers, programs, etcd, Path(home))
        _prepare(cluster)
        yield cluster
        servers.kill()  # nothing in it is worth the ten seconds of an orderly end


@pytest.fixture
def kubernetes_cluster(_kubernetes: KubernetesCluster) -> KubernetesCluster:
    """The session's cluster with nothing in it."""
    _kubernetes.reset()
    return _kubernetes


def kubectl(cluster: KubernetesCluster, program: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """The real kubectl, as the administrator."""
    config = {
        "apiVersion": "v1", "kind": "Config", "current-context": "test",
        "clusters": [
            {"name": "test", "cluster": {
                "server": cluster.settings.server, "certificate-authority": cluster.settings.ca_file}},
        ],
        "users": [
            {"name": "admin", "user": {
                "client-certificate": cluster.settings.client_cert, "client-key": cluster.settings.client_cert}},
        ],
        "contexts": [{"name": "test", "context": {"cluster": "test", "user": "admin"}}],
    }  # fmt: skip
    path = cluster.home / "kubeconfig"
    path.write_text(json.dumps(config))
    return subprocess.run(
        [program, f"--kubeconfig={path}", *words], capture_output=True, text=True, check=False, timeout=60,
        env={"HOME": str(cluster.home), "PATH": "/usr/bin:/bin"},
    )  # fmt: skip
