"""From open findings to recommendations, within rails: a pure step from one ledger to the next.

Every document expires, and is taken back when its finding ends before that. The limits are in `rails`.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.recommend.advice import Advice, advice_for
from warpgauge.analyzer.recommend.ledger import Ledger, Plan, Withheld
from warpgauge.analyzer.recommend.rails import (
    WORKLOAD_COOLDOWN_SECONDS,
    Rails,
    conflict_group,
    job_disturbed_by,
    left_alone,
)
from warpgauge.analyzer.recommend.site_rules import SiteRules
from warpgauge.core.finding import Finding, FindingKind, Incident, Severity
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
    from collections.abc import Collection, Iterator, Mapping, Sequence

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

    `findings` come ranked, and the first of rivals for the same room gets it. What is muted is not recommended on, nor
    is a consequence: of an incident whose root cause holds only that cause is.
    """
    wanted = {one.id: one for one in findings if _is_worth_advice(one) and one.muted is None}
    step = _Step(
        findings=findings, wanted=wanted, incidents=incidents, topology=topology, now=now, mode=mode, limits=limits
    )
    ends = {key: step.end(one) for key, one in ledger.open.items()}
    rails = step.rails({key: one for key, one in ledger.open.items() if ends[key] is None}, dict(ledger.issued))
    fresh, withheld = step.issue(rails)
    oldest = now - WORKLOAD_COOLDOWN_SECONDS
    return Plan(
        fresh=fresh,
        withheld=withheld,
        ledger=Ledger(open=dict(rails.open), issued={group: at for group, at in rails.issued.items() if at > oldest}),
        withdrawn=tuple(
            withdrawal_of(ledger.open[key], reason, now)
            for key, reason in ends.items()
            if reason is not None and ledger.open[key].id not in limits.acted_on
        ),
    )


@dataclass(frozen=True, slots=True, kw_only=True)
class _Step:
    """What one step depends on beside the ledger."""

    findings: Sequence[Finding]
    wanted: Mapping[str, Finding]  # that something may be recommended on, by id
    incidents: Sequence[Incident]
    topology: Topology
    now: float
    mode: str
    limits: Limits

    def end(self, recommendation: Recommendation) -> WithdrawalReason | None:
        """Why a recommendation stands no more, None if it does."""
        checks = (
            (recommendation.id in self.limits.rejected, WithdrawalReason.REJECTED),
            (not self._has_cause(recommendation), WithdrawalReason.FINDING_ENDED),
            (self._is_to_be_left_alone(recommendation), WithdrawalReason.OPTED_OUT),
            (self.now >= recommendation.expires_at, WithdrawalReason.EXPIRED),
            (self.mode == "observe", WithdrawalReason.MODE_CHANGED),
        )
        return next((reason for holds, reason in checks if holds), None)

    def _has_cause(self, recommendation: Recommendation) -> bool:
        """An undo rests on what was done, until that is undone; everything else on its finding."""
        if recommendation.kind is RecommendationKind.UNDO:
            return recommendation.id not in self.limits.acted_on
        return recommendation.cause.finding_id in self.wanted

    def _is_to_be_left_alone(self, recommendation: Recommendation) -> bool:
        """Whether somebody opted out since it was issued of what it would disturb."""
        finding = self.wanted.get(recommendation.cause.finding_id)
        is_undo = recommendation.kind is RecommendationKind.UNDO  # which gives back
        if finding is None or is_undo or not recommendation.kind.is_disruptive:
            return False
        told = left_alone(finding, job_disturbed_by(recommendation), self.topology, self.limits.rules)
        return next(told, None) is not None

    def rails(self, standing: dict[str, Recommendation], issued: dict[str, float]) -> Rails:
        """The limits, beside what stands and what was issued lately."""
        shared = {id_ for incident in self.incidents if incident.place is not None for id_ in incident.findings}
        return Rails(
            findings=self.findings,
            topology=self.topology,
            open=standing,
            issued=issued,
            shared=frozenset(shared),
            now=self.now,
            mode=self.mode,
            rules=self.limits.rules,
            hold=self.limits.hold,
            verdicts=self.limits.verdicts,
        )

    def issue(self, rails: Rails) -> tuple[tuple[Recommendation, ...], tuple[Withheld, ...]]:
        """What is new and allowed, which goes into the rails' books, and what they held back."""
        fresh: list[Recommendation] = []
        withheld: list[Withheld] = []
        for key, finding, advice in self._advice(frozenset(rails.open)):
            reason = rails.objection(finding, advice)
            if reason is not None:
                withheld.append(Withheld(finding_id=finding.id, kind=str(advice.kind), reason=reason))
                continue
            made = _recommendation(finding, advice, self.incidents, self.topology, now=self.now, mode=self.mode)
            fresh.append(made)
            rails.open[key] = made
            rails.issued[made.conflict_group] = self.now
        return tuple(fresh), tuple(withheld)

    def _advice(self, standing: frozenset[str]) -> Iterator[tuple[str, Finding, Advice]]:
        """What could be advised beside what stands; the first advice of a finding goes under the finding's id."""
        consequences = _consequences(self.incidents, {finding.id for finding in self.findings})
        for finding in self.wanted.values():
            if finding.id in consequences:
                continue
            for number, advice in enumerate(advice_for(finding, self.topology)):
                key = f"{finding.id}/{advice.kind}" if number else finding.id
                if key not in standing:
                    yield key, finding, advice


def _is_worth_advice(finding: Finding) -> bool:
    """An info is told and no more, unless the advice is all that it is about."""
    return finding.severity is not Severity.INFO or finding.kind is FindingKind.OVERSIZED


def _consequences(incidents: Sequence[Incident], holding: Collection[str]) -> frozenset[str]:
    """Ids of findings that follow from one that holds."""
    caused = (one for one in incidents if one.root_cause in holding)
    return frozenset(id_ for one in caused for id_ in one.findings if id_ != one.root_cause)


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
        helps=(advice.helps,) if advice.helps else None,
    )


def _disruption(finding: Finding, advice: Advice, topology: Topology) -> Disruption | None:
    """Whom it disturbs, as far as the frame tells."""
    job = advice.disturbed(finding)
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
