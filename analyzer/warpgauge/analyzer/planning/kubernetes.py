"""A Kubernetes cluster in the planner's words: nodes, pods, gangs, and namespaces as tenants.

Which node a pod may have (selectors, affinity, taints) is told by zones: nodes that no pod's wishes tell apart are one
zone, and a pod names those it may have. The API does not say which device of a node a pod has, so the device numbers
here are only counted out. Shares and MIG instances are no whole devices and are not counted.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.planning.live import LeftOut, LivePool
from warpgauge.analyzer.planning.openb import Workload
from warpgauge.analyzer.planning.pool import MILLI, Node, Place, Pod, Request
from warpgauge.core.kubernetes import KEEP, may_run_on, parse_node, parse_pod

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from warpgauge.core.kubernetes import KubeNode, KubePod, Kubernetes

__all__ = ["pool_of", "read_pool"]

_ZONE: Final = "topology.kubernetes.io/zone"
_CRITICAL: Final = frozenset({"system-node-critical", "system-cluster-critical"})
_NOWHERE: Final = "no such node"


def read_pool(api: Kubernetes) -> LivePool:
    """The cluster now.

    Raises:
        KubernetesError: the API server does not answer, or does not let this account list nodes, pods and namespaces.
        InputError: it answers something else.

    """
    nodes = [parse_node(one) for one in api.items("/api/v1/nodes")]
    pods = [parse_pod(one) for one in api.items("/api/v1/pods")]
    namespaces = api.items("/api/v1/namespaces")
    kept = frozenset(str(one["metadata"].get("name")) for one in namespaces if "true" in _words_of(one))
    return pool_of(nodes, pods, kept=kept)


def _words_of(namespace: Mapping[str, Mapping[str, Mapping[str, str] | None]]) -> set[str | None]:
    meta = namespace["metadata"]
    return {(meta.get(place) or {}).get(KEEP) for place in ("labels", "annotations")}


def pool_of(nodes: Sequence[KubeNode], pods: Sequence[KubePod], *, kept: frozenset[str] = frozenset()) -> LivePool:
    """The pool that these nodes and pods make; nobody in the namespaces `kept` is to be moved.

    Waiting pods come in the order in which the scheduler would try them: the highest priority first, then the oldest.
    """
    holding = [pod for pod in pods if pod.node and not pod.is_over]
    waiting = sorted(
        (pod for pod in pods if not pod.node and pod.phase == "Pending" and not pod.is_ending),
        key=lambda pod: (-pod.priority, pod.created, pod.full_name),
    )
    used = _used(holding)
    why_out = {node.name: why for node in nodes if (why := _why_left_out(node, used)) is not None}
    usable = [node for node in nodes if node.name not in why_out]
    refused = _refused(waiting)
    planned = [pod for pod in waiting if pod.full_name not in refused]
    running = [pod for pod in holding if pod.node in {node.name for node in usable}]
    movable = _movable(holding, {pod.uid for pod in running}, planned, kept)
    zones = _Zones(usable, [*planned, *(pod for pod in running if pod.uid in movable)])
    left_out = [LeftOut(what=f"node {name}", why=why) for name, why in why_out.items()]
    left_out += [LeftOut(what=f"pod {name}", why=why) for name, why in refused.items()]
    here = [_pod(pod, zones, is_movable=pod.uid in movable) for pod in running]
    return LivePool(
        nodes=tuple(_node(node, zones) for node in usable),
        workload=Workload(pods=(*here, *(_pod(pod, zones) for pod in planned)), seats=_seats(running)),
        left_out=tuple(left_out),
    )


class _Zones:
    """Groups of nodes that the wishes of these pods do not tell apart."""

    def __init__(self, nodes: Sequence[KubeNode], pods: Sequence[KubePod]) -> None:
        wishes = {_wish(pod): pod for pod in pods}
        allowed = {wish: frozenset(n.name for n in nodes if may_run_on(pod, n)) for wish, pod in wishes.items()}
        groups: dict[tuple[object, ...], str] = {}
        self._of: dict[str, str] = {}
        for node in nodes:
            place = node.labels.get(_ZONE, "")
            key = (place, *(node.name in names for names in allowed.values()))
            self._of[node.name] = groups.setdefault(key, f"{place or 'nodes'}/{len(groups) + 1}")
        self._allowed = {
            wish: frozenset(self._of[name] for name in names) or frozenset({_NOWHERE})
            for wish, names in allowed.items()
        }

    def of(self, node: str) -> str:
        """The zone of a node."""
        return self._of[node]

    def allowed(self, pod: KubePod) -> frozenset[str]:
        """The zones that a pod may have; of one that does not move, its own."""
        return self._allowed.get(_wish(pod)) or frozenset({self._of[pod.node]})


def _wish(pod: KubePod) -> str:
    return json.dumps([pod.node_selector, pod.affinity_terms, [str(one) for one in pod.tolerations]], sort_keys=True)


def _used(holding: Iterable[KubePod]) -> dict[str, tuple[int, int, int]]:
    """CPU, memory and GPUs that pods hold, by node."""
    used: dict[str, tuple[int, int, int]] = {}
    for pod in holding:
        cpu, memory, gpus = used.get(pod.node, (0, 0, 0))
        asked = pod.requests
        used[pod.node] = (cpu + asked.cpu_milli, memory + asked.memory_mib, gpus + asked.gpus)
    return used


def _why_left_out(node: KubeNode, used: Mapping[str, tuple[int, int, int]]) -> str | None:
    if (why := node.why_not) is not None:
        return why
    if node.shares_gpus:
        return "its GPUs are shared (time slicing or MPS)"
    has = node.allocatable
    cpu, memory, gpus = used.get(node.name, (0, 0, 0))
    if cpu > has.cpu_milli or memory > has.memory_mib or gpus > has.gpus:
        return "its pods hold more than it has by now"
    return None


def _refused(waiting: Sequence[KubePod]) -> dict[str, str]:
    """Waiting pods that a plan can do nothing for, by name; a gang of which one is refused is refused whole."""
    refused = {pod.full_name: why for pod in waiting if (why := _why_not_planned(pod)) is not None}
    halves = {(pod.namespace, pod.gang) for pod in waiting if pod.full_name in refused and pod.gang}
    for pod in waiting:
        if (pod.namespace, pod.gang) in halves:
            refused.setdefault(pod.full_name, f"its gang {pod.gang} cannot be planned as a whole")
    return refused


def _why_not_planned(pod: KubePod) -> str | None:
    if pod.is_gated:
        return "waits behind a scheduling gate, not for room"
    if pod.asks_otherwise:
        return f"asks for its place by {pod.asks_otherwise}, which a plan does not know"
    return "asks for parts of devices" if pod.requests.has_parts else None


def _movable(
    holding: Sequence[KubePod], inside: set[str], waiting: Sequence[KubePod], kept: frozenset[str]
) -> frozenset[str]:
    """Uids of pods that may be disturbed: each can be started again by its controller, and with it its whole gang.

    No pod is moved for less important ones: it must not stand above the highest priority that waits.
    """
    most = max((pod.priority for pod in waiting), default=None)
    fixed = {
        pod.uid
        for pod in holding
        if pod.uid not in inside
        or pod.phase != "Running"
        or pod.is_ending
        or not pod.owner_kind
        or pod.belongs_to_node
        or pod.why_kept is not None
        or pod.namespace in kept
        or pod.priority_class in _CRITICAL
        or bool(pod.asks_otherwise)
        or pod.requests.has_parts
        or (most is not None and pod.priority > most)
    }
    gangs = {(pod.namespace, pod.gang) for pod in holding if pod.uid in fixed and pod.gang}
    return frozenset(pod.uid for pod in holding if pod.uid not in fixed and (pod.namespace, pod.gang) not in gangs)


def _node(node: KubeNode, zones: _Zones) -> Node:
    has = node.allocatable
    return Node(
        name=node.name,
        cpu_milli=has.cpu_milli,
        memory_mib=has.memory_mib,
        gpu_count=has.gpus,
        model=node.model,
        zone=zones.of(node.name),
    )


def _pod(pod: KubePod, zones: _Zones, *, is_movable: bool = False) -> Pod:
    asked = pod.requests
    request = Request(
        cpu_milli=asked.cpu_milli,
        memory_mib=asked.memory_mib,
        gpu_count=asked.gpus,
        gpu_milli=MILLI if asked.gpus else 0,
        place=Place(zones=zones.allowed(pod)),
    )
    gang = f"{pod.namespace}/{pod.gang}" if pod.gang else ""
    one = Pod(name=pod.full_name, request=request, tenant=pod.namespace, gang=gang)
    return replace(one, is_movable=is_movable)


def _seats(running: Iterable[KubePod]) -> dict[str, tuple[str, tuple[int, ...]]]:
    """Where each runs, with device numbers counted out node by node."""
    taken: dict[str, int] = {}
    seats = {}
    for pod in running:
        first = taken.get(pod.node, 0)
        taken[pod.node] = first + pod.requests.gpus
        seats[pod.full_name] = (pod.node, tuple(range(first, first + pod.requests.gpus)))
    return seats
