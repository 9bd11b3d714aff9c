"""The whole-fleet breaker: if most of a cluster's nodes look bad at once, suspect what they share, not each of them.

Sick nodes come one by one. When more than half of the nodes begin to look bad within minutes of each other, the
telemetry is the likelier culprit (a changed exporter, a clock, a broken scrape), or something all of them stand on
(a driver roll-out, a power cap, the cooling). One finding says so; the single findings are computed and shown, but
muted (NVSentinel PR 1629: 77 healthy nodes in 11 racks were flagged after one job crashed). What the work of a job can
cause alone speaks of a node only where several jobs show it, as at a shared place: one job often fills a cluster. And
only where it came while the job ran: jobs that were so from the start did not begin to look bad together. Where nobody
tells of jobs, or pods of one have names of their own, `one_job` tells from the power; else one finding says what it
looks like.
"""

from __future__ import annotations

from collections import Counter, defaultdict
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.detection import Candidate, Strength
from warpgauge.analyzer.detection.wording import count, listed, span
from warpgauge.analyzer.incidents.one_job import WORK, work_in
from warpgauge.analyzer.incidents.shared_places import LEAST_JOBS, OF_SEVERAL_JOBS
from warpgauge.analyzer.incidents.together import TOGETHER_SECONDS
from warpgauge.core.finding import Evidence, Finding, FindingKind, Mute, MutedBy, Scope, Severity

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from warpgauge.analyzer.frame import Frame

__all__ = ["BREAKER", "mute_of", "suspicions"]

BREAKER: Final = "breaker"
"""As a detector is named."""

LEAST_NODES: Final = 4
RAISE_SHARE: Final = 0.5
HOLD_SHARE: Final = 0.3
CONFIDENCE: Final = 0.8
START_SECONDS: Final = 600.0  # of a job: loading, compiling and the first steps
_OF_LINKS: Final = frozenset({FindingKind.NETWORK_BOUND, FindingKind.INTERCONNECT_BOUND, FindingKind.LINK_ERRORS})
_OF_WORK: Final = WORK | OF_SEVERAL_JOBS | {FindingKind.WORKLOAD_IMBALANCE}


def suspicions(seen: Iterable[Finding | Candidate], frame: Frame) -> Iterator[Candidate]:
    """A candidate for each cluster of which too many nodes look bad at once; `seen` holds now or is to be raised."""
    bad: dict[str, list[Finding | Candidate]] = defaultdict(list)
    for one in _of_nodes(seen, frame):
        bad[one.scope.cluster or ""].append(one)
    if max((len(ones) for ones in bad.values()), default=0) < HOLD_SHARE * LEAST_NODES:
        return
    totals = frame.sites.totals
    for cluster, ones in bad.items():
        if _burst(ones, totals[cluster]) is None:
            continue
        work = work_in(ones, frame)
        left = work.rest if work is not None and work.job else ones
        burst = _burst(left, totals[cluster])
        if burst is not None:
            yield _candidate(cluster, left, burst, totals[cluster], is_work=work is not None and not work.rest)


def _of_nodes(seen: Iterable[Finding | Candidate], frame: Frame) -> list[Finding | Candidate]:
    """What speaks of nodes, and not of a job that they work for."""
    told = [one for one in seen if one.scope.node is not None and one.severity is not Severity.INFO]
    told = [one for one in told if one.kind not in _OF_WORK or not _is_of_its_start(one, frame)]
    jobs: dict[tuple[str | None, FindingKind], set[str | None]] = defaultdict(set)
    for one in told:
        jobs[one.scope.cluster, one.kind].add(one.scope.job_id)

    def is_of_one_job(one: Finding | Candidate) -> bool:
        is_work = one.kind in _OF_WORK and one.scope.job_id is not None
        return is_work and len(jobs[one.scope.cluster, one.kind]) < LEAST_JOBS

    rails = _rails(told, frame)
    return [one for one in told if not is_of_one_job(one) and _rail_of(one, frame) not in rails]


_Rail = tuple[str | None, int]
"""(cluster, index of its devices in their nodes)"""


def _rails(told: Iterable[Finding | Candidate], frame: Frame) -> set[_Rail]:
    """The one rail of each cluster on which all its slow links are: that explains them, and nothing all nodes share."""
    links: dict[str | None, set[_Rail | None]] = defaultdict(set)
    for one in told:
        if one.kind in _OF_LINKS:
            links[one.scope.cluster].add(_rail_of(one, frame))
    return {rail for rails in links.values() if len(rails) == 1 for rail in rails if rail is not None}


