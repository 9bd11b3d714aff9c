"""Free whole nodes for waiting gangs: empty the nodes that are cheapest to empty, each wholly or not at all.

Greedy, and explains itself: nodes in the order of (GPU pods to move, GPUs in use, name); all pods of a node go by best
fit into nodes that are in use anyway; if one has no place there, none moves. KAI's rule: "does not commit unless all
evicted pods have somewhere to go". What is not movable stays, and so does its node.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from warpgauge.analyzer.planning.moves import Gain, Move, MovePlan, cost_of
from warpgauge.analyzer.planning.placer import Placer
from warpgauge.analyzer.planning.policies.best_fit import BestFit

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from warpgauge.analyzer.planning.cluster import Seat
    from warpgauge.analyzer.planning.occupancy import Occupancy
    from warpgauge.analyzer.planning.pool import Pod

__all__ = ["consolidate", "empty_nodes", "nothing_worth_moving"]

_METRIC = "whole_nodes_free"


def consolidate(
    occupancy: Occupancy, *, gpu_count: int, wanted: int, may_move: Callable[[Pod], bool] = lambda pod: pod.is_movable
) -> MovePlan:
    """Moves after which `wanted` nodes of `gpu_count` devices are empty; as many as can be had if not all can.

    A pod of a gang is never moved alone, so a node that holds one stays. The occupancy is not changed.
    """
    before = empty_nodes(occupancy, gpu_count)
    missing = wanted - before
    if missing <= 0:
        return nothing_worth_moving(before, f"{_nodes(before, gpu_count)} free already, {wanted} wanted")
    work = _Work(occupancy.copy())
    refused: set[int] = set()
    while missing > 0 and (node := work.cheapest(gpu_count, refused, may_move)) is not None:
        if work.empty(node):
            missing -= 1
        refused.add(node)
    after = empty_nodes(work.occupancy, gpu_count)
    if after == before:
        return nothing_worth_moving(
            before, f"no node of {gpu_count} GPUs can be emptied: its pods must stay or have no other place"
        )
    return MovePlan(
        moves=tuple(work.moves),
        gain=Gain(metric=_METRIC, unit="nodes", before=before, after=after),
        cost=cost_of(work.moved),
        reason=f"frees {_nodes(after - before, gpu_count)}; {before} free now, {wanted} wanted",
    )


def _nodes(number: int, gpu_count: int) -> str:
    return f"{number} whole {'node' if number == 1 else 'nodes'} of {gpu_count} GPUs"


def nothing_worth_moving(free: int, reason: str) -> MovePlan:
    """A plan without moves: `free` whole nodes stay free, and why nothing is proposed."""
    gain = Gain(metric=_METRIC, unit="nodes", before=free, after=free)
    return MovePlan(moves=(), gain=gain, cost=cost_of([]), reason=f"nothing worth moving: {reason}")


def empty_nodes(occupancy: Occupancy, gpu_count: int) -> int:
    """How many nodes of so many devices nothing runs on."""
    return sum(not occupancy.on(int(node)) for node in np.flatnonzero(occupancy.cluster.gpu_count == gpu_count))


@dataclass(slots=True)
class _Tentative:
    """Pods of one node and the seats found for them so far."""

    pods: list[Pod]
    seats: list[Seat]


class _Work:
    """The state after the moves so far."""

    def __init__(self, occupancy: Occupancy) -> None:
        self.occupancy = occupancy
        self.moves: list[Move] = []
        self.moved: list[Pod] = []
        requests = [pod.request for pod in occupancy.pods.values()]
        self._placer = Placer(occupancy.cluster, requests, BestFit())

    def cheapest(self, gpu_count: int, refused: set[int], may_move: Callable[[Pod], bool]) -> int | None:
        """The node in use that is emptied with the fewest moves of GPU pods, None if there is no other."""
        cluster = self.occupancy.cluster
        best: tuple[int, int, str] | None = None
        for node in np.flatnonzero(cluster.gpu_count == gpu_count).tolist():
            pods = self.occupancy.on(node)
            if node in refused or not pods or any(pod.gang or not may_move(pod) for pod in pods):
                continue
            moves = sum(pod.request.gpu_count > 0 for pod in pods)
            key = (moves, -int(cluster.gpu_left[node].sum()), cluster.nodes[node].name)
            if best is None or key < best:
                best = key
        return None if best is None else cluster.index[best[2]]

    def empty(self, node: int) -> bool:
        """Move all pods of a node away, largest first; False and no change if one has no place."""
        pods = sorted(self.occupancy.on(node), key=_size, reverse=True)
        closed = self._closed(node)
        found = _Tentative([], [])
        for pod in pods:
            seat = self._placer.best_of(pod.request, ~closed)
            if seat is None:
                self._take_back(found)
                return False
            self._placer.place(pod.request, seat)
            found.pods.append(pod)
            found.seats.append(seat)
        self._take_back(found)
        for pod, seat in zip(found.pods, found.seats, strict=True):
            self._commit(pod, seat)
        return True

    def _closed(self, node: int) -> NDArray[np.bool_]:
        """Nodes that nothing is moved to: the one to empty, and all that are empty."""
        closed = np.array([not self.occupancy.on(one) for one in range(len(self.occupancy.cluster.nodes))], dtype=bool)
        closed[node] = True
        return closed

    def _take_back(self, found: _Tentative) -> None:
        for pod, seat in zip(found.pods, found.seats, strict=True):
            self._placer.remove(pod.request, seat)

    def _commit(self, pod: Pod, seat: Seat) -> None:
        source = self.occupancy.stop(pod.name)
        self.occupancy.start(pod, seat)
        for node in (source.node, seat.node):
            self._placer.touch(node)
        self.moved.append(pod)
        self.moves.append(Move.between(pod, self.occupancy.cluster, source, seat))


def _size(pod: Pod) -> tuple[int, int, str]:
    return pod.request.total_gpu_milli, pod.request.cpu_milli, pod.name
