"""What stands between advice and a recommendation: every limit, each with the sentence that says what held it back.

Sources of the numbers: descheduler's and NVSentinel's defaults, Draino's fault of draining a fleet that was only blind
(planetlabs/draino#54), and two checkpoint intervals as the least time between two moves of one job.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.recommend.advice import Advice, is_self_reported
from warpgauge.analyzer.recommend.parting import disturber_of
from warpgauge.analyzer.recommend.site_rules import SiteRules
from warpgauge.core.finding import Finding, FindingKind
from warpgauge.core.recommendation import TargetType

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from warpgauge.analyzer.recommend.topology import Topology
    from warpgauge.core.recommendation import Recommendation

__all__ = ["WORKLOAD_COOLDOWN_SECONDS", "Rails", "conflict_group", "job_disturbed_by", "left_alone"]

WORKLOAD_COOLDOWN_SECONDS: Final = 6 * 3600.0
DEVICE_COOLDOWN_SECONDS: Final = 3600.0
DISRUPTIVE_SHARE: Final = 0.05  # of a cluster's nodes
LEAST_CONFIDENCE: Final = 0.7  # to disturb anyone
LEAST_AGE_SECONDS: Final = 120.0  # of a condition that anyone is disturbed for
STALE_SECONDS: Final = 60.0  # of the newest sample; several scrapes at any usual interval
BREAKER_SHARE: Final = 0.5  # of a cluster's nodes with sick hardware at once
BREAKER_NODES: Final = 4
WORSE_BEFORE_SILENCE: Final = 2  # verdicts `worse` within a month that silence a detector's disruptive advice
_SICK: Final = frozenset(
    {
        FindingKind.DEVICE_LOST,
        FindingKind.DEVICE_HUNG,
        FindingKind.THERMAL_LIMITED,
        FindingKind.STRAGGLER,
        FindingKind.TELEMETRY_GAP,
    }
)


@dataclass(slots=True, kw_only=True)
class Rails:
    """The limits of one step; `open` and `issued` grow as the step issues."""

    findings: Sequence[Finding]
    topology: Topology
    open: dict[str, Recommendation]
    issued: dict[str, float]
    shared: frozenset[str] = frozenset()  # findings that several nodes of one rack, switch or power domain show
    now: float
    mode: str
    rules: SiteRules = field(default_factory=SiteRules)
    hold: str | None = None
    verdicts: Mapping[tuple[str, str], int] = field(default_factory=dict)

    def objection(self, finding: Finding, advice: Advice) -> str | None:
        """Why this advice must not be given now, None if it may."""
        if self.mode == "observe":
            return "mode is observe"
        if self.hold is not None:
            return self.hold
        group = conflict_group(finding, advice)
        if any(one.conflict_group == group for one in self.open.values()):
            return f"another recommendation for {group} is open"
        waited = self.now - self.issued.get(group, float("-inf"))
        if waited < _cooldown_seconds(advice):
            return f"{group} got a recommendation {waited:.0f} s ago"
        if not advice.kind.is_disruptive:
            return None
        return next(self._objections_to_disturbing(finding, advice), None)

    def _objections_to_disturbing(self, finding: Finding, advice: Advice) -> Iterator[str]:
        yield from self._weak_evidence(finding, advice)
        yield from self._blindness(finding)
        yield from self._forbidden(finding, advice)
        yield from self._too_much(finding, advice)

    def _weak_evidence(self, finding: Finding, advice: Advice) -> Iterator[str]:
        if finding.confidence < LEAST_CONFIDENCE:
            yield f"confidence is below {LEAST_CONFIDENCE}"
        if is_self_reported(finding) and not advice.ends_own_work_only:
            yield "it rests on self-reported data alone"
        if self.now - finding.since < LEAST_AGE_SECONDS:
            yield f"it is younger than {LEAST_AGE_SECONDS:.0f} s"
        worse, improved = (self.verdicts.get((str(finding.kind), word), 0) for word in ("worse", "improved"))
        if worse >= WORSE_BEFORE_SILENCE and worse > improved:
            yield f"what {finding.kind} advised made things worse {worse} times in a month"

    def _blindness(self, finding: Finding) -> Iterator[str]:
        if self._has_gap(finding):
            yield "telemetry is missing"
        if finding.id in self.shared:
            yield "its neighbors at the same place show it too: look at what they share"
        age = self.topology.age_seconds
        if age is not None and age > STALE_SECONDS:
            yield f"the newest sample is {age:.0f} s old"
        cluster = finding.scope.cluster or ""
        nodes = self.topology.nodes.get(cluster, 0)
        sick = {one.scope.node for one in self.findings if one.kind in _SICK and one.scope.cluster == cluster} - {None}
        if nodes >= BREAKER_NODES and len(sick) > BREAKER_SHARE * nodes:
            yield f"{len(sick)} of {nodes} nodes look bad at once: suspect the telemetry"

    def _has_gap(self, finding: Finding) -> bool:
        return any(
            gap.scope.cluster == finding.scope.cluster and gap.scope.node in {None, finding.scope.node}
            for gap in self.findings
            if gap.kind is FindingKind.TELEMETRY_GAP
        )

    def _forbidden(self, finding: Finding, advice: Advice) -> Iterator[str]:
        if self.rules.is_frozen(self.now):
            yield "changes are frozen now"
        yield from left_alone(finding, advice.disturbed(finding), self.topology, self.rules)

    def _too_much(self, finding: Finding, advice: Advice) -> Iterator[str]:
        cluster = finding.scope.cluster or ""
        disturbing = [one for one in self.open.values() if one.kind.is_disruptive and one.target[0].cluster == cluster]
        nodes = self.topology.nodes.get(cluster, 0)
        cap = max(1, int(DISRUPTIVE_SHARE * nodes))
        if len(disturbing) >= cap:
            yield f"{len(disturbing)} disruptive open already, of at most {cap} for {nodes} nodes"
        touched = _nodes_of(self.topology, cluster, finding.scope.node, advice.disturbed(finding))
        racks = {self.rules.racks[node] for node in touched if node in self.rules.racks}
        for one in disturbing:
            theirs = _nodes_of(self.topology, cluster, one.target[0].node, job_disturbed_by(one))
            if both := sorted(touched & theirs):
                yield f"node {both[0]} has an owner: recommendation {one.id}"
            if shared := sorted(racks & {self.rules.racks.get(node) for node in theirs} - {None}):
                yield f"rack {shared[0]} has a disruptive recommendation open already"


def left_alone(finding: Finding, job: str, topology: Topology, rules: SiteRules) -> Iterator[str]:
    """Who opted out of being disturbed: of the finding's node, the job that would be, and all nodes of its gang."""
    cluster, whose = finding.scope.cluster or "", disturber_of(finding)
    told = whose.user if whose and whose.job_id == job else None
    user = told or topology.users.get((cluster, job), "")
    for node in sorted(_nodes_of(topology, cluster, finding.scope.node, job)) or [""]:
        if (cluster, node) in topology.opted_out:
            yield f"node {node} is left alone (its target says so)"
        if (pattern := rules.opts_out(node, job, user)) is not None:
            yield pattern


