"""A pool with its plan as one JSON object of bounded size, with the words that people read on the console.

`warpgauge plan --document` prints it and the analyzer serves it at `/api/v1/plan`. Names come from a scheduling core,
so from whoever may start a job there: what does not print is replaced, and what is long is cut. Rows beyond the bounds
are counted under `more`; `warpgauge plan --json` has them all.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from warpgauge.analyzer.planning.moves import carry_out, cost_words
from warpgauge.analyzer.planning.node_map import node_rows
from warpgauge.analyzer.planning.pool import MILLI
from warpgauge.analyzer.planning.pool_plan import occupancy_of
from warpgauge.analyzer.planning.wording import devices_words, shown

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.analyzer.planning.live import LivePool
    from warpgauge.analyzer.planning.moves import Move, MovePlan
    from warpgauge.analyzer.planning.occupancy import Occupancy
    from warpgauge.analyzer.planning.pool_plan import PoolPlan

__all__ = ["MOST_ROWS", "SCHEMA", "plan_object"]

SCHEMA: Final = "warpgauge.plan/v1"
MOST_ROWS: Final = 200  # of each list
_PIECE: Final = {"kubernetes": "pod", "yarn": "container"}  # what the core moves; elsewhere a job
_COUNTED_OUT: Final = "{core} does not tell which device of a node a {piece} has: the numbers here are counted out."
_GOALS: Final = {
    "whole_nodes_free": "Free whole nodes for jobs that wait for several GPUs",
    "fragmented_gpus": "Gather scattered GPUs for jobs that wait",
}


def plan_object(pool: LivePool, plan: PoolPlan, *, core: str) -> dict[str, Any]:
    """What waits, what gets a place, what would move where, with the pool before and after."""
    piece = _PIECE.get(core, "job")
    before, after = _before_and_after(pool, plan)
    waiting, placed = plan.outcome.waiting, plan.outcome.placed
    goals = [_goal(one, plan, piece) for one in (plan.moves, *plan.considered)]
    lists: dict[str, list[dict[str, Any]]] = {
        "placements": [
            _placement(pod.name, plan.nodes[seat.node].name, seat.gpus, piece) for pod, seat in placed[:MOST_ROWS]
        ],
        "waiting": _waiting(plan),
        "left_out": [{"what": shown(one.what), "why": shown(one.why)} for one in pool.left_out[:MOST_ROWS]],
        "nodes": node_rows(before, after),
    }
    totals = {
        "placements": len(placed),
        "waiting": len(waiting),
        "left_out": len(pool.left_out),
        "moves": len(plan.moves.moves),
        "nodes": len(plan.nodes),
    }
    listed = {name: len(rows) for name, rows in lists.items()} | {"moves": len(goals[0]["moves"])}
    return {
        "schema": SCHEMA,
        "core": core,
        "simulated": pool.is_simulated,
        "headline": _headline(plan, piece),
        "goals": goals,
        **lists,
        "devices": {"before": _Devices.of(before).to_json(), "after": _Devices.of(after).to_json()},
        "notes": [_COUNTED_OUT.format(core=core.capitalize(), piece=piece)] if core in _PIECE else [],
        "more": {name: total - listed[name] for name, total in totals.items() if total > listed[name]},
    }


def _before_and_after(pool: LivePool, plan: PoolPlan) -> tuple[Occupancy, Occupancy]:
    """What runs where now, and once the places are taken, the moves made and the places after them taken too."""
    before = occupancy_of(pool.nodes, pool.workload)
    after = before.copy()
    for pod, seat in plan.outcome.placed:
        after.start(pod, seat)
    carry_out(after, plan.moves.moves)
    for pod, seat in plan.placed_after_moves:
        after.start(pod, seat)
    return before, after


@dataclass(frozen=True, slots=True, kw_only=True)
class _Devices:
    """Of all devices of the pool, in whole ones; `scattered` are free on nodes of which others are in use."""

    total: int
    whole: float
    scattered: float

    @classmethod
    def of(cls, occupancy: Occupancy) -> _Devices:
        cluster = occupancy.cluster
        free = cluster.gpu_left.sum(axis=1)
        is_whole = free == MILLI * cluster.gpu_count
        return cls(
            total=int(cluster.gpu_count.sum()),
            whole=float(free[is_whole].sum()) / MILLI,
            scattered=float(free[~is_whole].sum()) / MILLI,
        )

    def to_json(self) -> dict[str, Any]:
        return {
            "total": self.total,
            "in_use": round(self.total - self.whole - self.scattered, 3),
            "free_on_empty_nodes": self.whole,
            "free_beside_others": self.scattered,
        }


def _headline(plan: PoolPlan, piece: str) -> str:
    moves, placed, waiting = plan.moves.moves, plan.outcome.placed, plan.outcome.waiting
    if not moves and not placed and not waiting:
        return "Nothing waits for room, so nothing is worth moving."
    parts = [f"{_count(placed, f'waiting {piece}')} {_has(placed)} a place"] if placed else []
    parts += [f"{_count(waiting, 'job')} {'waits' if len(waiting) == 1 else 'wait'} on"] if waiting else []
    if moves:
        helped = len(plan.fit_after_moves)
        parts.append(f"{_count(moves, 'move')} would let {_count(plan.fit_after_moves, 'job')} run" if helped else
                     f"{_count(moves, 'move')} would pay")  # fmt: skip
    else:
        parts.append("nothing is worth moving")
    text = ", ".join(parts)
    return f"{text[0].upper()}{text[1:]}."


def _count(items: Sequence[object], what: str) -> str:
    return f"{len(items)} {what}{'' if len(items) == 1 else 's'}"


def _has(items: Sequence[object]) -> str:
    return "has" if len(items) == 1 else "have"


def _goal(moves: MovePlan, plan: PoolPlan, piece: str) -> dict[str, Any]:
    """One goal: its moves in their order with gain, cost and the way back, or why there is none."""
    gain, chosen = moves.gain, moves.moves[:MOST_ROWS]
    goal = {
        "goal": gain.metric,
        "title": _GOALS.get(gain.metric, gain.metric),
        "reason": shown(moves.reason),
        "gain": {"metric": gain.metric, "unit": gain.unit, "before": gain.before, "after": gain.after},
        "moves": [_step(number, move, piece) for number, move in enumerate(chosen, start=1)],
    }
    if not chosen:
        return goal
    return goal | {
        "cost": {
            "gpu_seconds": round(moves.cost.gpu_seconds, 3),
            "pods_of_unknown_loss": moves.cost.pods_of_unknown_loss,
            "text": cost_words(moves.cost),
        },
        "undo": [_step(number, move, piece) for number, move in enumerate(moves.undo[:MOST_ROWS], start=1)],
        "then_fit": [shown(job.name) for job in plan.fit_after_moves[:MOST_ROWS]],
    }


def _step(number: int, move: Move, piece: str) -> dict[str, Any]:
    source, target = _place(move.source, move.source_gpus), _place(move.target, move.target_gpus)
    return {
        "step": number,
        "name": shown(move.pod),
        "gpus": move.gpu_milli / MILLI,
        "from": {"node": shown(move.source), "gpus": list(move.source_gpus)},
        "to": {"node": shown(move.target), "gpus": list(move.target_gpus)},
        "text": f"{piece} {shown(move.pod)}: {source} → {target}",
    }


def _place(node: str, gpus: tuple[int, ...]) -> str:
    return f"{shown(node)} {devices_words(gpus)}"


def _placement(name: str, node: str, gpus: tuple[int, ...], piece: str) -> dict[str, Any]:
    text = f"{piece} {shown(name)} → {_place(node, gpus)}"
    return {"name": shown(name), "node": shown(node), "gpus": list(gpus), "text": text}


def _waiting(plan: PoolPlan) -> list[dict[str, Any]]:
    """Jobs that wait on: those that fit after the moves first."""
    fit = {(job.tenant, job.name) for job in plan.fit_after_moves}
    rows = sorted(plan.outcome.waiting, key=lambda one: (one[0].tenant, one[0].name) not in fit)
    return [
        {
            "name": shown(job.name),
            "tenant": shown(job.tenant),
            "pods": len(job.pods),
            "why": shown(why),
            "fits_after_moves": (job.tenant, job.name) in fit,
        }
        for job, why in rows[:MOST_ROWS]
    ]
