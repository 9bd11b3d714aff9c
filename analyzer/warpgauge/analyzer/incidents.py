"""Findings that share place and time are one incident: with one root cause, or honestly without.

Place goes from device over node to job; time is the onset, within three minutes. A device that falls off the bus makes
its job hang and its peers wait: that is one incident whose root is the device.
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.wording import count
from warpgauge.core.finding import Finding, FindingKind, Incident, Scope, Severity, stable_id

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from warpgauge.analyzer.frame import Frame

__all__ = ["join"]

TOGETHER_SECONDS: Final = 180.0  # NVSentinel's bursts end with a gap as long

CAUSES_FIRST: Final = (
    FindingKind.DEVICE_LOST,
    FindingKind.DEVICE_HUNG,
    FindingKind.XID,
    FindingKind.ECC_DEGRADATION,
    FindingKind.ROW_REMAP,
    FindingKind.LINK_ERRORS,
    FindingKind.HARDWARE_THROTTLE,
    FindingKind.THERMAL_LIMITED,
    FindingKind.PCIE_DOWNTRAINED,
    FindingKind.MEMORY_LEAK,
    FindingKind.MEMORY_PRESSURE,
    FindingKind.HOST_SATURATED,
    FindingKind.HANG,
    FindingKind.STRAGGLER,
    FindingKind.INPUT_BOUND,
    FindingKind.HOST_BOUND,
    FindingKind.NETWORK_BOUND,
    FindingKind.INTERCONNECT_BOUND,
    FindingKind.MEMORY_CAPACITY_BOUND,
    FindingKind.LAUNCH_BOUND,
    FindingKind.POWER_LIMITED,
    FindingKind.TELEMETRY_GAP,
    FindingKind.IDLE_ALLOCATED,
)
"""What explains what: a kind may be the cause of any that stands behind it."""

PlaceKey = tuple[str | None, ...]


def join(findings: Sequence[Finding], frame: Frame) -> tuple[Incident, ...]:
    """All incidents, in the order of their first finding in `findings`."""
    parents = list(range(len(findings)))
    for members in _places(findings, frame).values():
        in_time = sorted(members, key=lambda at: findings[at].since)
        for earlier, later in pairwise(in_time):
            if findings[later].since - findings[earlier].since <= TOGETHER_SECONDS:
                parents[_root(parents, later)] = _root(parents, earlier)
    groups: dict[int, list[Finding]] = {}
    for at, finding in enumerate(findings):
        groups.setdefault(_root(parents, at), []).append(finding)
    return tuple(_incident(group) for group in groups.values())


def _places(findings: Sequence[Finding], frame: Frame) -> dict[PlaceKey, list[int]]:
    places: dict[PlaceKey, list[int]] = {}
    for at, finding in enumerate(findings):
        for key in _keys(finding.scope, frame):
            places.setdefault(key, []).append(at)
    return places


def _keys(scope: Scope, frame: Frame) -> Iterator[PlaceKey]:
    """The places that a finding touches; a job without a node of its own touches the hosts of its devices."""
    if scope.uuid:
        yield ("device", scope.cluster, scope.uuid)
    if scope.node:
        yield ("node", scope.cluster, scope.node)
    if scope.job_id:
        yield ("job", scope.cluster, scope.job_id)
    if scope.node and not scope.uuid and not scope.job_id:
        yield ("host", scope.cluster, scope.node)
    job = frame.jobs.get((scope.cluster or "", scope.job_id or ""))
    if job is not None and not scope.node:
        entities = frame.devices.entities
        for node in {entities[row].node for row in job.devices}:
            yield ("host", scope.cluster, node)


def _root(parents: list[int], at: int) -> int:
    while parents[at] != at:
        parents[at] = parents[parents[at]]
        at = parents[at]
    return at


def _incident(findings: Sequence[Finding]) -> Incident:
    first = min(findings, key=lambda finding: (finding.since, finding.id)) if len(findings) > 1 else findings[0]
    cause = _cause(findings)
    return Incident(
        id=stable_id("incident", first.id),
        severity=max((finding.severity for finding in findings), key=lambda severity: severity.rank),
        since=first.since,
        findings=tuple(finding.id for finding in findings),
        summary=_summary(findings, cause),
        scope=_common(findings),
        root_cause=cause.id if cause else None,
        simulated=any(finding.simulated for finding in findings),
    )


def _cause(findings: Sequence[Finding]) -> Finding | None:
    """The one finding that can explain the others, None if several of a kind compete or the kind explains nothing.

    Information explains no warning: an application's XID is not why its rank is slow.
    """
    if len(findings) == 1:
        return findings[0]
    urgent = [finding for finding in findings if finding.severity is not Severity.INFO]
    known = [finding for finding in urgent or findings if finding.kind in CAUSES_FIRST]
    if not known:
        return None
    order = min(CAUSES_FIRST.index(finding.kind) for finding in known)
    leading = [finding for finding in known if finding.kind is CAUSES_FIRST[order]]
    return leading[0] if len(leading) == 1 else None


def _summary(findings: Sequence[Finding], cause: Finding | None) -> str:
    others = f"{count(len(findings) - 1, 'finding')} more at the same place and time"
    if cause is None:
        return f"{findings[0].summary} {others}; cause unattributed."
    return f"{cause.summary} {others}." if len(findings) > 1 else cause.summary


def _common(findings: Sequence[Finding]) -> Scope:
    """What all findings' scopes agree on."""
    first = findings[0].scope
    if len(findings) == 1:
        return first
    return Scope(
        **{
            name: getattr(first, name)
            for name in Scope.__slots__
            if all(getattr(finding.scope, name) == getattr(first, name) for finding in findings)
        }
    )
