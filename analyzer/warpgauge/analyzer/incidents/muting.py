"""What people said about findings: silences by scope and time, dismissals that raise the bar for a cause at a place.

A muted finding is computed and shown as what it is, with who muted it; it is neither recommended upon nor notified.
"""

from __future__ import annotations

from dataclasses import dataclass
from fnmatch import fnmatchcase
from typing import Final, Protocol

from warpgauge.core.finding import Finding, FindingKind, Mute, MutedBy, Severity

__all__ = ["NOTHING_MUTED", "Dismissal", "Muting", "Mutings", "Silence", "dismissal_of", "excess_of"]

RAISED_BAR: Final = 1.5  # times what was dismissed must be exceeded to be heard again
DISMISSED_SECONDS: Final = 30 * 86_400.0  # a dismissal is forgotten after so long: hardware ages

Place = tuple[str | None, ...]


class Muting(Protocol):
    """Whatever can say why a finding is muted."""

    def of(self, finding: Finding, now: float) -> Mute | None:
        """The reason, None if it is to be heard."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Silence:
    """No findings of a scope for a time. A field that is None matches all; `*` and `?` stand for any characters."""

    id: str
    start: float  # seconds since the epoch
    until: float
    reason: str
    by: str  # who said so, as they said it
    kind: FindingKind | None = None
    cluster: str | None = None
    node: str | None = None
    uuid: str | None = None
    job_id: str | None = None

    def covers(self, finding: Finding, now: float) -> bool:
        """Whether it is in force and the finding is in its scope."""
        scope = finding.scope
        pairs = (
            (self.cluster, scope.cluster),
            (self.node, scope.node),
            (self.uuid, scope.uuid),
            (self.job_id, scope.job_id),
        )
        is_kind = self.kind in {None, finding.kind}
        return self.start <= now < self.until and is_kind and all(_matches(*pair) for pair in pairs)


def _matches(pattern: str | None, name: str | None) -> bool:
    return pattern is None or (name is not None and fnmatchcase(name, pattern))


@dataclass(frozen=True, slots=True, kw_only=True)
class Dismissal:
    """A cause at a place counts only from `bar` on: so many times its threshold (or baseline to threshold)."""

    id: str  # of the finding that was dismissed
    kind: FindingKind
    severity: Severity
    until: float  # seconds since the epoch
    reason: str
    by: str
    bar: float | None = None  # None where the finding has no number to compare
    cluster: str | None = None
    node: str | None = None
    uuid: str | None = None
    instance_id: str | None = None
    job_id: str | None = None

    @property
    def place(self) -> Place:
        """Where it holds."""
        return (self.cluster, self.node, self.uuid, self.instance_id, self.job_id)

    def covers(self, finding: Finding, now: float) -> bool:
        """Whether the finding is the same cause at the same place and no worse than the bar."""
        if now >= self.until or finding.kind is not self.kind or _place_of(finding) != self.place:
            return False
        excess = excess_of(finding)
        is_below = self.bar is None or excess is None or excess < self.bar
        return is_below and finding.severity.rank <= self.severity.rank


@dataclass(frozen=True, slots=True, kw_only=True)
class Mutings:
    """All that stands; replaced as a whole."""

    silences: tuple[Silence, ...] = ()
    dismissals: tuple[Dismissal, ...] = ()

    def of(self, finding: Finding, now: float) -> Mute | None:
        """The silence or dismissal that covers a finding."""
        for silence in self.silences:
            if silence.covers(finding, now):
                return Mute(by=MutedBy.SILENCE, id=silence.id, reason=silence.reason, until=silence.until)
        for dismissal in self.dismissals:
            if dismissal.covers(finding, now):
                return Mute(by=MutedBy.DISMISSAL, id=dismissal.id, reason=dismissal.reason, until=dismissal.until)
        return None


NOTHING_MUTED: Final = Mutings()


def dismissal_of(finding: Finding, *, reason: str, by: str, now: float) -> Dismissal:
    """What dismissing a finding means from now on."""
    excess = excess_of(finding)
    cluster, node, uuid, instance_id, job_id = _place_of(finding)
    return Dismissal(
        id=finding.id,
        kind=finding.kind,
        severity=finding.severity,
        until=now + DISMISSED_SECONDS,
        reason=reason,
        by=by,
        bar=None if excess is None else round(RAISED_BAR * excess, 4),
        cluster=cluster,
        node=node,
        uuid=uuid,
        instance_id=instance_id,
        job_id=job_id,
    )


def excess_of(finding: Finding) -> float | None:
    """How far its leading number is beyond its threshold: 1 at the threshold, 2 at twice the way from its baseline.

    None without a threshold. Without a baseline it is the ratio of number and threshold, whichever way it counts.
    """
    row = next((row for row in finding.evidence if row.threshold is not None), None)
    if row is None or row.threshold is None:
        return None
    if row.baseline is not None and row.threshold != row.baseline:
        return abs(row.value - row.baseline) / abs(row.threshold - row.baseline)
    if not row.value or not row.threshold:
        return None
    ratio = abs(row.value / row.threshold)
    return max(ratio, 1.0 / ratio)


def _place_of(finding: Finding) -> Place:
    """The device, else the job, else the node: ranks and jobs come and go on a device, the device stays."""
    scope = finding.scope
    if scope.uuid:
        return (scope.cluster, scope.node, scope.uuid, scope.instance_id, None)
    if scope.job_id:
        return (scope.cluster, None, None, None, scope.job_id)
    return (scope.cluster, scope.node, None, None, None)
