"""Nodes and pods as an API server would give them, in as few words as possible."""

from __future__ import annotations

from typing import Any

__all__ = ["node", "pod"]


def node(
    name: str = "gpu-a", *, ready: str = "True", gpus: int = 8, spec: dict[str, Any] | None = None, **meta: Any
) -> dict[str, Any]:
    """A node with 64 cores, 512 GiB and eight GPUs."""
    sizes = {"cpu": "64", "memory": "512Gi", "nvidia.com/gpu": str(gpus)}
    return {
        "metadata": {"name": name, "uid": f"uid-{name}", "resourceVersion": "7", **meta},
        "spec": spec or {},
        "status": {"allocatable": sizes, "conditions": [{"type": "Ready", "status": ready}]},
    }


def pod(
    name: str = "p",
    *,
    at: str = "",
    gpus: int = 0,
    owner: str = "ReplicaSet",
    created: str = "2026-01-02T03:04:05Z",
    phase: str | None = None,
    requests: dict[str, str] | None = None,
    spec: dict[str, Any] | None = None,
    namespace: str = "ml",
    **meta: Any,
) -> dict[str, Any]:
    """A pod that runs on the node `at`, or waits."""
    asked = requests or ({"cpu": "1", "memory": "1Gi"} | ({"nvidia.com/gpu": str(gpus)} if gpus else {}))
    owners = [{"kind": owner, "name": "o", "controller": True}] if owner else []
    return {
        "metadata": {
            "name": name, "namespace": namespace, "uid": f"uid-{name}", "creationTimestamp": created,
            "ownerReferences": owners, **meta,
        },
        "spec": {"nodeName": at, "containers": [{"name": "c", "resources": {"requests": asked}}], **(spec or {})},
        "status": {"phase": phase or ("Running" if at else "Pending")},
    }  # fmt: skip
