"""From open findings to recommendations, within rails: a pure step from one ledger to the next.

The rails: mode observe recommends nothing; at most one open recommendation per conflict group; a cool-down per group;
at most 5 % of a cluster's nodes with an open disruptive recommendation; nothing disruptive on weak or self-reported
evidence, while telemetry is missing, where the neighbors of a rack or switch show the same, or when so many nodes look
bad that the telemetry is the likelier culprit; every document expires.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.recommend.advice import Advice, advice_for, is_self_reported
from warpgauge.core.finding import Finding, FindingKind, Incident, Severity
from warpgauge.core.links import runbook_path
from warpgauge.core.recommendation import (
    Approval,
    Cause,
    ExpectedGain,
    Precondition,
    Producer,
    Recommendation,
    TargetType,
    Text,
    idempotency_key,
    recommendation_id,
)
from warpgauge.core.version import VERSION

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from warpgauge.analyzer.recommend.topology import Topology

__all__ = ["Ledger", "Plan", "Withheld", "recommend"]

PRODUCER: Final = Producer(name="warpgauge-analyzer", version=VERSION)
DISRUPTIVE_LIFETIME_SECONDS: Final = 3600.0
LIFETIME_SECONDS: Final = 86_400.0
WORKLOAD_COOLDOWN_SECONDS: Final = 6 * 3600.0
DEVICE_COOLDOWN_SECONDS: Final = 3600.0
DISRUPTIVE_SHARE: Final = 0.05  # of a cluster's nodes
LEAST_CONFIDENCE: Final = 0.7  # to disturb anyone
BREAKER_SHARE: Final = 0.5  # of a cluster's nodes with sick hardware at once
BREAKER_NODES: Final = 4
GAIN_HORIZON_SECONDS: Final = 3600.0
_KEY_GRID_SECONDS: Final = 600.0  # an onset estimated anew after a restart still gives the same key

_SICK: Final = frozenset(
    {
        FindingKind.DEVICE_LOST,
        FindingKind.DEVICE_HUNG,
        FindingKind.THERMAL_LIMITED,
        FindingKind.STRAGGLER,
        FindingKind.TELEMETRY_GAP,
    }
)


@dataclass(frozen=True, slots=True, kw_only=True)
class Ledger:
    """What was recommended: `open` by finding id, and when each conflict group last got something."""

    open: Mapping[str, Recommendation] = field(default_factory=dict)
    issued: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True, kw_only=True)
class Withheld:
    """Advice that a rail stopped, and which."""

    finding_id: str
    kind: str
    reason: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Plan:
    """Outcome of a step: `fresh` are to be sent, `ledger.open` are all that stand."""

    fresh: tuple[Recommendation, ...]
    withheld: tuple[Withheld, ...]
    ledger: Ledger


def recommend(  # noqa: PLR0913 - a pure function is handed all it depends on
    findings: Sequence[Finding],
    incidents: Sequence[Incident],
    topology: Topology,
    ledger: Ledger,
    *,
    now: float,
    mode: str = "propose",
) -> Plan:
    """Carry the ledger on: drop what ended or expired, issue what is new and allowed.

    `findings` come ranked, and the first of rivals for the same room gets it. What is muted is not recommended on, nor
    is a consequence: of an incident whose root cause holds only that cause is.
    """
    wanted = {
        finding.id: finding for finding in findings if finding.severity is not Severity.INFO and finding.muted is None
    }
    holding = {finding.id for finding in findings}
    standing = {
        id_: one for id_, one in ledger.open.items() if id_ in wanted and now < one.expires_at and mode != "observe"
    }
    shared = {id_ for incident in incidents if incident.place is not None for id_ in incident.findings}
    rails = _Rails(
        findings=findings,
        topology=topology,
        open=standing,
        issued=dict(ledger.issued),
        shared=frozenset(shared),
        now=now,
        mode=mode,
    )
    fresh: list[Recommendation] = []
    withheld: list[Withheld] = []
    for finding in wanted.values():
        if finding.id in standing or _is_consequence(finding, incidents, holding):
            continue
        advice = advice_for(finding, topology)
        if advice is None:
            continue
        reason = rails.objection(finding, advice)
        if reason is not None:
            withheld.append(Withheld(finding_id=finding.id, kind=str(advice.kind), reason=reason))
            continue
        made = _recommendation(finding, advice, incidents, topology, now=now, mode=mode)
        fresh.append(made)
        rails.open[finding.id] = made
        rails.issued[made.conflict_group] = now
    oldest = now - WORKLOAD_COOLDOWN_SECONDS
    issued = {group: at for group, at in rails.issued.items() if at > oldest}
    return Plan(fresh=tuple(fresh), withheld=tuple(withheld), ledger=Ledger(open=dict(rails.open), issued=issued))


def _is_consequence(finding: Finding, incidents: Sequence[Incident], holding: Collection[str]) -> bool:
    return any(
        finding.id in incident.findings and incident.root_cause != finding.id and incident.root_cause in holding
        for incident in incidents
    )


@dataclass(slots=True, kw_only=True)
class _Rails:
    """The limits of one step; `open` and `issued` grow as the step issues."""

    findings: Sequence[Finding]
    topology: Topology
    open: dict[str, Recommendation]
    issued: dict[str, float]
    shared: frozenset[str]  # findings that several nodes of one rack, switch or power domain show
    now: float
    mode: str

    def objection(self, finding: Finding, advice: Advice) -> str | None:
        """Why this advice must not be given now, None if it may."""
        if self.mode == "observe":
            return "mode is observe"
        group = _conflict_group(finding, advice)
        if any(one.conflict_group == group for one in self.open.values()):
            return f"another recommendation for {group} is open"
        waited = self.now - self.issued.get(group, float("-inf"))
        if waited < _cooldown_seconds(advice):
            return f"{group} got a recommendation {waited:.0f} s ago"
        return self._objection_to_disturbing(finding) if advice.kind.is_disruptive else None

    def _objection_to_disturbing(self, finding: Finding) -> str | None:
        cluster = finding.scope.cluster or ""
        nodes = self.topology.nodes.get(cluster, 0)
        cap = max(1, int(DISRUPTIVE_SHARE * nodes))
        is_open = [one for one in self.open.values() if one.kind.is_disruptive and one.target[0].cluster == cluster]
        sick = {one.scope.node for one in self.findings if one.kind in _SICK and one.scope.cluster == cluster} - {None}
        checks = (
            (finding.confidence < LEAST_CONFIDENCE, f"confidence is below {LEAST_CONFIDENCE}"),
            (is_self_reported(finding), "it rests on self-reported data alone"),
            (self._has_gap(finding), "telemetry is missing"),
            (finding.id in self.shared, "its neighbors at the same place show it too: look at what they share"),
            (
                nodes >= BREAKER_NODES and len(sick) > BREAKER_SHARE * nodes,
                f"{len(sick)} of {nodes} nodes look bad at once: suspect the telemetry",
            ),
            (len(is_open) >= cap, f"{len(is_open)} disruptive open already, of at most {cap} for {nodes} nodes"),
        )
        return next((reason for objects, reason in checks if objects), None)

    def _has_gap(self, finding: Finding) -> bool:
        return any(
            gap.scope.cluster == finding.scope.cluster and gap.scope.node in {None, finding.scope.node}
            for gap in self.findings
            if gap.kind is FindingKind.TELEMETRY_GAP
        )


def _cooldown_seconds(advice: Advice) -> float:
    is_workload = advice.target.type is TargetType.WORKLOAD or advice.kind.is_disruptive
    return WORKLOAD_COOLDOWN_SECONDS if is_workload else DEVICE_COOLDOWN_SECONDS


def _conflict_group(finding: Finding, advice: Advice) -> str:
    """Who shares room: all that disturbs a job, else all that disturbs a node; harmless advice only with its like."""
    scope = finding.scope
    place = f"job/{scope.cluster}/{scope.job_id}" if scope.job_id else f"node/{scope.cluster}/{scope.node}"
    return place if advice.kind.is_disruptive else f"advice/{advice.kind}/{advice.target.cluster}/{advice.target.name}"


def _recommendation(  # noqa: PLR0913 - as `recommend`
    finding: Finding, advice: Advice, incidents: Sequence[Incident], topology: Topology, *, now: float, mode: str
) -> Recommendation:
    lifetime = DISRUPTIVE_LIFETIME_SECONDS if advice.kind.is_disruptive else LIFETIME_SECONDS
    target = (advice.target,)
    key = idempotency_key(advice.kind, target, finding.id, _window_start(finding, now, lifetime))
    incident = next((one.id for one in incidents if finding.id in one.findings), None)
    return Recommendation(
        id=recommendation_id(key),
        idempotency_key=key,
        producer=PRODUCER,
        kind=advice.kind,
        mode=mode,
        target=target,
        cause=Cause(
            finding_kind=finding.kind,
            detector=str(finding.kind),
            severity=finding.severity,
            finding_id=finding.id,
            incident_id=incident,
            first_seen=finding.since,
            last_seen=now,
        ),
        evidence=finding.evidence,
        confidence=finding.confidence,
        reversible=advice.reversible,
        undo=advice.undo,
        preconditions=(Precondition(check="findingOpen", expected=finding.id), *advice.preconditions),
        created=now,
        not_before=now,
        expires_at=now + lifetime,
        conflict_group=_conflict_group(finding, advice),
        approval=Approval(required=advice.kind.is_disruptive),
        text=Text(
            summary=advice.summary,
            detail=f"{finding.summary} {finding.remedy}",
            runbook=runbook_path(str(finding.kind)),
        ),
        expected_gain=_gain(finding, advice, topology, now),
        simulated=finding.simulated,
    )


def _window_start(finding: Finding, now: float, lifetime: float) -> float:
    anchor = finding.since // _KEY_GRID_SECONDS * _KEY_GRID_SECONDS
    return anchor + (now - anchor) // lifetime * lifetime


def _gain(finding: Finding, advice: Advice, topology: Topology, now: float) -> ExpectedGain | None:
    """What the condition cost per hour so far, which an hour without it would win; absent unless that was computed."""
    impact = finding.impact
    seconds = min(now - finding.since, topology.window_seconds)
    if not advice.removes_cause or impact is None or impact.lost_device_seconds is None or seconds <= 0:
        return None
    return ExpectedGain(
        metric="lost_device_seconds",
        unit="seconds",
        p50=round(impact.lost_device_seconds / seconds * GAIN_HORIZON_SECONDS, 1),
        method=f"as in the last {seconds / 60:.0f} min: {impact.method}",
        horizon_seconds=GAIN_HORIZON_SECONDS,
    )
