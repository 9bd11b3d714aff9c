"""The pool as a map: for each node its devices before and after the plan, those that the plan touches first."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from warpgauge.analyzer.planning.pool import MILLI
from warpgauge.analyzer.planning.wording import shown

if TYPE_CHECKING:
    from warpgauge.analyzer.planning.occupancy import Occupancy

__all__ = ["MOST_DEVICES", "MOST_NODES", "node_rows"]

MOST_NODES: Final = 512
MOST_DEVICES: Final = 4096  # on all of these nodes
_MOST_NAMES: Final = 4  # of those that share a device


def node_rows(before: Occupancy, after: Occupancy) -> list[dict[str, Any]]:
    """Nodes that change, then those with devices both free and in use, then the others; as many as the bounds allow.

    A device is `{"used": 0-1000 thousandths, "by": [names]}`.
    """
    cluster = before.cluster
    changed = {node for node in range(len(cluster.nodes)) if _held(before, node) != _held(after, node)}

    def rank(node: int) -> tuple[bool, bool, int]:
        free = int(cluster.gpu_left[node].sum())
        return node not in changed, free in {0, MILLI * int(cluster.gpu_count[node])}, node

    rows: list[dict[str, Any]] = []
    devices = 0
    for node in sorted(range(len(cluster.nodes)), key=rank)[:MOST_NODES]:
        devices += int(cluster.gpu_count[node])
        if devices > MOST_DEVICES:
            break
        one = cluster.nodes[node]
        rows.append(
            {
                "name": shown(one.name),
                "model": shown(one.model),
                "zone": shown(one.zone or ""),
                "changes": node in changed,
                "before": _cells(before, node),
                "after": _cells(after, node),
            }
        )
    return rows


def _held(occupancy: Occupancy, node: int) -> set[tuple[str, tuple[int, ...]]]:
    return {(pod.name, occupancy.seat_of(pod.name).gpus) for pod in occupancy.on(node)}


def _cells(occupancy: Occupancy, node: int) -> list[dict[str, Any]]:
    cluster = occupancy.cluster
    cells: list[dict[str, Any]] = [
        {"used": MILLI - int(cluster.gpu_left[node, gpu]), "by": []} for gpu in range(int(cluster.gpu_count[node]))
    ]
    for pod in occupancy.on(node):
        for gpu in occupancy.seat_of(pod.name).gpus:
            if len(cells[gpu]["by"]) < _MOST_NAMES:
                cells[gpu]["by"].append(shown(pod.name))
    return cells
