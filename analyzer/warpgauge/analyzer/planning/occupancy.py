"""What runs where: pods in their seats, on a cluster that always adds up."""

from __future__ import annotations

from typing import TYPE_CHECKING

from warpgauge.analyzer.planning.cluster import Cluster, Seat

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from warpgauge.analyzer.planning.pool import Node, Pod

__all__ = ["Occupancy"]


class Occupancy:
    """Running pods by name and by node; `cluster` holds what is left, and only this class changes it."""

    def __init__(self, nodes: Iterable[Node]) -> None:
        self.cluster = Cluster(nodes)
        self.pods: dict[str, Pod] = {}
        self._seats: dict[str, Seat] = {}
        self._on: dict[int, dict[str, None]] = {}

    def copy(self) -> Occupancy:
        """An occupancy that changes apart from this one."""
        twin = object.__new__(Occupancy)
        twin.cluster, twin.pods, twin._seats = self.cluster.copy(), dict(self.pods), dict(self._seats)
        twin._on = {node: dict(names) for node, names in self._on.items()}
        return twin

    def start(self, pod: Pod, seat: Seat) -> None:
        """Run a pod in a seat; ValueError if it has no room there or its name runs already."""
        if pod.name in self.pods:
            msg = f"pod {pod.name} runs already"
            raise ValueError(msg)
        self.cluster.place(pod.request, seat)
        self.pods[pod.name], self._seats[pod.name] = pod, seat
        self._on.setdefault(seat.node, {})[pod.name] = None

    def stop(self, name: str) -> Seat:
        """End a pod; the seat it had. KeyError if it does not run."""
        pod, seat = self.pods.pop(name), self._seats.pop(name)
        self.cluster.remove(pod.request, seat)
        del self._on[seat.node][name]
        return seat

    def seat_of(self, name: str) -> Seat:
        """Where a pod runs; KeyError if it does not."""
        return self._seats[name]

    def on(self, node: int) -> list[Pod]:
        """The pods of a node, in the order in which they came."""
        return [self.pods[name] for name in self._on.get(node, ())]

    @property
    def seats(self) -> Mapping[str, Seat]:
        """Where every pod runs, by name."""
        return dict(self._seats)
