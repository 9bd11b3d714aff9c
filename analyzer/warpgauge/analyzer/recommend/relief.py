"""For findings of heat and power: the move that the planner would make to take the job off the slowed node."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.detection.places import nodes_of_jobs
from warpgauge.analyzer.planning.displacement import cool_down, nothing_to_move
from warpgauge.analyzer.planning.watched import SLOWED_NODE, pod_of, watched_cluster

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.entities import JobKey
    from warpgauge.analyzer.planning.moves import MovePlan
    from warpgauge.analyzer.planning.watched import Watched
    from warpgauge.core.finding import Finding

__all__ = ["STARTS_ELSEWHERE", "relief_of"]

STARTS_ELSEWHERE: Final = frozenset({"kubernetes", "slurm"})  # cores that move a job, not a device of it


def relief_of(findings: Sequence[Finding], frame: Frame, platforms: Mapping[JobKey, str]) -> dict[str, MovePlan]:
    """By the id of each such finding about a job: the move, or none and the reason; empty without such findings.

    The frame is turned into a pool only if there is one of a job that can move: mostly nothing is hot, or it is a gang.
    """
    watched: dict[str, Watched] = {}
    plans = {}
    for finding in findings:
        scope = finding.scope
        if finding.kind not in SLOWED_NODE or not scope.job_id or not scope.node or not scope.cluster:
            continue
        if not _may_move(frame, (scope.cluster, scope.job_id), platforms):
            plans[finding.id] = nothing_to_move(f"{scope.job_id} cannot be started elsewhere by its core, or is a gang")
            continue
        if scope.cluster not in watched:
            movable = {
                job
                for (cluster, job), platform in platforms.items()
                if cluster == scope.cluster and platform in STARTS_ELSEWHERE
            }
            watched[scope.cluster] = watched_cluster(frame, scope.cluster, movable)
        one = watched[scope.cluster]
        if scope.node not in one.occupancy.cluster.index:
            continue
        plans[finding.id] = cool_down(
            one.occupancy,
            scope.node,
            throttled_ratio=one.throttled_ratio,
            rack_of=one.rack_of,
            pod=pod_of(scope.job_id, scope.node),
        )
    return plans


def _may_move(frame: Frame, job: JobKey, platforms: Mapping[JobKey, str]) -> bool:
    """Whether its core may start it elsewhere, and it is no gang, which would start again as a whole."""
    return platforms.get(job) in STARTS_ELSEWHERE and len(nodes_of_jobs(frame).get(job, ())) <= 1
