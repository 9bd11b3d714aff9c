"""Moves that take pods off one node for a reason of health: a straggler, a hot node, a noisy neighbor.

All three end in the same question, answered for all the pods at once: is there another place? If one has none, nothing
moves. What tells them apart is who moves and which places count.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.planning.moves import Gain, Move, MovePlan, cost_of
from warpgauge.analyzer.planning.placer import Placer
from warpgauge.analyzer.planning.policies.best_fit import BestFit

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from numpy.typing import NDArray

    from warpgauge.analyzer.planning.occupancy import Occupancy
    from warpgauge.analyzer.planning.pool import Pod

__all__ = ["cool_down", "nothing_to_move", "replace_straggler", "separate"]

# A node that throttled for more than this part of the time is no place for more work.
HOT_THROTTLED_RATIO: Final = 0.05
# A rack whose other nodes throttle as well has a cooling problem that moving work around in it does not solve.
_HOT_RACK_SHARE: Final = 0.5


def replace_straggler(occupancy: Occupancy, node: str, *, spares: Collection[str]) -> MovePlan:
    """Move all pods with devices of a slow node to one spare: an empty node of its model, as large, in its zone.

    `spares` are the names that may be used so, best first if it is ordered. A gang is never restarted without one.
    """
    slow = occupancy.cluster.nodes[occupancy.cluster.index[node]]
    pods = [pod for pod in occupancy.on(occupancy.cluster.index[node]) if pod.request.gpu_count]
    if not pods:
        return nothing_to_move(f"nothing runs on the devices of {node}")
    for name in spares:
        place = occupancy.cluster.index.get(name)
        if place is None or name == node or occupancy.on(place):
            continue
        spare = occupancy.cluster.nodes[place]
        if (spare.model, spare.gpu_count, spare.zone) != (slow.model, slow.gpu_count, slow.zone):
            continue
        moves = _elsewhere(occupancy, pods, _only(occupancy, {name}))
        if moves is not None:
            return _plan(moves, pods, f"{name} takes over all {len(pods)} pods of {node}, which holds its job back")
    return nothing_to_move(
        f"there is no spare for {node}: an empty node of model {slow.model or 'unknown'} in its zone"
    )


def cool_down(
    occupancy: Occupancy,
    node: str,
    *,
    throttled_ratio: Mapping[str, float],
    rack_of: Mapping[str, str],
    pod: str = "",
) -> MovePlan:
    """Move the largest movable pod off a node that throttles, or this one, to a cool node; not if its rack is hot.

    `throttled_ratio` is the share of time in which a node throttled for heat or power, 0-1. A node that is not in it
    was not measured and gets nothing.
    """
    if throttled_ratio.get(node, 0.0) <= HOT_THROTTLED_RATIO:
        return nothing_to_move(f"{node} is not hot")
    peers = [one for one, rack in rack_of.items() if rack == rack_of.get(node) and one != node]
    hot = sum(throttled_ratio.get(one, 0.0) > HOT_THROTTLED_RATIO for one in peers)
    if peers and hot > _HOT_RACK_SHARE * len(peers):
        return nothing_to_move(
            f"{hot} of {len(peers)} other nodes of rack {rack_of[node]} are hot too: check its cooling"
        )
    cool = {one for one, ratio in throttled_ratio.items() if ratio <= HOT_THROTTLED_RATIO and one != node}
    here = [one for one in occupancy.on(occupancy.cluster.index[node]) if pod in {"", one.name}]
    movable = [one for one in here if one.is_movable and not one.gang]
    for one in sorted(movable, key=lambda one: (-one.request.total_gpu_milli, one.name)):
        moves = _elsewhere(occupancy, [one], _only(occupancy, cool))
        if moves is not None:
            return _plan(moves, [one], f"takes {one.name} off {node}, which throttled {throttled_ratio[node]:.0%}")
    what = f"pod {pod}" if pod else "no movable pod"
    return nothing_to_move(f"{what} of {node} {'cannot move or has no' if pod else 'has a'} place on a cool node")


def separate(occupancy: Occupancy, *, noisy: str, victims: Collection[str]) -> MovePlan:
    """Move a pod that disturbs its neighbors to a node where none of `victims` runs; else the first victim that can.

    The pod that disturbs goes first: it is one, they may be many. What is not movable, or of a gang, stays; and where
    others of the gang run it is no quieter.
    """
    node = occupancy.seat_of(noisy).node
    near = [name for name in victims if name in occupancy.pods and occupancy.seat_of(name).node == node]
    if not near:
        return nothing_to_move(f"{noisy} shares its node with none of those it disturbs")
    nodes = np.arange(len(occupancy.cluster.nodes))
    crowded = {node}.union(*(_gang_nodes(occupancy, name) for name in victims if name in occupancy.pods))
    loud = _gang_nodes(occupancy, noisy)
    candidates = [
        (noisy, ~np.isin(nodes, list(crowded))),
        *((name, ~np.isin(nodes, list(loud))) for name in near),
    ]
    for name, where in candidates:
        pod = occupancy.pods[name]
        if not pod.is_movable or pod.gang:
            continue
        moves = _elsewhere(occupancy, [pod], where)
        if moves is not None:
            return _plan(moves, [pod], f"parts {noisy} from {', '.join(near)}")
    return nothing_to_move(f"neither {noisy} nor a pod that it disturbs may move and has another place")


def _gang_nodes(occupancy: Occupancy, name: str) -> set[int]:
    """Where a pod runs, and all others of its gang."""
    pod = occupancy.pods[name]
    gang = (pod.tenant, pod.gang)
    mates = [one.name for one in occupancy.pods.values() if pod.gang and (one.tenant, one.gang) == gang]
    return {occupancy.seat_of(one).node for one in (name, *mates)}


def _elsewhere(occupancy: Occupancy, pods: Sequence[Pod], is_open: NDArray[np.bool_]) -> tuple[Move, ...] | None:
    """Moves of all the pods into open nodes, largest first; None if one has no place."""
    work = occupancy.copy()
    placer = Placer(work.cluster, [pod.request for pod in pods], BestFit())
    moves = []
    for pod in sorted(pods, key=lambda one: (-one.request.total_gpu_milli, -one.request.cpu_milli, one.name)):
        source = work.seat_of(pod.name)
        target = placer.best_of(pod.request, is_open)
        if target is None:
            return None
        work.stop(pod.name)
        work.start(pod, target)
        placer.touch(source.node)
        placer.touch(target.node)
        moves.append(Move.between(pod, work.cluster, source, target))
    return tuple(moves)


def _only(occupancy: Occupancy, names: Collection[str]) -> NDArray[np.bool_]:
    return np.array([node.name in names for node in occupancy.cluster.nodes], dtype=bool)


def _plan(moves: tuple[Move, ...], pods: Sequence[Pod], reason: str) -> MovePlan:
    gain = Gain(metric="disturbed_places", unit="nodes", before=1, after=0)
    return MovePlan(moves=moves, gain=gain, cost=cost_of(pods), reason=reason)


def nothing_to_move(reason: str) -> MovePlan:
    """The plan to leave everything where it is."""
    gain = Gain(metric="disturbed_places", unit="nodes", before=1, after=1)
    return MovePlan(moves=(), gain=gain, cost=cost_of([]), reason=f"nothing worth moving: {reason}")