def job_disturbed_by(recommendation: Recommendation) -> str:
    """The job that carrying it out disturbs, empty if none."""
    target = recommendation.target[0]
    if target.type is TargetType.WORKLOAD:
        return target.name
    affected = recommendation.disruption.jobs_affected if recommendation.disruption else None
    return affected[0] if affected else ""


def _nodes_of(topology: Topology, cluster: str, node: str | None, job: str) -> frozenset[str]:
    """Every node that disturbing this disturbs: all of a gang's."""
    return topology.job_nodes.get((cluster, job), frozenset()) | ({node} if node else set())


def _cooldown_seconds(advice: Advice) -> float:
    is_workload = advice.target.type is TargetType.WORKLOAD or advice.kind.is_disruptive
    return WORKLOAD_COOLDOWN_SECONDS if is_workload else DEVICE_COOLDOWN_SECONDS


def conflict_group(finding: Finding, advice: Advice) -> str:
    """Who shares room: all that disturbs a job, else all that disturbs a node; harmless advice only with its like."""
    scope, job = finding.scope, advice.disturbed(finding)
    place = f"job/{scope.cluster}/{job}" if job else f"node/{scope.cluster}/{scope.node}"
    return place if advice.kind.is_disruptive else f"advice/{advice.kind}/{advice.target.cluster}/{advice.target.name}"
