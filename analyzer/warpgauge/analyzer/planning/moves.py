"""A plan to move running pods: steps in an order that always has room, what they gain and cost, and the way back."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.planning.cluster import Seat

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from warpgauge.analyzer.planning.cluster import Cluster
    from warpgauge.analyzer.planning.occupancy import Occupancy
    from warpgauge.analyzer.planning.pool import Pod

__all__ = ["RESTART_SECONDS", "Cost", "Gain", "Move", "MovePlan", "carry_out", "cost_of", "cost_words", "undo"]

# A pod that is moved starts anew: Slurm holds a requeued job for about two minutes (BeginTime).
RESTART_SECONDS: Final = 120.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Move:
    """One pod from a node's devices to another's."""

    pod: str
    gpu_milli: int
    source: str
    source_gpus: tuple[int, ...]
    target: str
    target_gpus: tuple[int, ...]

    @classmethod
    def between(cls, pod: Pod, cluster: Cluster, source: Seat, target: Seat) -> Move:
        """The move of a pod from seat to seat."""
        return cls(
            pod=pod.name,
            gpu_milli=pod.request.total_gpu_milli,
            source=cluster.nodes[source.node].name,
            source_gpus=source.gpus,
            target=cluster.nodes[target.node].name,
            target_gpus=target.gpus,
        )

    @property
    def back(self) -> Move:
        """The exact inverse."""
        return Move(
            pod=self.pod,
            gpu_milli=self.gpu_milli,
            source=self.target,
            source_gpus=self.target_gpus,
            target=self.source,
            target_gpus=self.source_gpus,
        )


@dataclass(frozen=True, slots=True, kw_only=True)
class Gain:
    """What a plan improves, as a number before and after."""

    metric: str
    unit: str
    before: float
    after: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """GPU-seconds of work lost: the restarts, and what was done since the last checkpoint where that is known."""

    gpu_seconds: float
    pods_of_unknown_loss: int


@dataclass(frozen=True, slots=True, kw_only=True)
class MovePlan:
    """Moves to carry out in this order, or none and the reason."""

    moves: tuple[Move, ...]
    gain: Gain
    cost: Cost
    reason: str

    @property
    def undo(self) -> tuple[Move, ...]:
        """The moves that lead back, in order."""
        return tuple(move.back for move in reversed(self.moves))


def carry_out(occupancy: Occupancy, moves: Iterable[Move]) -> None:
    """Change the occupancy as the moves say, one by one; ValueError if one has no room or its pod is elsewhere."""
    index = occupancy.cluster.index
    for move in moves:
        pod = occupancy.pods.get(move.pod)
        source, target = Seat(index[move.source], move.source_gpus), Seat(index[move.target], move.target_gpus)
        if pod is None or occupancy.seat_of(move.pod) != source:
            msg = f"pod {move.pod} does not run on {move.source} devices {move.source_gpus}"
            raise ValueError(msg)
        occupancy.stop(move.pod)
        try:
            occupancy.start(pod, target)
        except ValueError:
            occupancy.start(pod, source)
            raise


def undo(occupancy: Occupancy, plan: MovePlan) -> None:
    """Lead an occupancy on which the plan was carried out back to where it was."""
    carry_out(occupancy, plan.undo)


def cost_of(pods: Sequence[Pod], restart_seconds: float = RESTART_SECONDS) -> Cost:
    """What moving these pods loses; where a pod's own loss is unknown only its restart is counted, and the pod told."""
    restarts = sum(pod.request.total_gpu_milli for pod in pods) / 1000 * restart_seconds
    return Cost(
        gpu_seconds=restarts + sum(pod.lost_gpu_seconds or 0.0 for pod in pods),
        pods_of_unknown_loss=sum(pod.lost_gpu_seconds is None and pod.request.gpu_count > 0 for pod in pods),
    )


def cost_words(cost: Cost) -> str:
    """What a plan costs, for people, with what is not known of it."""
    unknown = cost.pods_of_unknown_loss
    pods = "1 pod" if unknown == 1 else f"{unknown} pods"
    caveat = f", without what {pods} did since a checkpoint nobody told of" if unknown else ""
    return f"{cost.gpu_seconds:.0f} GPU-seconds of work{caveat}"
