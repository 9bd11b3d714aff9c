"""What measurements add to the plan of a pool: who should leave a slowed node, and who would do with less."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from warpgauge.analyzer.planning.displacement import cool_down
from warpgauge.analyzer.planning.watched import SLOWED_NODE, watched_cluster
from warpgauge.core.finding import FindingKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.planning.moves import MovePlan
    from warpgauge.analyzer.planning.occupancy import Occupancy
    from warpgauge.core.finding import Finding

__all__ = ["Measured", "Relief", "measured"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Relief:
    """A node that heat or power slows, and the move off it, or none and the reason."""

    node: str
    finding: Finding
    plan: MovePlan


@dataclass(frozen=True, slots=True, kw_only=True)
class Measured:
    """Each by itself, beside the plan's own moves: none of them counts on another."""

    reliefs: tuple[Relief, ...] = ()
    oversized: tuple[Finding, ...] = ()


def measured(findings: Sequence[Finding], frame: Frame, occupancy: Occupancy) -> Measured:
    """For the findings that hold: a move for each slowed node of the pool, and jobs that would do with a MIG instance.

    The pool knows what its pods ask for, the frame which nodes are slowed down; they meet in the nodes' names.
    """
    holding = [one for one in findings if one.ended is None and one.muted is None]
    slowed = {
        one.scope.node: one
        for one in reversed(holding)  # the first of a node, which weighs most, stays
        if one.kind in SLOWED_NODE and one.scope.node in occupancy.cluster.index
    }
    reliefs = [_relief(one, frame, occupancy) for one in slowed.values()]
    return Measured(
        reliefs=tuple(sorted(reliefs, key=lambda one: one.node)),
        oversized=tuple(one for one in holding if one.kind is FindingKind.OVERSIZED),
    )


def _relief(finding: Finding, frame: Frame, occupancy: Occupancy) -> Relief:
    node, job = finding.scope.node or "", finding.scope.job_id or ""
    watched = watched_cluster(frame, finding.scope.cluster or "", ())
    plan = cool_down(
        occupancy,
        node,
        throttled_ratio=watched.throttled_ratio,
        rack_of=watched.rack_of,
        pod=job if job in occupancy.pods else "",
    )
    return Relief(node=node, finding=finding, plan=plan)
