"""How `warpgauge plan` says a plan: steps for people who will carry them out, JSON Lines for machines."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from warpgauge.analyzer.planning.moves import cost_words
from warpgauge.core.table import table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from warpgauge.analyzer.planning.live import LeftOut
    from warpgauge.analyzer.planning.moves import Move
    from warpgauge.analyzer.planning.pool import Request
    from warpgauge.analyzer.planning.pool_plan import PoolPlan
    from warpgauge.analyzer.planning.telemetry import Measured
    from warpgauge.analyzer.planning.waiting import Job

__all__ = ["as_json_lines", "as_text"]

_MOST_ROWS: Final = 40  # of a table for people; --json has all
_NO_DEVICES: Final = "-"


def as_text(plan: PoolPlan, left_out: Sequence[LeftOut] = (), measured: Measured | None = None) -> str:
    """Placements, who waits on and why, moves with gain, cost and the way back; and what the plan leaves alone."""
    parts = [_headline(plan)]
    if left_out:
        rows = [(one.what, one.why) for one in left_out]
        parts.append(_listed("Left out, with what runs there:", ("WHAT", "WHY"), rows, set()))
    if plan.outcome.placed:
        parts.append(_placements(plan))
    if plan.outcome.waiting:
        parts.append(_waiting(plan))
    parts.append(_moves(plan))
    if measured is not None:
        parts += [_reliefs(measured), _oversized(measured)]
    return "\n\n".join(parts)


def as_json_lines(
    plan: PoolPlan, left_out: Sequence[LeftOut] = (), measured: Measured | None = None
) -> Iterator[dict[str, Any]]:
    """Every placement, waiting job and move in order, then `{"type": "summary"}`; undo is the moves read backwards.

    What was measured comes before the summary: `relief` for each slowed node, `resize` for each oversized job.
    """
    for one in left_out:
        yield {"type": "left_out", "what": one.what, "why": one.why}
    for pod, seat in plan.outcome.placed:
        yield {"type": "placement", "pod": pod.name, "node": plan.nodes[seat.node].name, "gpus": list(seat.gpus)}
    for job, reason in plan.outcome.waiting:
        yield {"type": "waiting", "job": job.name, "pods": [pod.name for pod in job.pods], "reason": reason}
    for step, move in enumerate(plan.moves.moves, start=1):
        yield {"type": "move", "step": step, **_move(move)}
    for step, move in enumerate(plan.moves.undo, start=1):
        yield {"type": "undo", "step": step, **_move(move)}
    yield from _measured(measured)
    gain, cost = plan.moves.gain, plan.moves.cost
    yield {
        "type": "summary",
        "nodes": len(plan.nodes),
        "running": plan.running,
        "placed": len(plan.outcome.placed),
        "waiting_jobs": len(plan.outcome.waiting),
        "allocated_before_ratio": round(plan.allocated_before_ratio, 6),
        "allocated_ratio": round(plan.allocated_ratio, 6),
        "moves": len(plan.moves.moves),
        "reason": plan.moves.reason,
        "gain": {"metric": gain.metric, "unit": gain.unit, "before": gain.before, "after": gain.after},
        "cost": {"gpu_seconds": round(cost.gpu_seconds, 3), "pods_of_unknown_loss": cost.pods_of_unknown_loss},
        "jobs_that_fit_after_moves": [job.name for job in plan.fit_after_moves],
    }


def _measured(measured: Measured | None) -> Iterator[dict[str, Any]]:
    for one in measured.reliefs if measured else ():
        yield {
            "type": "relief",
            "node": one.node,
            "finding": one.finding.id,
            "kind": str(one.finding.kind),
            "reason": one.plan.reason,
            "moves": [_move(move) for move in one.plan.moves],
            "undo": [_move(move) for move in one.plan.undo],
        }
    for finding in measured.oversized if measured else ():
        job = finding.scope.job_id
        yield {"type": "resize", "job": job, "finding": finding.id, "why": finding.summary, "do": finding.remedy}


def _headline(plan: PoolPlan) -> str:
    return (
        f"{len(plan.nodes)} nodes, {plan.running} pods run. "
        f"{len(plan.outcome.placed)} waiting pods have a place, {len(plan.outcome.waiting)} jobs wait on. "
        f"GPUs allocated: {plan.allocated_before_ratio:.1%} before, {plan.allocated_ratio:.1%} with these places."
    )


def _placements(plan: PoolPlan) -> str:
    rows = [
        (pod.name, plan.nodes[seat.node].name, _devices(seat.gpus), f"{pod.request.total_gpu_milli / 1000:g}")
        for pod, seat in plan.outcome.placed
    ]
    return _listed("Place, in this order:", ("POD", "NODE", "DEVICES", "GPUS"), rows, {"GPUS"})


def _waiting(plan: PoolPlan) -> str:
    """Jobs that ask for the same, each group with the reason of its first."""
    groups: dict[tuple[Request, ...], list[tuple[Job, str]]] = {}
    for job, reason in plan.outcome.waiting:
        groups.setdefault(tuple(pod.request for pod in job.pods), []).append((job, reason))
    rows = [(len(group), group[0][0].name, group[0][1]) for group in groups.values()]
    return _listed("No place for:", ("JOBS", "FIRST", "WHY"), rows, {"JOBS"})


def _moves(plan: PoolPlan) -> str:
    moves = plan.moves.moves
    if not moves:
        return f"Moves: {plan.moves.reason}."
    rows = [
        (step, move.pod, move.source, _devices(move.source_gpus), move.target, _devices(move.target_gpus))
        for step, move in enumerate(moves, start=1)
    ]
    helped = [job.name for job in plan.fit_after_moves]
    parts = [
        _listed("Move, in this order:", ("STEP", "POD", "FROM", "DEVICES", "TO", "DEVICES"), rows, {"STEP"}),
        f"Gain: {plan.moves.reason}.",
        *([f"Then these jobs fit: {', '.join(helped[:_MOST_ROWS])}."] if helped else []),
        f"Cost: {cost_words(plan.moves.cost)}.",
        "Undo: the same moves backwards, each from TO to FROM; --json lists them.",
    ]
    return "\n".join(parts)


def _reliefs(measured: Measured) -> str:
    """Each move by itself; a node that nobody leaves with the reason."""
    if not measured.reliefs:
        return "Slow, by what was measured: no node of the pool."
    rows = []
    for one in measured.reliefs:
        moves = ", ".join(f"{move.pod} to {move.target}" for move in one.plan.moves) or "nobody"
        rows.append((one.node, str(one.finding.kind), moves, one.plan.reason))
    return _listed("Slow, by what was measured:", ("NODE", "FINDING", "MOVE", "WHY"), rows, set())


def _oversized(measured: Measured) -> str:
    if not measured.oversized:
        return "Would do with a part of their device: no job, as far as a week was measured."
    rows = [(one.scope.job_id or "", one.summary, one.remedy) for one in measured.oversized]
    return _listed("Would do with a part of their device:", ("JOB", "WHY", "DO"), rows, set())


def _listed(title: str, headers: Sequence[str], rows: Sequence[Sequence[object]], numeric: set[int | str]) -> str:
    left_out = len(rows) - _MOST_ROWS
    more = [f"... and {left_out} more; --json lists all"] if left_out > 0 else []
    return "\n".join([title, table(headers, rows[:_MOST_ROWS], numeric=numeric), *more])


def _devices(gpus: tuple[int, ...]) -> str:
    return ",".join(map(str, gpus)) or _NO_DEVICES


def _move(move: Move) -> dict[str, Any]:
    return {
        "pod": move.pod,
        "gpu_milli": move.gpu_milli,
        "source": {"node": move.source, "gpus": list(move.source_gpus)},
        "target": {"node": move.target, "gpus": list(move.target_gpus)},
    }
