"""The whole plan for a pool: who of the waiting gets a place, and which moves would make room for the rest."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from warpgauge.analyzer.planning.cluster import Seat
from warpgauge.analyzer.planning.consolidation import consolidate, empty_nodes, nothing_worth_moving
from warpgauge.analyzer.planning.defragmentation import defragment
from warpgauge.analyzer.planning.moves import carry_out, cost_of
from warpgauge.analyzer.planning.occupancy import Occupancy
from warpgauge.analyzer.planning.policies import placer_for
from warpgauge.analyzer.planning.typical import TypicalPods
from warpgauge.analyzer.planning.waiting import Outcome, jobs_of, place_waiting
from warpgauge.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from warpgauge.analyzer.planning.moves import MovePlan
    from warpgauge.analyzer.planning.openb import Workload
    from warpgauge.analyzer.planning.pool import Node, Pod
    from warpgauge.analyzer.planning.waiting import Job

__all__ = ["PoolPlan", "occupancy_of", "plan_pool"]


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolPlan:
    """The plan of a pool: first the places that are free, then moves, then those that fit thanks to the moves.

    `considered` are goals that no move serves, each with its reason.
    """

    nodes: tuple[Node, ...]
    running: int
    outcome: Outcome
    moves: MovePlan
    fit_after_moves: tuple[Job, ...]
    placed_after_moves: tuple[tuple[Pod, Seat], ...] = ()
    considered: tuple[MovePlan, ...] = ()
    allocated_before_ratio: float
    allocated_ratio: float


def occupancy_of(nodes: Sequence[Node], workload: Workload) -> Occupancy:
    """What runs according to a workload; InputError if a pod runs where it has no room or on a node not listed."""
    occupancy = Occupancy(nodes)
    for pod in workload.pods:
        if pod.name not in workload.seats:
            continue
        node, gpus = workload.seats[pod.name]
        if node not in occupancy.cluster.index:
            msg = f"pod {pod.name} runs on {node}, which the node list does not have"
            raise InputError(msg)
        try:
            occupancy.start(pod, Seat(occupancy.cluster.index[node], gpus))
        except ValueError as error:
            msg = f"pod {pod.name} can not run on {node} beside the pods before it: {error}"
            raise InputError(msg) from error
    return occupancy


def plan_pool(  # noqa: PLR0913 - what the person at the terminal may choose
    nodes: Sequence[Node],
    workload: Workload,
    *,
    policy: str = "filling",
    may_move: Callable[[Pod], bool] = lambda pod: pod.is_movable,
    whole_nodes: int = 0,
    gpus_per_node: int = 8,
    most_moves: int = 50,
    seed: int = 0,
) -> PoolPlan:
    """Place what waits; then find moves that let more of it run, or that free `whole_nodes` if those are wanted.

    Whole nodes are freed for jobs that wait for several GPUs of one node; if that helps none, up to `most_moves` moves
    of single pods gather what is scattered. Pods placed by this very plan are not moved by it.
    """
    occupancy = occupancy_of(nodes, workload)
    before, running = occupancy.cluster.allocated_ratio, frozenset(occupancy.pods)
    placer = placer_for(policy, occupancy.cluster, workload.pods, seed=seed)
    outcome = place_waiting(occupancy, placer, jobs_of(pod for pod in workload.pods if pod.name not in running))
    after = occupancy.cluster.allocated_ratio

    def may(pod: Pod) -> bool:
        return pod.name in running and may_move(pod)

    considered: tuple[MovePlan, ...] = ()
    if whole_nodes:
        moves = consolidate(occupancy, gpu_count=gpus_per_node, wanted=whole_nodes, may_move=may)
        helped = _NOBODY
    else:
        room = _Room(occupancy, [job for job, _ in outcome.waiting], may)
        moves, helped = room.whole_nodes()
        if not helped.jobs and room.jobs:
            considered = (moves,)
            moves, helped = room.gathered(TypicalPods(workload.pods), most_moves)
    return PoolPlan(
        nodes=occupancy.cluster.nodes,
        running=len(running),
        outcome=outcome,
        moves=moves,
        fit_after_moves=helped.jobs,
        placed_after_moves=helped.seats,
        considered=considered,
        allocated_before_ratio=before,
        allocated_ratio=after,
    )


@dataclass(frozen=True, slots=True)
class _Helped:
    """Jobs that fit after moves, and where their pods go."""

    jobs: tuple[Job, ...] = ()
    seats: tuple[tuple[Pod, Seat], ...] = ()


_NOBODY = _Helped()


@dataclass(frozen=True, slots=True)
class _Room:
    """Ways to make room for jobs that wait; one that lets none of them run is not proposed."""

    occupancy: Occupancy
    jobs: Sequence[Job]
    may_move: Callable[[Pod], bool]

    def whole_nodes(self) -> tuple[MovePlan, _Helped]:
        """Moves that free whole nodes for jobs that wait for several devices of one, and the jobs that then run."""
        large = [job for job in self.jobs if any(pod.request.gpu_count > 1 for pod in job.pods)]
        if not large:
            return nothing_worth_moving(0, "no job waits for several GPUs of one node"), _NOBODY
        size = _node_size(self.occupancy, large)
        if size is None:
            return nothing_worth_moving(0, "no node has as many GPUs as the waiting jobs ask for"), _NOBODY
        empty = empty_nodes(self.occupancy, size)
        wanted = empty + sum(pod.request.gpu_count > 1 for job in large for pod in job.pods)
        moves = consolidate(self.occupancy, gpu_count=size, wanted=wanted, may_move=self.may_move)
        helped = self._that_fit_after(moves, large)
        if moves.moves and not helped.jobs:
            reason = f"freeing {size}-GPU nodes would let none of {len(large)} waiting jobs run"
            return nothing_worth_moving(empty, reason), _NOBODY
        return moves, helped

    def gathered(self, typical: TypicalPods, most_moves: int) -> tuple[MovePlan, _Helped]:
        """Moves of single pods that make scattered GPU usable, and the jobs that then run."""
        moves = defragment(self.occupancy, typical, most_moves=most_moves, may_move=self.may_move)
        helped = self._that_fit_after(moves, self.jobs)
        if moves.moves and not helped.jobs:
            reason = f"gathering what is scattered would let none of {len(self.jobs)} waiting jobs run"
            return replace(moves, moves=(), cost=cost_of([]), reason=f"nothing worth moving: {reason}"), _NOBODY
        return moves, helped

    def _that_fit_after(self, plan: MovePlan, jobs: Sequence[Job]) -> _Helped:
        if not plan.moves:
            return _NOBODY
        changed = self.occupancy.copy()
        carry_out(changed, plan.moves)
        pods = [pod for job in jobs for pod in job.pods]
        outcome = place_waiting(changed, placer_for("bestfit", changed.cluster, pods), jobs)
        waiting = {(job.tenant, job.name) for job, _ in outcome.waiting}
        return _Helped(tuple(job for job in jobs if (job.tenant, job.name) not in waiting), outcome.placed)


def _node_size(occupancy: Occupancy, jobs: Sequence[Job]) -> int | None:
    """The fewest devices that a node needs for the largest of the waiting pods."""
    need = max(pod.request.gpu_count for job in jobs for pod in job.pods)
    return min((node.gpu_count for node in occupancy.cluster.nodes if node.gpu_count >= need), default=None)
