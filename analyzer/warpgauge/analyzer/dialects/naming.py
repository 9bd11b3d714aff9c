"""Whose node is it: from the labels of a series to cluster and node, and to the workload's own labels.

In this order: `node` | `nodename` of node_uname_info or host_info with the same `instance` | kube_pod_info by pod or
pod IP | `Hostname` if it is a known node | `nodename` of what else answers at the same address | host part of
`instance`. With honor_labels false Prometheus moves an exporter's own label X to exported_X and puts the exporter's pod
into X; so exported_X wins over X for namespace, pod and container. With honor_labels true a series without a workload
gets the exporter's pod as well: a pod that stands at the very address that was scraped is no workload.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final, TypeVar

from warpgauge.analyzer.dialects.node_exporter import UNAME
from warpgauge.analyzer.dialects.pod_jobs import JOB_OWNER, POD_LABELS, PodJobs
from warpgauge.core.catalog import host

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.analyzer.dialects.pod_jobs import PodKey

__all__ = ["DESCRIBING", "NodeNames", "host_part"]

POD_INFO: Final = "kube_pod_info"
DESCRIBING: Final = frozenset({host.HOST_INFO.name, UNAME, POD_INFO, POD_LABELS, JOB_OWNER})
"""Series that must be read before all others, because they tell the names of nodes and jobs."""

K = TypeVar("K")
V = TypeVar("V")

_EXPORTED: Final = ("namespace", "pod", "container")
_HOSTNAMES: Final = ("Hostname", "hostname", "exported_instance")
"""Labels in which exporters (dcgm-exporter; AMD's; all-smi under honor_labels false) write the name of their host."""

_LOOPBACK: Final = re.compile(r"localhost|127\..*|::1")
_AMBIGUOUS: Final = ""


class NodeNames:
    """What is known about instances, pods and their nodes; `version` rises whenever an answer may have changed."""

    def __init__(self, default_cluster: str) -> None:
        self.version = 0
        self._default_cluster = default_cluster
        self._by_instance: dict[tuple[str, str], str] = {}
        self._by_pod: dict[tuple[str, str, str], str] = {}
        self._by_pod_ip: dict[tuple[str, str], str] = {}
        self._by_address: dict[tuple[str, str], str] = {}  # _AMBIGUOUS where several machines share one
        self._pod_at: dict[tuple[str, str], tuple[str, str]] = {}
        self._known: set[tuple[str, str]] = set()
        self.jobs = PodJobs()

    def document(self) -> dict[str, Any]:
        """What is known, as JSON."""
        return {
            "instances": [[*key, node] for key, node in self._by_instance.items()],
            "pods": [[*key, node] for key, node in self._by_pod.items()],
            "pod_ips": [[*key, node] for key, node in self._by_pod_ip.items()],
            "addresses": [[*key, node] for key, node in self._by_address.items()],
            "pods_at": [[*key, *pod] for key, pod in self._pod_at.items()],
            "known": sorted(self._known),
            "jobs": self.jobs.document(),
        }

    @classmethod
    def of_document(cls, default_cluster: str, document: Mapping[str, Any]) -> NodeNames:
        """Read what `document` wrote.

        Raises:
            KeyError, TypeError, ValueError: it is something else.

        """
        names = cls(default_cluster)
        names._by_instance = {(str(cluster), str(one)): str(node) for cluster, one, node in document["instances"]}
        names._by_pod = {(str(a), str(b), str(c)): str(node) for a, b, c, node in document["pods"]}
        names._by_pod_ip = {(str(cluster), str(one)): str(node) for cluster, one, node in document["pod_ips"]}
        names._by_address = {(str(cluster), str(one)): str(node) for cluster, one, node in document["addresses"]}
        names._pod_at = {(str(a), str(b)): (str(c), str(d)) for a, b, c, d in document["pods_at"]}
        names._known = {(str(cluster), str(node)) for cluster, node in document["known"]}
        names.jobs = PodJobs.of_document(document["jobs"])
        return names

    def learn(self, name: str, labels: Mapping[str, str]) -> bool:
        """Take in a describing series; whether it changed anything."""
        before = self.version
        cluster = self.cluster(labels)
        if name == POD_INFO:
            self._learn_pod(cluster, labels)
        elif name == POD_LABELS:
            self.version += self.jobs.learn_labels((cluster, *_pod_of(labels)), labels)
        elif name == JOB_OWNER:
            self.version += self.jobs.learn_job((cluster, _pod_of(labels)[0], labels.get("job_name", "")), labels)
        else:
            node = labels.get("nodename", "")
            if node and not labels.get("node"):
                self._set(self._by_instance, (cluster, labels.get("instance", "")), node)
                self._learn_address(cluster, host_part(labels.get("instance", "")), node)
            self._note_node(cluster, labels.get("node") or node)
        return self.version != before

    def located(self, labels: Mapping[str, str], *, is_of_its_pod: bool = False) -> dict[str, str]:
        """The labels with `cluster` and `node` set (node is "" when nothing tells) and the workload's own pod.

        `is_of_its_pod`: the series is about the pod that was scraped, which is then no exporter.
        """
        found = {**labels, "cluster": self.cluster(labels), "node": self.node(labels)}
        if not is_of_its_pod and self._is_own_pod(found):
            for name in _EXPORTED:
                found.pop(name, None)
        for name in _EXPORTED:
            if exported := labels.get(f"exported_{name}"):
                found[name] = exported
        return found

    def pod(self, labels: Mapping[str, str]) -> PodKey:
        """Cluster, namespace and name of the pod that a series speaks of, each "" where it speaks of none."""
        return (self.cluster(labels), *_pod_of(labels))

    def _is_own_pod(self, located: Mapping[str, str]) -> bool:
        """Whether `pod` is the exporter: it stands at the address that was scraped."""
        address = host_part(located.get("instance", ""))
        pod = (located.get("namespace", ""), located.get("pod", ""))
        return bool(pod[1]) and self._pod_at.get((located["cluster"], address)) == pod

    def cluster(self, labels: Mapping[str, str]) -> str:
        """The series' cluster."""
        return labels.get("cluster") or self._default_cluster

    def node(self, labels: Mapping[str, str]) -> str:
        """The series' node, "" when nothing tells."""
        if node := labels.get("node"):
            return node
        cluster, instance = self.cluster(labels), labels.get("instance", "")
        if node := self._by_instance.get((cluster, instance)):
            return node
        namespace, pod = labels.get("namespace", ""), labels.get("pod", "")
        address = host_part(instance)
        node = self._by_pod.get((cluster, namespace, pod)) or self._by_pod_ip.get((cluster, address))
        if node:
            return node
        for label in _HOSTNAMES:
            hostname = labels.get(label, "")
            if (cluster, hostname) in self._known:
                return hostname
        return self._by_address.get((cluster, address)) or address

    def _learn_address(self, cluster: str, address: str, node: str) -> None:
        if not address or _LOOPBACK.fullmatch(address):
            return
        known = self._by_address.get((cluster, address), node)
        self._set(self._by_address, (cluster, address), node if known == node else _AMBIGUOUS)

    def _learn_pod(self, cluster: str, labels: Mapping[str, str]) -> None:
        node = labels.get("exported_node") or labels.get("node", "")
        if not node:
            return
        namespace, pod = _pod_of(labels)
        if pod:
            key = (cluster, namespace, pod)
            self._set(self._by_pod, key, node)
            self.version += self.jobs.learn_pod(key, labels)
        address = labels.get("pod_ip", "")
        if address and address != labels.get("host_ip"):  # pods on the host's network share its address
            self._set(self._by_pod_ip, (cluster, address), node)
            self._set(self._pod_at, (cluster, address), (namespace, pod))
        self._note_node(cluster, node)

    def _set(self, names: dict[K, V], key: K, value: V) -> None:
        if names.get(key) != value:
            names[key] = value
            self.version += 1

    def _note_node(self, cluster: str, node: str) -> None:
        if node and (cluster, node) not in self._known:
            self._known.add((cluster, node))
            self.version += 1


def _pod_of(labels: Mapping[str, str]) -> tuple[str, str]:
    """Namespace and name of the pod that a series describes."""
    namespace = labels.get("exported_namespace") or labels.get("namespace", "")
    return namespace, labels.get("exported_pod") or labels.get("pod", "")


def host_part(instance: str) -> str:
    """`10.0.0.7` of `10.0.0.7:9100`, `::1` of `[::1]:9100`."""
    if instance.startswith("["):
        return instance[1:].partition("]")[0]
    host_name, colon, port = instance.rpartition(":")
    return host_name if colon and port.isdecimal() and ":" not in host_name else instance
