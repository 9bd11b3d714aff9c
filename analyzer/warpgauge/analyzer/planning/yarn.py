"""A YARN cluster in the planner's words: nodes, containers as pods, queues as tenants, node labels as zones.

YARN tells how many devices a container holds, not which: they are counted off in the order of the containers' ids.
A node that takes no work (decommissioning, lost, unhealthy, ...) is left out with what runs there. What an application
still asks for waits container by container, since YARN does not know which of them are of use only together. YARN moves
no container: none is movable unless the planner is told to move any.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.planning.live import LeftOut, LivePool
from warpgauge.analyzer.planning.openb import Workload
from warpgauge.analyzer.planning.pool import MILLI, Node, Place, Pod, Request
from warpgauge.core.errors import ConfigError
from warpgauge.core.yarn import GPU, MEMORY, VCORES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from warpgauge.core.yarn import Resources, Yarn, YarnApp, YarnAsk, YarnContainer, YarnNode

__all__ = ["MOST_ASKED", "pool_of", "read_pool"]

MOST_ASKED: Final = 1000  # alike containers of one application that are planned for; the rest follows them
_LIVE: Final = frozenset({"ACCEPTED", "RUNNING"})
_HOLDING: Final = frozenset({"ACQUIRED", "RUNNING"})


@dataclass(frozen=True, slots=True, kw_only=True)
class _Taken:
    """What containers hold of one node."""

    cpu_milli: int = 0
    memory_mib: int = 0
    gpus: int = 0

    def and_also(self, request: Request) -> _Taken:
        """With one more container."""
        return _Taken(
            cpu_milli=self.cpu_milli + request.cpu_milli,
            memory_mib=self.memory_mib + request.memory_mib,
            gpus=self.gpus + request.gpu_count,
        )


def read_pool(yarn: Yarn, *, label: str | None = None) -> LivePool:
    """The cluster now, of one node label or of all.

    Nodes, applications and containers come from one call each and one per running application: what starts or ends
    meanwhile may be missed.

    Raises:
        YarnError: YARN does not answer, or may not tell us.
        InputError: it answers something else.
        ConfigError: no node has this label.

    """
    nodes = yarn.nodes()
    apps = [app for app in yarn.apps() if app.state in _LIVE]
    return pool_of(nodes, apps, {app.id: yarn.containers(app.id) for app in apps}, label=label)


def pool_of(
    nodes: Sequence[YarnNode],
    apps: Sequence[YarnApp],
    containers: Mapping[str, Sequence[YarnContainer]],
    *,
    label: str | None = None,
) -> LivePool:
    """The pool that these make; ConfigError as for `read_pool`."""
    if label is not None:
        nodes = _labeled(nodes, label)
    left_out = [LeftOut(what=f"node {node.host}", why=why) for node in nodes if (why := node.why_not) is not None]
    in_force = {node.id: node for node in nodes if node.why_not is None}
    pods: list[Pod] = []
    seats: dict[str, tuple[str, tuple[int, ...]]] = {}
    taken = dict.fromkeys(in_force, _Taken())
    for app in apps:
        for container in containers.get(app.id, ()):
            if container.node in in_force and container.state in _HOLDING:
                pod = _running(container, app, in_force[container.node])
                before = taken[container.node]
                taken[container.node] = before.and_also(pod.request)
                pods.append(pod)
                seats[pod.name] = (container.node, tuple(range(before.gpus, taken[container.node].gpus)))
        waiting, untold = _waiting(app, label)
        pods += waiting
        left_out += untold
    return LivePool(
        nodes=tuple(_node(node, taken[node.id]) for node in in_force.values()),
        workload=Workload(pods=tuple(pods), seats=seats),
        left_out=tuple(left_out),
    )


def _labeled(nodes: Sequence[YarnNode], label: str) -> list[YarnNode]:
    known = sorted({one for node in nodes for one in node.labels})
    if label not in known:
        msg = f"no node has the label {label!r}; there are {', '.join(known) or 'none'}"
        raise ConfigError(msg)
    return [node for node in nodes if label in node.labels]


def _zone(labels: Sequence[str]) -> str:
    """The partition: YARN gives a node one label or none."""
    return "+".join(labels)


def _node(node: YarnNode, taken: _Taken) -> Node:
    """The node with what it has, or what it holds where that is more.

    YARN counts memory alone unless it was told otherwise (DominantResourceCalculator), and then hands out more cores
    than there are.
    """
    return Node(
        name=node.id,
        cpu_milli=max(MILLI * node.total[VCORES], taken.cpu_milli),
        memory_mib=max(node.total[MEMORY], taken.memory_mib),
        gpu_count=max(node.total[GPU], taken.gpus),
        zone=_zone(node.labels),
    )


def _request(resources: Resources, zone: str) -> Request:
    gpus = resources[GPU]
    return Request(
        cpu_milli=MILLI * resources[VCORES],
        memory_mib=resources[MEMORY],
        gpu_count=gpus,
        gpu_milli=MILLI if gpus else 0,
        place=Place(zones=frozenset({zone})),
    )


def _running(container: YarnContainer, app: YarnApp, node: YarnNode) -> Pod:
    return Pod(name=container.id, request=_request(container.held, _zone(node.labels)), tenant=app.queue)


def _waiting(app: YarnApp, label: str | None) -> tuple[list[Pod], list[LeftOut]]:
    pods: list[Pod] = []
    left_out: list[LeftOut] = []
    for number, ask in enumerate(app.asks):
        if label is not None and ask.label != label:
            continue
        if ask.by_name:
            why = "asks for hosts or racks by name, which a plan does not know"
            left_out.append(LeftOut(what=f"{ask.count} containers of {app.id}", why=why))
        else:
            pods += _asked(app, number, ask)
    return pods, left_out


def _asked(app: YarnApp, number: int, ask: YarnAsk) -> Iterator[Pod]:
    request = _request(ask.each, ask.label)
    for one in range(min(ask.count, MOST_ASKED)):
        yield Pod(name=f"{app.id}/{number}.{one}", request=request, tenant=app.queue)
