"""What measurements add to the plan of a pool: who should leave a slow or slowed node, and who would do with less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.planning.displacement import cool_down, nothing_to_move, replace_straggler
from warpgauge.analyzer.planning.watched import SLOWED_NODE, watched_cluster
from warpgauge.core.finding import FindingKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.planning.moves import MovePlan
    from warpgauge.analyzer.planning.occupancy import Occupancy
    from warpgauge.core.finding import Finding

__all__ = ["Measured", "Relief", "measured"]

_HELD_BACK: Final = SLOWED_NODE | {FindingKind.STRAGGLER}


@dataclass(frozen=True, slots=True, kw_only=True)
class Relief:
    """A node that holds work back, and the move off it, or none and the reason."""

    node: str
    finding: Finding
    plan: MovePlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Each by itself, beside the plan's own moves: none of them counts on another."""

    reliefs: tuple[Relief, ...] = ()
    oversized: tuple[Finding, ...] = ()


def measured(findings: Sequence[Finding], frame: Frame, occupancy: Occupancy) -> Measured:
    """For the findings that hold: a move for each slow node of the pool, and jobs that would do with a MIG instance.

    The pool knows what its pods ask for, the frame which nodes are slow; they meet in the nodes' names.
    """
    holding = [one for one in findings if one.ended is None and one.muted is None]
    slow = {
        one.scope.node: one
        for one in reversed(holding)  # the first of a node, which weighs most, stays
        if one.kind in _HELD_BACK and one.scope.node in occupancy.cluster.index
    }
    reliefs = [
        Relief(node=one.scope.node or "", finding=one, plan=_plan(one, frame, occupancy)) for one in slow.values()
    ]
    return Measured(
        reliefs=tuple(sorted(reliefs, key=lambda one: one.node)),
        oversized=tuple(one for one in holding if one.kind is FindingKind.OVERSIZED),
    )


def _plan(finding: Finding, frame: Frame, occupancy: Occupancy) -> MovePlan:
    """Off a node that heat or power slows one pod goes; off one that is slow in itself all of them, to one spare."""
    node, job = finding.scope.node or "", finding.scope.job_id or ""
    if finding.kind is FindingKind.STRAGGLER:
        here = occupancy.on(occupancy.cluster.index[node])
        if (fixed := next((pod for pod in here if pod.request.gpu_count and not pod.is_movable), None)) is not None:
            return nothing_to_move(f"pod {fixed.name} of {node} may not be moved")
        return replace_straggler(occupancy, node, spares=sorted(occupancy.cluster.index))
    watched = watched_cluster(frame, finding.scope.cluster or "", ())
    return cool_down(
        occupancy,
        node,
        throttled_ratio=watched.throttled_ratio,
        rack_of=watched.rack_of,
        pod=_pod_on(occupancy, node, job),
    )


def _pod_on(occupancy: Occupancy, node: str, job: str) -> str:
    """The pod of a node that is the job, or of the job; "" if none is."""
    here = occupancy.on(occupancy.cluster.index[node])
    return next((pod.name for pod in here if job and job in {pod.name, pod.gang}), "")
