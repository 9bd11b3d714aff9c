"""Which reason goes with which class."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.bottlenecks import device_reasons, step_reasons
from warpgauge.analyzer.bottlenecks.device_reasons import level_evidence
from warpgauge.analyzer.bottlenecks.reason import Reason
from warpgauge.analyzer.bottlenecks.rules import HOLD
from warpgauge.analyzer.detection.wording import listed, percent
from warpgauge.core.catalog import training
from warpgauge.core.finding import FindingKind

if TYPE_CHECKING:
    from warpgauge.analyzer.bottlenecks.classes import Verdict
    from warpgauge.analyzer.frame import Frame

__all__ = ["reason_of"]

_LOAD: Final[dict[str, float | None]] = dict.fromkeys(("engine", "compute", "pipe", "bandwidth"))


def reason_of(frame: Frame, verdict: Verdict, kind: FindingKind) -> Reason:  # noqa: C901, PLR0911, PLR0912 - a line per class
    """Why a job may be called so; `kind` is the verdict's own or the one it still holds."""
    match kind:
        case FindingKind.IDLE_ALLOCATED:
            return device_reasons.idle(verdict)
        case FindingKind.THERMAL_LIMITED:
            return device_reasons.thermal(verdict)
        case FindingKind.INPUT_BOUND:
            return step_reasons.input_wait(verdict)
        case FindingKind.NETWORK_BOUND:
            return step_reasons.communication(verdict, verdict.nodes)
        case FindingKind.INTERCONNECT_BOUND:
            if verdict.share("communication") >= HOLD.communication_share:
                return step_reasons.communication(verdict, 1)
            return device_reasons.transfer(frame, verdict)
        case FindingKind.HOST_BOUND:
            if verdict.share("other") >= HOLD.host_share:
                return step_reasons.own_work(verdict)
            return device_reasons.late_host(verdict)
        case FindingKind.POWER_LIMITED:
            return device_reasons.power(frame, verdict)
        case FindingKind.MEMORY_CAPACITY_BOUND:
            return device_reasons.capacity(frame, verdict)
        case FindingKind.MEMORY_BANDWIDTH_BOUND:
            return device_reasons.streams(verdict)
        case FindingKind.COMPUTE_BOUND:
            return device_reasons.compute(verdict)
        case FindingKind.LAUNCH_BOUND:
            return device_reasons.launches(verdict)
        case FindingKind.MIXED:
            return _mixed(verdict)
        case _:
            return _undetermined(verdict)


def _mixed(verdict: Verdict) -> Reason:
    """No rule applies to most of its devices and minutes."""
    computes, sm = verdict.share("compute"), verdict.level("compute")
    phases = "" if np.isnan(computes) else f"; it computes {percent(computes)} of each step"
    load = "" if np.isnan(sm) else f", with {percent(sm)} of the SMs at work"
    return Reason(
        what=f"has no single bottleneck that holds for most of its devices in four of five minutes{phases}{load}",
        remedy="Nothing stands out for most of its devices. A single one may hold the rest back, which the findings"
        " about the job say; else a profile of one rank tells more than counters do.",
        evidence=level_evidence(verdict, **_LOAD),
    )


def _undetermined(verdict: Verdict) -> Reason:
    """Signals are missing."""
    if verdict.is_young:
        return Reason(
            what=f"cannot be judged yet: {percent(verdict.covered)} of the last five minutes were measured",
            remedy="Ask again in five minutes.",
            evidence=(),
        )
    missing = verdict.missing or (training.PHASE_SECONDS.name,)
    return Reason(
        what=f"cannot be judged for want of {listed(list(missing))}",
        remedy=_how_to_measure(missing),
        evidence=level_evidence(verdict, **_LOAD, fill=None, clock=None),
    )


def _how_to_measure(missing: tuple[str, ...]) -> str:
    ways = []
    if any(name.startswith("accel_") for name in missing):
        ways.append("activity counters need Hopper or newer with agent.gpm on, or dcgm-exporter's profiling fields")
    if any(name.startswith(training.PHASE_SECONDS.name) for name in missing):
        ways.append("step phases need warpgauge's StepTimer in the training script, timed by CUDA events")
    text = "; ".join(ways)
    return f"{text[:1].upper()}{text[1:]}."
