"""Everything that is known about one job: its class and why, its phases and devices, its findings, what is missing."""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from warpgauge.analyzer.bottlenecks.bound import confidence_of
from warpgauge.analyzer.bottlenecks.classes import WINDOW_SECONDS, Verdict, judge
from warpgauge.analyzer.bottlenecks.reasons import reason_of
from warpgauge.analyzer.detection.places import is_simulated
from warpgauge.analyzer.detection.wording import device_name
from warpgauge.core.catalog import training
from warpgauge.core.errors import InputError
from warpgauge.core.finding import FindingKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.analyzer.bottlenecks.reason import Reason
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.entities import Job
    from warpgauge.core.finding import Finding

__all__ = ["EXPLANATION_SCHEMA", "DeviceLine", "Explanation", "explain"]

EXPLANATION_SCHEMA: Final = "warpgauge.explanation/v1"
_LEVELS: Final = ("engine", "compute", "pipe", "bandwidth", "fill", "clock")
_PHASES: Final = ("input", "compute", "communication", "other")
_NAMED_JOBS: Final = 20


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceLine:
    """What one device does; `levels` are the shares that are measured, 0-1."""

    name: str
    uuid: str
    kind: FindingKind
    agreement: float
    levels: dict[str, float]


@dataclass(frozen=True, slots=True, kw_only=True)
class Explanation:
    """One job, explained."""

    job: Job
    kind: FindingKind
    confidence: float | None  # None where nothing was decided
    reason: Reason
    phases: dict[str, float]  # shares of a step
    step_seconds: float | None
    untrusted: tuple[str, ...]  # phases that the host timed on an accelerator
    devices: tuple[DeviceLine, ...]
    findings: tuple[Finding, ...]  # about the job, its devices and its nodes
    missing: tuple[str, ...]
    simulated: bool

    def to_json(self) -> dict[str, Any]:
        """The explanation as a JSON object; what is unknown is absent."""
        known = {"confidence": self.confidence, "step_seconds": self.step_seconds, "user": self.job.user or None}
        return {
            "type": "explanation",
            "schema": EXPLANATION_SCHEMA,
            "cluster": self.job.cluster,
            "job_id": self.job.job_id,
            "scheduler": self.job.scheduler,
            "kind": self.kind.value,
            **{name: value for name, value in known.items() if value is not None},
            "summary": f"Job {self.job.job_id} {self.reason.what}.",
            "remedy": self.reason.remedy,
            "evidence": [_row(row) for row in self.reason.evidence],
            "window_seconds": WINDOW_SECONDS,
            "phases": self.phases,
            "untrusted_phases": list(self.untrusted),
            "devices": [
                {
                    "name": one.name,
                    "uuid": one.uuid,
                    "kind": one.kind.value,
                    "agreement": one.agreement,
                    "levels": one.levels,
                }
                for one in self.devices
            ],
            "findings": [finding.id for finding in self.findings],
            "missing": list(self.missing),
            "simulated": self.simulated,
        }


def explain(frame: Frame, findings: Sequence[Finding], name: str) -> Explanation:
    """Explain a job, named by its id, or by `cluster/id` where several clusters have one of that id.

    Raises:
        InputError: there is no such job, or there are several.

    """
    job = _find(frame, name)
    verdict = judge(frame, job)
    reason = reason_of(frame, verdict, verdict.kind)
    is_decided = verdict.kind is not FindingKind.UNDETERMINED
    step_seconds = verdict.steps.step_seconds
    return Explanation(
        job=job,
        kind=verdict.kind,
        confidence=confidence_of(verdict, reason) if is_decided else None,
        reason=reason,
        phases={one: round(verdict.share(one), 4) for one in _PHASES if math.isfinite(verdict.share(one))},
        step_seconds=round(step_seconds, 4) if math.isfinite(step_seconds) else None,
        untrusted=("compute", "communication") if verdict.steps.is_timed and not verdict.steps.is_trusted else (),
        devices=tuple(_device(frame, verdict, at) for at in range(len(verdict.devices))),
        findings=tuple(finding for finding in findings if _is_about(frame, job, finding)),
        missing=_missing(verdict),
        simulated=is_simulated(frame, job),
    )


def _find(frame: Frame, name: str) -> Job:
    jobs = frame.jobs.values()
    found = [job for job in jobs if name in {job.job_id, f"{job.cluster}/{job.job_id}"}]
    if len(found) == 1:
        return found[0]
    if found:
        msg = f"several clusters have a job {name}: name {' or '.join(f'{job.cluster}/{job.job_id}' for job in found)}"
        raise InputError(msg)
    known = sorted({job.job_id for job in jobs})
    more = f" and {len(known) - _NAMED_JOBS} more" if len(known) > _NAMED_JOBS else ""
    there_are = f"there are {', '.join(known[:_NAMED_JOBS])}{more}" if known else "none holds a device or reports steps"
    msg = f"there is no job {name}; {there_are}"
    raise InputError(msg)


def _device(frame: Frame, verdict: Verdict, at: int) -> DeviceLine:
    one = verdict.devices[at]
    entity = frame.devices.entities[one.row]
    levels = {name: float(getattr(verdict.levels, name)[at]) for name in _LEVELS}
    return DeviceLine(
        name=device_name(entity),
        uuid=entity.uuid,
        kind=one.kind,
        agreement=one.agreement,
        levels={name: round(value, 4) for name, value in levels.items() if math.isfinite(value)},
    )


def _is_about(frame: Frame, job: Job, finding: Finding) -> bool:
    """Whether it is about the job, one of its devices, or a node that it stands on as such."""
    scope = finding.scope
    if scope.cluster != job.cluster:
        return False
    devices = [frame.devices.entities[row] for row in job.devices]
    nodes = {entity.node for entity in devices} | {frame.ranks.entities[row].node for row in job.ranks}
    if scope.job_id or scope.uuid:
        return scope.job_id == job.job_id or scope.uuid in {entity.uuid for entity in devices}
    return scope.node in nodes


def _missing(verdict: Verdict) -> tuple[str, ...]:
    """What would tell more, whatever the class."""
    steps = verdict.steps
    phases = () if steps.is_timed else (training.PHASE_SECONDS.name,)
    clock = (f'{training.PHASE_SECONDS.name}{{clock="device"}}',) if steps.is_timed and not steps.is_trusted else ()
    return tuple(dict.fromkeys((*verdict.missing, *phases, *clock)))


def _row(row: Any) -> dict[str, Any]:  # noqa: ANN401 - a frozen dataclass of core
    names = ("metric", "value", "unit", "baseline", "threshold", "window_seconds", "samples")
    return {name: getattr(row, name) for name in names if getattr(row, name) is not None}
