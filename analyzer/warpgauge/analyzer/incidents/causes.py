"""Which of the findings of an incident explains the others, if one does.

A cause stands before its effects in `CAUSES_FIRST`, began no later, and is at a place that they depend on: the same
device, the node under them, or the job that all of them belong to. It is named only if it explains four fifths of the
others (traceopt-ai/traceml: "a cause is named only if it explains >= 80 % of the wait") and no other of its kind does
as well; else the incident is honestly unattributed.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.incidents.together import TOGETHER_SECONDS
from warpgauge.core.finding import Finding, FindingKind, MutedBy, Scope, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.analyzer.frame import Frame

__all__ = ["CAUSES_FIRST", "cause_of"]

EXPLAINED_SHARE: Final = 0.8

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
    FindingKind.NOISY_NEIGHBOR,
    FindingKind.HOST_SATURATED,
    FindingKind.HANG,
    FindingKind.STRAGGLER,
    FindingKind.WORKLOAD_IMBALANCE,
    FindingKind.INPUT_BOUND,
    FindingKind.HOST_BOUND,
    FindingKind.NETWORK_BOUND,
    FindingKind.INTERCONNECT_BOUND,
    FindingKind.MEMORY_CAPACITY_BOUND,
    FindingKind.LAUNCH_BOUND,
    FindingKind.POWER_LIMITED,
    FindingKind.KV_CACHE_BOUND,
    FindingKind.QUEUE_BOUND,
    FindingKind.TELEMETRY_GAP,
    FindingKind.IDLE_ALLOCATED,
)
"""What explains what: a kind may be the cause of any that stands behind it, and of any that does not stand here."""

_ORDER: Final = {kind: at for at, kind in enumerate(CAUSES_FIRST)}


def cause_of(findings: Sequence[Finding], frame: Frame) -> Finding | None:
    """The one finding that explains the others, None if none does or several compete.

    Information explains no warning: an application's XID is not why its rank is slow.
    """
    if len(findings) == 1:
        return findings[0]
    breaker = next((one.muted.id for one in findings if one.muted and one.muted.by is MutedBy.BREAKER), None)
    if breaker is not None:
        return next((finding for finding in findings if finding.id == breaker), None)
    urgent = [finding for finding in findings if finding.severity is not Severity.INFO] or list(findings)
    known = sorted((finding for finding in urgent if finding.kind in _ORDER), key=lambda one: _ORDER[one.kind])
    leading = [finding for finding in known if _explains_most(finding, urgent, frame)]
    is_alone = len(leading) == 1 or (len(leading) > 1 and leading[0].kind is not leading[1].kind)
    return leading[0] if leading and is_alone else None


def _explains_most(cause: Finding, findings: Sequence[Finding], frame: Frame) -> bool:
    others = [finding for finding in findings if finding.id != cause.id]
    return sum(_explains(cause, other, frame) for other in others) >= EXPLAINED_SHARE * len(others)


def _explains(cause: Finding, effect: Finding, frame: Frame) -> bool:
    is_before = _ORDER[cause.kind] < _ORDER.get(effect.kind, len(_ORDER))
    is_timely = cause.since <= effect.since + TOGETHER_SECONDS  # onsets are estimates
    return is_before and is_timely and _bears(cause.scope, effect.scope, frame)


def _bears(cause: Scope, effect: Scope, frame: Frame) -> bool:
    """Whether what happens at one place is felt at the other."""
    if cause.cluster != effect.cluster:
        return False
    if cause.uuid is not None and cause.uuid == effect.uuid:
        return True
    if cause.job_id is not None and cause.job_id == effect.job_id:
        return True
    job = frame.jobs.get((effect.cluster or "", effect.job_id or ""))
    entities = frame.devices.entities
    if cause.uuid is not None:
        return job is not None and any(entities[row].uuid == cause.uuid for row in job.devices)
    if cause.node is None:
        return False
    nodes = {entities[row].node for row in job.devices} if job is not None else set()
    return cause.node in {effect.node, *nodes}
