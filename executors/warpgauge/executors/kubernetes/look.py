"""One look at a cluster: what an action asks for is read once, and never from an earlier look.

Only for the question whether there is room elsewhere, which the scheduler answers in the end, may a reading of the
whole cluster be up to half a minute old: an executor that waits for an approval asks twice a second.
"""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.kubernetes import parse_node, parse_pod
from warpgauge.core.kubernetes.words import KEEP
from warpgauge.executors.kubernetes.calls import object_name

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from warpgauge.core.kubernetes import KubeNode, KubePod, Kubernetes

__all__ = ["Everything", "Look"]

_FRESH_SECONDS: Final = 30.0


class Everything:
    """All nodes and pods, as they were within the last half minute."""

    def __init__(self, api: Kubernetes, monotonic: Callable[[], float] = time.monotonic) -> None:
        self._api = api
        self._monotonic = monotonic
        self._read_at = float("-inf")
        self._nodes: tuple[KubeNode, ...] = ()
        self._pods: tuple[KubePod, ...] = ()

    def read(self) -> tuple[tuple[KubeNode, ...], tuple[KubePod, ...]]:
        """Nodes and pods; KubernetesError or InputError if they cannot be had."""
        if self._monotonic() - self._read_at > _FRESH_SECONDS:
            self._nodes = tuple(parse_node(one) for one in self._api.items("/api/v1/nodes"))
            self._pods = tuple(parse_pod(one) for one in self._api.items("/api/v1/pods"))
            self._read_at = self._monotonic()
        return self._nodes, self._pods


class Look:
    """The cluster now. Every method raises KubernetesError if the server does not say, InputError on nonsense."""

    def __init__(self, api: Kubernetes, everything: Everything) -> None:
        self._api = api
        self._everything = everything
        self._seen: dict[str, Any] = {}

    def node(self, name: str) -> KubeNode | None:
        """The node of this name."""
        found = self.object(f"/api/v1/nodes/{object_name(name)}")
        return None if found is None else parse_node(found)

    def pods_on(self, node: str) -> list[KubePod]:
        """Pods of a node that have not ended."""
        found = self.objects("/api/v1/pods", fieldSelector=f"spec.nodeName={object_name(node)}")
        return [pod for pod in map(parse_pod, found) if not pod.is_over]

    def pods_in(self, namespace: str) -> list[KubePod]:
        """Pods of a namespace that have not ended."""
        found = self.objects(f"/api/v1/namespaces/{object_name(namespace)}/pods")
        return [pod for pod in map(parse_pod, found) if not pod.is_over]

    def gang_of(self, pod: KubePod) -> list[KubePod]:
        """The pod and all that run only together with it."""
        if not pod.gang:
            return [pod]
        return [one for one in self.pods_in(pod.namespace) if one.gang == pod.gang]

    def keeps(self, namespace: str) -> bool:
        """Whether a namespace says that nothing in it is to be disturbed."""
        found = self.object(f"/api/v1/namespaces/{object_name(namespace)}") or {}
        meta = found.get("metadata") or {}
        return "true" in {(meta.get(place) or {}).get(KEEP) for place in ("labels", "annotations")}

    def budgets(self, namespace: str) -> list[Mapping[str, Any]]:
        """The disruption budgets of a namespace."""
        return self.objects(f"/apis/policy/v1/namespaces/{object_name(namespace)}/poddisruptionbudgets")

    def everything(self) -> tuple[tuple[KubeNode, ...], tuple[KubePod, ...]]:
        """All nodes and pods, up to half a minute old."""
        return self._everything.read()

    def object(self, path: str) -> dict[str, Any] | None:
        """One object, None if there is none."""
        if path not in self._seen:
            self._seen[path] = self._api.get(path)
        found: dict[str, Any] | None = self._seen[path]
        return found

    def objects(self, path: str, **query: str) -> list[Any]:
        """All objects of a list."""
        key = f"{path}?{sorted(query.items())}"
        if key not in self._seen:
            self._seen[key] = self._api.items(path, **query)
        found: list[Any] = self._seen[key]
        return found