def _rail_of(one: Finding | Candidate, frame: Frame) -> _Rail | None:
    """Of a finding about the link of one of several devices of a node: device i of all nodes is on rail i."""
    cluster, node = one.scope.cluster, one.scope.node
    if one.kind not in _OF_LINKS or one.scope.uuid is None:
        return None
    beside = [frame.devices.entities[int(row)] for row in frame.sites.devices_at((cluster or "", node or ""))]
    own = [int(device.index) for device in beside if device.uuid == one.scope.uuid and str(device.index).isdigit()]
    return (cluster, own[0]) if own and len(beside) > 1 else None


def _is_of_its_start(one: Finding | Candidate, frame: Frame) -> bool:
    """Whether its job was so as long as it is known."""
    job = frame.jobs.get((one.scope.cluster or "", one.scope.job_id or ""))
    if job is None or not job.devices:
        return False
    came = frame.allocated_since[list(job.devices)]
    return bool(one.since <= np.fmin.reduce(came) + START_SECONDS)


@dataclass(frozen=True, slots=True)
class _Burst:
    """When the most nodes began to look bad within three minutes, which look bad at all, and what part began then."""

    since: float
    together: int
    share: float  # of all nodes of the cluster
    nodes: tuple[str, ...]


def _burst(bad: Iterable[Finding | Candidate], total: int) -> _Burst | None:
    """None where too few nodes began together to suspect anything."""
    onsets: dict[str, float] = {}
    for one in bad:
        node = one.scope.node or ""
        onsets[node] = max(one.since, onsets.get(node, one.since))
    if total < LEAST_NODES or not onsets:
        return None
    since, together = _largest_burst(list(onsets.values()))
    burst = _Burst(since, together, together / total, tuple(sorted(onsets)))
    return burst if burst.share > HOLD_SHARE else None


def mute_of(finding: Finding, fleet: Mapping[str, Finding]) -> Mute | None:
    """Why a finding is muted by that of its whole cluster, if one is in `fleet` and began with it."""
    one = fleet.get(finding.scope.cluster or "")
    if one is None or finding.id == one.id or finding.since < one.since - TOGETHER_SECONDS:
        return None
    return Mute(by=MutedBy.BREAKER, id=one.id, reason="most of the cluster looks bad at once")


def _largest_burst(onsets: list[float]) -> tuple[float, int]:
    """When the most onsets within three minutes began, and how many they are."""
    onsets.sort()
    best, first = (onsets[0], 0), 0
    for last, onset in enumerate(onsets):
        while onset - onsets[first] > TOGETHER_SECONDS:
            first += 1
        best = max(best, (onsets[first], last - first + 1), key=lambda burst: burst[1])
    return best


_REMEDY: Final = (
    "See first whether the numbers are true: look at one of the nodes itself. Then what changed for all of them at that"
    " time: exporter or agent version, driver roll-out, power cap, cooling, clock."
)
_WORK_REMEDY: Final = (
    "See what runs on these nodes and whether it goes on (nvidia-smi, py-spy dump on its processes). Nobody tells which"
    " job holds their devices; else it would be named."
)
_MUTED: Final = " The single findings are shown as muted and come back by themselves if they outlast this."


def _candidate(
    cluster: str, bad: Sequence[Finding | Candidate], burst: _Burst, total: int, *, is_work: bool
) -> Candidate:
    kinds = ", ".join(kind for kind, _ in Counter(str(one.kind) for one in bad).most_common(3))
    why = (
        ", and their power changed with it: most likely a job on all of them that hangs, waits or does other work."
        if is_work
        else ": more likely the telemetry, or something that all share."
    )
    row = Evidence(metric="nodes that look bad", value=round(burst.share, 4), unit="ratio", threshold=RAISE_SHARE)
    return Candidate(
        kind=FindingKind.TELEMETRY_GAP,
        scope=Scope(cluster=cluster),
        severity=Severity.CRITICAL,
        since=burst.since,
        confidence=CONFIDENCE,
        evidence=(row,),
        summary=f"Cluster {cluster}: {burst.together} of {count(total, 'node')} began to look bad within"
        f" {span(TOGETHER_SECONDS)} ({kinds}; on {listed(burst.nodes)}){why}",
        remedy=(_WORK_REMEDY if is_work else _REMEDY) + _MUTED,
        simulated=any(one.simulated for one in bad),
        strength=Strength.RAISE if burst.share > RAISE_SHARE else Strength.HOLD,
    )
