"""For a noisy neighbor whose job is named: which of the two jobs could go where, so that they are parted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.planning.displacement import separate
from warpgauge.analyzer.planning.watched import pod_of, watched_cluster
from warpgauge.analyzer.recommend.relief import STARTS_ELSEWHERE
from warpgauge.core.finding import FindingKind

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.planning.occupancy import Occupancy
    from warpgauge.analyzer.planning.watched import Watched
    from warpgauge.core.finding import Finding, Whose

__all__ = ["Parting", "disturber_of", "parting_of"]

_LEAST_NODES: Final = 2  # of the cluster: with one there is nowhere to go


@dataclass(frozen=True, slots=True, kw_only=True)
class Parting:
    """The job to move off the node; `target` is None where it holds no device, and its core has to find the room."""

    job: str
    scheduler: str
    target: str | None = None


def disturber_of(finding: Finding) -> Whose | None:
    """The job that a finding blames beside its own."""
    return next((row.whose for row in finding.evidence if row.whose is not None), None)


def parting_of(
    findings: Sequence[Finding], frame: Frame, platforms: Mapping[tuple[str, str], str]
) -> dict[str, Parting]:
    """By the id of each finding of a noisy neighbor: who goes where; absent if nobody can, or no job is named.

    Who disturbs goes, if it can, else who is disturbed. Without such a finding no pool is made of the frame.
    """
    watched: dict[str, Watched] = {}
    found = {}
    for finding in findings:
        scope, whose = finding.scope, disturber_of(finding)
        if finding.kind is not FindingKind.NOISY_NEIGHBOR or whose is None or not (scope.job_id and scope.node):
            continue
        cluster = scope.cluster or ""
        if cluster not in watched:
            movable = {
                job for (at, job), platform in platforms.items() if at == cluster and platform in STARTS_ELSEWHERE
            }
            watched[cluster] = watched_cluster(frame, cluster, movable)
        pool = watched[cluster].occupancy
        if (cluster, whose.job_id) in frame.jobs:
            parting = _between(pool, whose.job_id, scope.job_id, scope.node, platforms, cluster)
        else:
            parting = _of_no_device(pool, whose)
        if parting is not None:
            found[finding.id] = parting
    return found


def _of_no_device(pool: Occupancy, whose: Whose) -> Parting | None:
    """A job that only uses CPUs may go wherever its core finds room."""
    if whose.scheduler not in STARTS_ELSEWHERE or len(pool.cluster.nodes) < _LEAST_NODES:
        return None
    return Parting(job=whose.job_id, scheduler=whose.scheduler or "")


def _between(  # noqa: PLR0913, PLR0917 - two jobs, their place, and what is known of both
    pool: Occupancy, noisy: str, victim: str, node: str, platforms: Mapping[tuple[str, str], str], cluster: str
) -> Parting | None:
    """What the planner says of two jobs with devices of one node."""
    if pod_of(noisy, node) not in pool.pods:
        return None
    plan = separate(pool, noisy=pod_of(noisy, node), victims=(pod_of(victim, node),))
    for move in plan.moves:
        job = victim if move.pod == pod_of(victim, node) else noisy
        return Parting(job=job, scheduler=platforms[cluster, job], target=move.target)
    return None
