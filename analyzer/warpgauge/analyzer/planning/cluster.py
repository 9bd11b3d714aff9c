"""What is left on every node while a plan is made: the one mutable thing of the planner.

A node or device is never overcommitted: `place` refuses what does not fit, `remove` what was not placed.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from warpgauge.analyzer.planning.pool import MILLI

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from warpgauge.analyzer.planning.pool import Node, Request

__all__ = ["Cluster", "Seat"]


@dataclass(frozen=True, slots=True)
class Seat:
    """Where a pod runs: a node by its index, and the devices it uses there."""

    node: int
    gpus: tuple[int, ...] = ()


class Cluster:
    """Nodes and what is left on each: int64 arrays `cpu_left`, `memory_left` [node] and `gpu_left` [node, device].

    Nodes stand in the order in which ties are broken: cheapest first, unknown prices last, then by name. A device
    that a node does not have has nothing left.
    """

    def __init__(self, nodes: Iterable[Node]) -> None:
        self.nodes: tuple[Node, ...] = tuple(
            sorted(nodes, key=lambda one: (one.price_per_hour is None, one.price_per_hour or 0.0, one.name))
        )
        self.index = {node.name: place for place, node in enumerate(self.nodes)}
        if len(self.index) != len(self.nodes):
            msg = "two nodes of a pool have the same name"
            raise ValueError(msg)
        self.gpu_count = np.array([node.gpu_count for node in self.nodes], dtype=np.int64)
        self.cpu_left = np.array([node.cpu_milli for node in self.nodes], dtype=np.int64)
        self.memory_left = np.array([node.memory_mib for node in self.nodes], dtype=np.int64)
        width = max(1, int(self.gpu_count.max(initial=0)))
        self.gpu_left = np.where(np.arange(width) < self.gpu_count[:, None], MILLI, 0).astype(np.int64)

    def copy(self) -> Cluster:
        """A cluster of the same nodes that changes apart from this one."""
        twin = object.__new__(Cluster)
        twin.nodes, twin.index, twin.gpu_count = self.nodes, self.index, self.gpu_count
        twin.cpu_left, twin.memory_left = self.cpu_left.copy(), self.memory_left.copy()
        twin.gpu_left = self.gpu_left.copy()
        return twin

    def fits(self, request: Request, seat: Seat) -> bool:
        """Whether the pod has room in exactly this seat, and its kind and place allow the node."""
        node, gpus = seat.node, seat.gpus
        return (
            request.allows(self.nodes[node])
            and bool(self.cpu_left[node] >= request.cpu_milli)
            and bool(self.memory_left[node] >= request.memory_mib)
            and len(gpus) == len(set(gpus)) == request.gpu_count
            and all(0 <= gpu < self.gpu_count[node] for gpu in gpus)
            and all(self.gpu_left[node, gpu] >= request.gpu_milli for gpu in gpus)
        )

    def place(self, request: Request, seat: Seat) -> None:
        """Take the room; ValueError if it is not there."""
        if not self.fits(request, seat):
            msg = f"{request} does not fit {self.nodes[seat.node].name} devices {seat.gpus}"
            raise ValueError(msg)
        self._shift(request, seat, -1)

    def remove(self, request: Request, seat: Seat) -> None:
        """Give the room back; ValueError if more would be left than the node has."""
        node = self.nodes[seat.node]
        self._shift(request, seat, +1)
        if (
            self.cpu_left[seat.node] > node.cpu_milli
            or self.memory_left[seat.node] > node.memory_mib
            or self.gpu_left[seat.node].max() > MILLI
        ):
            self._shift(request, seat, -1)
            msg = f"{request} was not placed on {node.name} devices {seat.gpus}"
            raise ValueError(msg)

    def _shift(self, request: Request, seat: Seat, sign: int) -> None:
        self.cpu_left[seat.node] += sign * request.cpu_milli
        self.memory_left[seat.node] += sign * request.memory_mib
        if seat.gpus:
            self.gpu_left[seat.node, list(seat.gpus)] += sign * request.gpu_milli

    def whole_nodes(self, gpu_count: int) -> NDArray[np.intp]:
        """Indices of the nodes of so many devices on which nothing uses a device."""
        is_free = self.gpu_left.sum(axis=1) == MILLI * self.gpu_count
        return np.flatnonzero((self.gpu_count == gpu_count) & is_free)

    @property
    def allocated_ratio(self) -> float:
        """Share of all devices' milli-GPU in use, 0-1; 0 without devices."""
        total = MILLI * int(self.gpu_count.sum())
        return 1 - int(self.gpu_left.sum()) / total if total else 0.0
