"""Where the next pod goes: a policy's rating of every node, kept up to date node by node.

All distinct requests of a run are known, so a table [node, request] holds the rating of placing one there. A placement
changes one node, hence one row, and equal states of equal nodes are rated once.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from warpgauge.analyzer.planning.cluster import Seat
from warpgauge.analyzer.planning.pool import MILLI

if TYPE_CHECKING:
    import random
    from collections.abc import Iterable, Sequence

    from numpy.typing import NDArray

    from warpgauge.analyzer.planning.cluster import Cluster
    from warpgauge.analyzer.planning.pool import Request

__all__ = ["After", "Placer", "Policy", "Rating"]

_NO_ROOM: Final = -np.inf
_MOST_ROWS: Final = 20_000  # of remembered states, some 3 KB each: more than a run of the openb trace meets
_Shape = tuple[int, int, int]  # cpu_milli, gpu_count, gpu_milli


@dataclass(frozen=True, slots=True)
class After:
    """Candidates [candidate] on one node: the state before, and the state each would leave."""

    model: str
    cpu_capacity: int
    cpu_before: int
    gpus_before: NDArray[np.int64]
    cpu: NDArray[np.int64]
    gpus: NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Rating:
    """How good each candidate is, higher is better: against other nodes, and against other devices of the node."""

    node: NDArray[np.float64]
    device: NDArray[np.float64]


class Policy(Protocol):
    """A rule that says how good a placement is."""

    def rate(self, after: After) -> Rating:
        """Rate all candidates of one node; a pure function of `after`."""


@dataclass(frozen=True, slots=True)
class _Row:
    """Ratings of one node state: per request, and the devices to use there."""

    rating: NDArray[np.float64]
    gpus: tuple[tuple[int, ...], ...]


class Placer:
    """Places pods one by one on a cluster, which it changes; ties go to the first node in the cluster's order.

    With `rng` ties between nodes are broken at random, and a share goes to a random device.
    """

    def __init__(
        self, cluster: Cluster, requests: Iterable[Request], policy: Policy, *, rng: random.Random | None = None
    ) -> None:
        self.cluster = cluster
        self.requests = tuple(dict.fromkeys(requests))
        self._policy = policy
        self._rng = rng
        self._column = {request: column for column, request in enumerate(self.requests)}
        # Requests that differ in memory or place only share one rating, and one column of the rated shapes.
        shapes = {(one.cpu_milli, one.gpu_count, one.gpu_milli): 0 for one in self.requests}
        self._shapes = tuple(shapes)
        place_of = {shape: place for place, shape in enumerate(self._shapes)}
        self._shape = np.array(
            [place_of[one.cpu_milli, one.gpu_count, one.gpu_milli] for one in self.requests], dtype=np.intp
        )
        self._memory = np.array([one.memory_mib for one in self.requests], dtype=np.int64)
        self._allowed = self._allowed_table()
        self._rows: dict[tuple[str, int, int, bytes], _Row] = {}
        self._at: list[_Row] = []
        self._table = np.full((len(cluster.nodes), len(self.requests)), _NO_ROOM)
        for node in range(len(cluster.nodes)):
            self._at.append(self._row(node))
            self._refresh(node)

    def _allowed_table(self) -> NDArray[np.bool_]:
        kinds: dict[tuple[object, ...], list[bool]] = {}
        rows = []
        for node in self.cluster.nodes:
            kind = (node.model, node.location, node.zone, node.price_per_hour, node.uplink_bytes_per_second)
            if kind not in kinds:
                kinds[kind] = [request.allows(node) for request in self.requests]
            rows.append(kinds[kind])
        return np.array(rows, dtype=bool).reshape(len(self.cluster.nodes), len(self.requests))

    def ratings(self, request: Request) -> NDArray[np.float64]:
        """Of every node for this request; minus infinity where it has no room."""
        return self._table[:, self._column[request]]

    def seat(self, request: Request, node: int) -> Seat:
        """The devices that the policy would use on a node where the request has room."""
        if self._rng is not None and request.is_share:
            free = np.flatnonzero(self.cluster.gpu_left[node] >= request.gpu_milli)
            return Seat(node, (int(self._rng.choice(free)),))
        return Seat(node, self._at[node].gpus[self._shape[self._column[request]]])

    def best(self, request: Request) -> Seat | None:
        """The best seat, None if there is room nowhere."""
        return self._best(request, self.ratings(request))

    def best_of(self, request: Request, is_open: NDArray[np.bool_]) -> Seat | None:
        """The best seat on one of the open nodes [node], None if they have no room."""
        return self._best(request, np.where(is_open, self.ratings(request), _NO_ROOM))

    def _best(self, request: Request, ratings: NDArray[np.float64]) -> Seat | None:
        node = int(ratings.argmax()) if len(ratings) else -1
        if node < 0 or ratings[node] == _NO_ROOM:
            return None
        if self._rng is not None:
            node = int(self._rng.choice(np.flatnonzero(ratings == ratings[node])))
        return self.seat(request, node)

    def place(self, request: Request, seat: Seat) -> None:
        """Take a seat."""
        self.cluster.place(request, seat)
        self.touch(seat.node)

    def remove(self, request: Request, seat: Seat) -> None:
        """Give a seat back."""
        self.cluster.remove(request, seat)
        self.touch(seat.node)

    def touch(self, node: int) -> None:
        """Rate a node anew after the cluster was changed there."""
        self._at[node] = self._row(node)
        self._refresh(node)

    def _refresh(self, node: int) -> None:
        has_room = self._allowed[node] & (self._memory <= self.cluster.memory_left[node])
        self._table[node] = np.where(has_room, self._at[node].rating[self._shape], _NO_ROOM)

    def _row(self, node: int) -> _Row:
        gpus = self.cluster.gpu_left[node, : self.cluster.gpu_count[node]]
        state = _State(
            model=self.cluster.nodes[node].model,
            cpu_capacity=self.cluster.nodes[node].cpu_milli,
            cpu=int(self.cluster.cpu_left[node]),
            gpus=gpus,
        )
        row = self._rows.get(state.key)
        if row is None:
            if len(self._rows) >= _MOST_ROWS:
                self._rows.clear()
            row = self._rows[state.key] = _rate_state(self._policy, state, self._shapes)
        return row


@dataclass(frozen=True, slots=True, kw_only=True)
class _State:
    """What is left on one node."""

    model: str
    cpu_capacity: int
    cpu: int
    gpus: NDArray[np.int64]

    @property
    def key(self) -> tuple[str, int, int, bytes]:
        """Equal for states that every policy rates alike."""
        return self.model, self.cpu_capacity, self.cpu, self.gpus.tobytes()


def _rate_state(policy: Policy, state: _State, shapes: Sequence[_Shape]) -> _Row:
    """Rate every shape on one node state; the best devices of a shape are the first of those rated highest."""
    candidates = _candidates(state, shapes)
    rating = np.full(len(shapes), _NO_ROOM)
    chosen: list[tuple[int, ...]] = [()] * len(shapes)
    if candidates:
        rated = policy.rate(_after(state, shapes, candidates))
        preferred = np.full(len(shapes), _NO_ROOM)
        for (shape, seat), on_node, on_device in zip(candidates, rated.node, rated.device, strict=True):
            if on_device > preferred[shape]:
                preferred[shape], rating[shape], chosen[shape] = on_device, on_node, seat
    return _Row(rating, tuple(chosen))


def _candidates(state: _State, shapes: Sequence[_Shape]) -> list[tuple[int, tuple[int, ...]]]:
    """Every (shape, devices) that has room."""
    left = state.gpus.tolist()
    seats: dict[tuple[int, int], list[tuple[int, ...]]] = {}
    found = []
    for number, (cpu, count, milli) in enumerate(shapes):
        if cpu > state.cpu:
            continue
        if (count, milli) not in seats:
            seats[count, milli] = _seats(left, count, milli)
        found += [(number, seat) for seat in seats[count, milli]]
    return found


def _after(state: _State, shapes: Sequence[_Shape], candidates: Sequence[tuple[int, tuple[int, ...]]]) -> After:
    """The states that the candidates would leave."""
    gpus = np.repeat(state.gpus[None, :], len(candidates), axis=0)
    for row, (shape, seat) in enumerate(candidates):
        for gpu in seat:
            gpus[row, gpu] -= shapes[shape][2]
    taken = np.array([shapes[shape][0] for shape, _ in candidates], dtype=np.int64)
    return After(
        model=state.model,
        cpu_capacity=state.cpu_capacity,
        cpu_before=state.cpu,
        gpus_before=state.gpus,
        cpu=state.cpu - taken,
        gpus=gpus,
    )


def _seats(left: list[int], count: int, milli: int) -> list[tuple[int, ...]]:
    """Devices that could serve: for a share the first of each fullness, else the first ones with enough left."""
    if count == 0:
        return [()]
    enough = [gpu for gpu, idle in enumerate(left) if idle >= milli]
    if len(enough) < count:
        return []
    if count > 1 or milli == MILLI:
        return [tuple(enough[:count])]
    first: dict[int, int] = {}
    for gpu in enough:
        first.setdefault(left[gpu], gpu)
    return [(gpu,) for gpu in first.values()]
