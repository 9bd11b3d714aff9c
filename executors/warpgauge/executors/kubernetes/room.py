"""Whether pods would find room elsewhere right away: nothing is ended in hope."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from warpgauge.core.kubernetes import may_run_on

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.core.kubernetes import KubeNode, KubePod

__all__ = ["why_no_room"]


@dataclass(slots=True)
class _Free:
    """What is left of a node."""

    node: KubeNode
    cpu_milli: int
    memory_mib: int
    gpus: int

    def take(self, pod: KubePod) -> bool:
        """Seat the pod, if it fits."""
        asked = pod.requests
        left = (self.cpu_milli - asked.cpu_milli, self.memory_mib - asked.memory_mib, self.gpus - asked.gpus)
        if min(left) < 0 or not may_run_on(pod, self.node):
            return False
        self.cpu_milli, self.memory_mib, self.gpus = left
        return True


def why_no_room(
    moving: Sequence[KubePod], avoid: str, nodes: Sequence[KubeNode], pods: Sequence[KubePod]
) -> str | None:
    """What keeps the pods from all being seated on nodes other than `avoid`, None if nothing does.

    The largest is seated first, each on the first node that has room, takes work and may have it. Whoever waits already
    may be quicker: the scheduler decides.
    """
    if (odd := next((pod for pod in moving if pod.asks_otherwise or pod.requests.has_parts), None)) is not None:
        asks = odd.asks_otherwise or "parts of devices"
        return f"pod {odd.full_name} asks for its place by {asks}, for which room cannot be judged"
    leaving = {pod.uid for pod in moving}
    free = _free(avoid, nodes, [pod for pod in pods if pod.uid not in leaving])
    for pod in sorted(moving, key=lambda pod: (-pod.requests.gpus, -pod.requests.cpu_milli, pod.full_name)):
        if not any(node.take(pod) for node in free):
            return f"pod {pod.full_name} has no room on another node now ({pod.requests.gpus} GPUs)"
    return None


def _free(avoid: str, nodes: Sequence[KubeNode], pods: Sequence[KubePod]) -> list[_Free]:
    free = {
        node.name: _Free(node, node.allocatable.cpu_milli, node.allocatable.memory_mib, node.allocatable.gpus)
        for node in nodes
        if node.name != avoid and node.why_not is None and not node.shares_gpus
    }
    for pod in pods:
        if (node := free.get(pod.node)) is not None and not pod.is_over:
            node.cpu_milli -= pod.requests.cpu_milli
            node.memory_mib -= pod.requests.memory_mib
            node.gpus -= pod.requests.gpus
    return list(free.values())
