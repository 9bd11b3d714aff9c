"""From open findings to recommendations, within rails: a pure step from one ledger to the next.

Every document expires, and is taken back when its finding ends before that. The limits are in `rails`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.recommend.advice import Advice, advice_for
from warpgauge.analyzer.recommend.ledger import Ledger, Plan, Withheld
from warpgauge.analyzer.recommend.rails import WORKLOAD_COOLDOWN_SECONDS, Rails, conflict_group
from warpgauge.analyzer.recommend.site_rules import SiteRules
from warpgauge.core.finding import Finding, Incident, Severity
from warpgauge.core.links import runbook_path
from warpgauge.core.recommendation import (
    Approval,
    Cause,
    Disruption,
    ExpectedGain,
    Precondition,
    Producer,
    Recommendation,
    RecommendationKind,
    Text,
    idempotency_key,
    recommendation_id,
)
from warpgauge.core.version import VERSION
from warpgauge.core.withdrawal import WithdrawalReason, withdrawal_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from warpgauge.analyzer.recommend.topology import Topology

__all__ = ["Ledger", "Limits", "Plan", "Withheld", "recommend"]

PRODUCER: Final = Producer(name="warpgauge-analyzer", version=VERSION)
DISRUPTIVE_LIFETIME_SECONDS: Final = 3600.0
LIFETIME_SECONDS: Final = 86_400.0
GAIN_HORIZON_SECONDS: Final = 3600.0
_KEY_GRID_SECONDS: Final = 600.0  # an onset estimated anew after a restart still gives the same key


@dataclass(frozen=True, slots=True, kw_only=True)
class Limits:
    """What a step must keep to beside the findings: the site's word, people's decisions, what was learned."""

    rules: SiteRules = field(default_factory=SiteRules)
    hold: str | None = None  # why nothing new may be issued at all: paused, another analyzer has the lease
    rejected: frozenset[str] = frozenset()  # recommendations that a person refused
    acted_on: frozenset[str] = frozenset()  # that an executor executes or has executed: not to be taken back any more
    verdicts: Mapping[tuple[str, str], int] = field(default_factory=dict)  # (detector, verdict) -> times in a month


_NO_LIMITS: Final = Limits()


def recommend(  # noqa: PLR0913 - a pure function is handed all it depends on
    findings: Sequence[Finding],
    incidents: Sequence[Incident],
    topology: Topology,
    ledger: Ledger,
    *,
    now: float,
    mode: str = "propose",
    limits: Limits = _NO_LIMITS,
) -> Plan:
    """Carry the ledger on: take back what ended, expired or was rejected, issue what is new and allowed.

    `findings` come ranked, and the first of rivals for the same room gets it. A consequence is not recommended on:
    of an incident with a root cause only that cause is.
    """
    wanted = {finding.id: finding for finding in findings if finding.severity is not Severity.INFO}
    ends = {id_: _end(id_, one, wanted, limits, now=now, mode=mode) for id_, one in ledger.open.items()}
    standing = {id_: one for id_, one in ledger.open.items() if ends[id_] is None}
    rails = Rails(
        findings=findings,
        topology=topology,
        open=standing,
        issued=dict(ledger.issued),
        now=now,
        mode=mode,
        rules=limits.rules,
        hold=limits.hold,
        verdicts=limits.verdicts,
    )
    fresh: list[Recommendation] = []
    withheld: list[Withheld] = []
    for finding in wanted.values():
        if finding.id in standing or _is_consequence(finding, incidents):
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
    return Plan(
        fresh=tuple(fresh),
        withheld=tuple(withheld),
        ledger=Ledger(open=dict(rails.open), issued=issued),
        withdrawn=tuple(
            withdrawal_of(ledger.open[id_], reason, now)
            for id_, reason in ends.items()
            if reason is not None and ledger.open[id_].id not in limits.acted_on
        ),
    )


def _end(  # noqa: PLR0913 - as `recommend`
    finding_id: str,
    recommendation: Recommendation,
    wanted: Mapping[str, Finding],
    limits: Limits,
    *,
    now: float,
    mode: str,
) -> WithdrawalReason | None:
    """Why a recommendation stands no more, None if it does."""
    checks = (
        (recommendation.id in limits.rejected, WithdrawalReason.REJECTED),
        (not _has_cause(finding_id, recommendation, wanted, limits), WithdrawalReason.FINDING_ENDED),
        (now >= recommendation.expires_at, WithdrawalReason.EXPIRED),
        (mode == "observe", WithdrawalReason.MODE_CHANGED),
    )
    return next((reason for holds, reason in checks if holds), None)


def _has_cause(finding_id: str, recommendation: Recommendation, wanted: Mapping[str, Finding], limits: Limits) -> bool:
    """An undo rests on what was done, until that is undone; everything else on its finding."""
    if recommendation.kind is RecommendationKind.UNDO:
        return recommendation.id not in limits.acted_on
    return finding_id in wanted


def _is_consequence(finding: Finding, incidents: Sequence[Incident]) -> bool:
    return any(
        finding.id in incident.findings and incident.root_cause not in {None, finding.id} for incident in incidents
    )


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
        conflict_group=conflict_group(finding, advice),
        approval=Approval(required=advice.kind.is_disruptive, policy=mode),
        disruption=_disruption(finding, advice, topology),
        text=Text(
            summary=advice.summary,
            detail=f"{finding.summary} {finding.remedy}",
            runbook=runbook_path(str(finding.kind)),
        ),
        expected_gain=_gain(finding, advice, topology, now),
        simulated=finding.simulated,
    )


def _disruption(finding: Finding, advice: Advice, topology: Topology) -> Disruption | None:
    """Whom it disturbs, as far as the frame tells."""
    job = finding.scope.job_id
    if not advice.kind.is_disruptive or not job:
        return None
    nodes = topology.job_nodes.get((finding.scope.cluster or "", job))
    return Disruption(jobs_affected=(job,), gang=len(nodes) > 1 if nodes else None)


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
