"""Moves of single pods that make scattered idle GPU usable again: the steepest descent of the cluster's fragmentation.

Each step looks at the most fragmented nodes and takes the pod whose leaving and arriving together remove the most
fragmentation (`TypicalPods.fragmented`, summed over nodes). It ends at the budget, or when the best move is worth less
than `least_gain_milli`: on a cluster that is packed already that is at once, and the plan says so.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.planning.moves import Gain, Move, MovePlan, cost_of
from warpgauge.analyzer.planning.placer import Placer, Rating
from warpgauge.analyzer.planning.policies.fgd import Fgd

if TYPE_CHECKING:
    from collections.abc import Callable

    from numpy.typing import NDArray

    from warpgauge.analyzer.planning.cluster import Cluster, Seat
    from warpgauge.analyzer.planning.occupancy import Occupancy
    from warpgauge.analyzer.planning.placer import After
    from warpgauge.analyzer.planning.pool import Pod
    from warpgauge.analyzer.planning.typical import TypicalPods

__all__ = ["defragment"]

LEAST_GAIN_MILLI: Final = 500.0  # half a GPU: less does not pay for a restart
_NODES_SEARCHED: Final = 32  # the most fragmented ones, per step
_METRIC: Final = "fragmented_gpus"


def defragment(
    occupancy: Occupancy,
    typical: TypicalPods,
    *,
    most_moves: int,
    least_gain_milli: float = LEAST_GAIN_MILLI,
    may_move: Callable[[Pod], bool] = lambda pod: pod.is_movable,
) -> MovePlan:
    """At most `most_moves` moves, best first, each worth at least `least_gain_milli`; the occupancy is not changed.

    A pod of a gang is never moved alone.
    """
    work = _Descent(occupancy.copy(), typical)
    before = work.fragmented_milli
    moved: list[Pod] = []
    moves: list[Move] = []
    while len(moves) < most_moves:
        step = work.best_step(lambda pod: not pod.gang and may_move(pod))
        if step is None or step.gain_milli < least_gain_milli:
            break
        moved.append(step.pod)
        moves.append(work.take(step))
    gain = Gain(metric=_METRIC, unit="GPUs", before=before / 1000, after=work.fragmented_milli / 1000)
    reason = (
        f"makes {gain.before - gain.after:.1f} GPUs usable that no typical pod fits now"
        if moves
        else f"nothing worth moving: no move wins {least_gain_milli / 1000:g} GPU"
    )
    return MovePlan(moves=tuple(moves), gain=gain, cost=cost_of(moved), reason=reason)


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    pod: Pod
    target: Seat
    gain_milli: float


class _Exact:
    """FGD's gradient itself, not cut to whole percents: the sum of two gradients is what a move gains."""

    def __init__(self, typical: TypicalPods) -> None:
        self._gradient = Fgd(typical)

    def rate(self, after: After) -> Rating:
        """Milli-GPU of fragmentation removed."""
        fall = self._gradient.fall(after)
        return Rating(fall, fall)


class _Descent:
    """The state after the moves so far."""

    def __init__(self, occupancy: Occupancy, typical: TypicalPods) -> None:
        self._occupancy = occupancy
        self._typical = typical
        requests = [pod.request for pod in occupancy.pods.values()]
        self._placer = Placer(occupancy.cluster, requests, _Exact(typical))
        self._fragmented = np.array([self._of(node) for node in range(len(occupancy.cluster.nodes))])

    @property
    def fragmented_milli(self) -> float:
        """Fragmentation of the whole cluster in milli-GPU."""
        return float(self._fragmented.sum())

    def best_step(self, may_move: Callable[[Pod], bool]) -> _Step | None:
        """The move that removes the most fragmentation, None if nothing may move."""
        best: _Step | None = None
        for node in np.argsort(-self._fragmented, kind="stable")[:_NODES_SEARCHED].tolist():
            others = np.arange(len(self._fragmented)) != node
            for pod in filter(may_move, self._occupancy.on(node)):
                target = self._placer.best_of(pod.request, others)
                if target is None:
                    continue
                gain = self._won_by_leaving(pod, node) + float(self._placer.ratings(pod.request)[target.node])
                if best is None or gain > best.gain_milli:
                    best = _Step(pod=pod, target=target, gain_milli=gain)
        return best

    def take(self, step: _Step) -> Move:
        """Carry a step out."""
        source = self._occupancy.stop(step.pod.name)
        self._occupancy.start(step.pod, step.target)
        for node in (source.node, step.target.node):
            self._placer.touch(node)
            self._fragmented[node] = self._of(node)
        return Move.between(step.pod, self._occupancy.cluster, source, step.target)

    def _won_by_leaving(self, pod: Pod, node: int) -> float:
        cluster, seat = self._occupancy.cluster, self._occupancy.seat_of(pod.name)
        gpus = cluster.gpu_left[node].copy()
        gpus[list(seat.gpus)] += pod.request.gpu_milli
        left = int(cluster.cpu_left[node]) + pod.request.cpu_milli
        return float(self._fragmented[node]) - _fragmented(self._typical, cluster, node, left, gpus)

    def _of(self, node: int) -> float:
        cluster = self._occupancy.cluster
        return _fragmented(self._typical, cluster, node, int(cluster.cpu_left[node]), cluster.gpu_left[node])


def _fragmented(typical: TypicalPods, cluster: Cluster, node: int, cpu: int, gpus: NDArray[np.int64]) -> float:
    weights = typical.weights(cluster.nodes[node].model)
    return float(typical.fragmented(np.array([cpu]), gpus[None, :], weights)[0])
