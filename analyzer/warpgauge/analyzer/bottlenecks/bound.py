"""Jobs that something holds back which can be mended.

Every allocated device has exactly one class, a job that of most of its devices (`warpgauge explain JOB` prints it with
its numbers). The rules are ordered and the first that applies to the last five minutes gives the class, if at least
four of the five minutes say the same: idle, heat, input wait, communication (between nodes: network; within one:
interconnect), host work in the step, power cap, full memory, full links, memory bandwidth, compute, late host, small
kernels. Step phases go before device counters; a host's clock is believed about input and the host's own work only. Of
communication less is enough where it used to be much less in the same job.

A class becomes a finding only where something can be gained: a power cap only if somebody set the limit below the
board's own, full memory only while it grows (frameworks take memory in advance). Where nobody tells the highest clock
or what holds the clocks down, power that stands at the limit shows the cap, with less confidence. Bound by compute or
by memory bandwidth is a device well used; these, a mixture and what cannot be told are shown and are no findings. Idle
devices, input waits and heat have detectors of their own, and what ranks wait for each other because their work moves
from rank to rank is no communication. Without profiling fields (plain NVML) a device can only be idle, throttled,
limited by power, short of memory, or undetermined.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.anomalies.imbalance.moving import most_lost_to_moving
from warpgauge.analyzer.anomalies.peers import peer_groups
from warpgauge.analyzer.bottlenecks.classes import (
    WINDOW_SECONDS,
    Verdict,
    fleet_classes,
    is_lowered,
    judge,
    judge_device,
    places_of_jobs,
)
from warpgauge.analyzer.bottlenecks.departures import were_left
from warpgauge.analyzer.bottlenecks.levels import column_levels, growth_bound, latest_busy
from warpgauge.analyzer.bottlenecks.reasons import reason_of
from warpgauge.analyzer.bottlenecks.risen import COMMUNICATION_RISE, risen, share_over_time
from warpgauge.analyzer.bottlenecks.rules import HOLD, ORDER, RAISE, Setting, classify, code_of
from warpgauge.analyzer.bottlenecks.step_shares import LEAST_HEARD
from warpgauge.analyzer.detection import Candidate, Detection, Judgement, NotJudged, Strength
from warpgauge.analyzer.detection.places import device_scope, is_simulated, whole_job_scope
from warpgauge.analyzer.detection.slowdown import impact_of
from warpgauge.analyzer.detection.windows import confidence, onset_time
from warpgauge.analyzer.detection.wording import count, device_name
from warpgauge.analyzer.frame.schema import TableName
from warpgauge.core.catalog import device
from warpgauge.core.finding import FindingKind, Impact, Scope, Severity

if TYPE_CHECKING:
    from warpgauge.analyzer.bottlenecks.reason import Reason
    from warpgauge.analyzer.detection.windows import Array, Mask
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.entities import Job
    from warpgauge.analyzer.frame.rolling import Columns

__all__ = ["COMMUNICATION_RISE", "GAINFUL", "Bound", "confidence_of"]

GAINFUL: Final = (
    FindingKind.NETWORK_BOUND,
    FindingKind.INTERCONNECT_BOUND,
    FindingKind.HOST_BOUND,
    FindingKind.POWER_LIMITED,
    FindingKind.MEMORY_CAPACITY_BOUND,
    FindingKind.LAUNCH_BOUND,
)
"""Classes that become findings here."""

LATEST_SECONDS: Final = 120.0  # a fleet that is read once a minute may miss one scrape

_PHASES: Final = {
    FindingKind.NETWORK_BOUND: "communication",
    FindingKind.INTERCONNECT_BOUND: "communication",
    FindingKind.HOST_BOUND: "other",
}
_NEEDED: Final = (device.COMPUTE_ACTIVE, device.PIPE_ACTIVE, device.MEMORY_BANDWIDTH_ACTIVE)


class Bound:
    """Names jobs that wait for the network, links or the host, or that launch, fill or cap themselves slow."""

    name = "bottleneck"

    def detect(self, frame: Frame) -> Detection:
        """Screen all devices, look closely at the jobs that this leaves."""
        raising, _ = fleet_classes(frame)
        is_held = np.isfinite(frame.allocated_since)
        is_told = raising != code_of(FindingKind.UNDETERMINED)
        jobs, loose = _suspects(frame)
        verdicts = [judge(frame, job) for job in jobs] + [judge_device(frame, row) for row in loose]
        found = [one for one in (_candidate(frame, verdict) for verdict in verdicts) if one is not None]
        return Detection(
            candidates=tuple(found),
            judged=self._judged(int((is_held & is_told).sum())),
            not_judged=self._not_judged(int((is_held & ~is_told).sum())),
        )

    def _judged(self, devices: int) -> Judgement | None:
        what = "devices held by jobs, for what bounds them"
        return (
            Judgement(detector=self.name, what=what, entities=devices, window_seconds=WINDOW_SECONDS)
            if devices
            else None
        )

    def _not_judged(self, devices: int) -> tuple[NotJudged, ...]:
        if not devices:
            return ()
        return (
            NotJudged(
                detector=self.name,
                what="what bounds devices",
                why="no profiling counters or step phases that tell; warpgauge explain JOB names what each job lacks",
                missing=tuple(metric.name for metric in _NEEDED),
                entities=devices,
            ),
        )


def _suspects(frame: Frame) -> tuple[list[Job], list[int]]:
    """Jobs, and busy devices that no job is known to hold, which may have a finding.

    A job's class is that of most of its devices, so one with a few odd ones is none.
    """
    is_gainful = np.array([kind in GAINFUL for kind in ORDER])
    may_be: Mask = np.zeros(len(frame.devices), dtype=bool)
    for codes in fleet_classes(frame):
        is_steady = (codes == code_of(FindingKind.MEMORY_CAPACITY_BOUND)) & ~_grows(frame)
        is_own = (codes == code_of(FindingKind.POWER_LIMITED)) & ~is_lowered(frame)
        may_be |= is_gainful[codes] & ~is_steady & ~is_own
    places = places_of_jobs(frame)
    is_held = places.job_of >= 0
    own, odd = (np.bincount(places.job_of[rows], minlength=len(places.jobs)) for rows in (is_held, is_held & may_be))
    elsewhere = places.sizes - own  # devices that a younger job holds too: told of that one
    chosen = np.flatnonzero((odd > 0) & (2 * (odd + elsewhere) > places.sizes))
    on_cpus = [job for job in places.jobs if job.ranks and not job.devices]
    loose = [int(row) for row in np.flatnonzero(may_be & (places.job_of < 0) & ~_just_left(frame))]
    return [*(places.jobs[at] for at in chosen), *on_cpus], loose


def _just_left(frame: Frame) -> Mask:
    """[device], whether it was given back, stands still or is silent: its last minutes are of a job that is over."""
    is_idle = latest_busy(frame, LATEST_SECONDS) <= RAISE.idle
    silent_seconds = frame.now - frame.devices.last_seen_ms[: len(frame.devices)] / 1000.0
    return np.asarray(is_idle | (silent_seconds > LATEST_SECONDS) | were_left(frame, WINDOW_SECONDS))


def _grows(frame: Frame) -> Mask:
    return np.asarray(growth_bound(frame, WINDOW_SECONDS) >= HOLD.growth)


def _candidate(frame: Frame, verdict: Verdict) -> Candidate | None:
    """At most one per job: what it is, or else what it still holds at the lower thresholds."""
    raises = verdict.kind in GAINFUL
    kind = verdict.kind if raises else verdict.held
    if kind not in GAINFUL or not _can_gain(frame, verdict, kind):
        return None
    reason = reason_of(frame, verdict, kind)
    if reason.is_by_share and _PHASES[kind] == "communication":
        grown = None if raises else risen(frame, verdict, reason)
        raises, reason = raises or grown is not None, grown or reason
        raises = raises and _is_exchange(frame, verdict)
    since = _since(frame, verdict, kind, reason)
    return Candidate(
        kind=kind,
        scope=_scope(frame, verdict),
        severity=Severity.INFO if kind is FindingKind.POWER_LIMITED else Severity.WARNING,
        since=since,
        confidence=confidence_of(verdict, reason),
        evidence=reason.evidence,
        summary=f"{_subject(frame, verdict)} {reason.what}.",
        remedy=reason.remedy,
        impact=_impact(verdict, reason, frame.now - since),
        simulated=_is_simulated(frame, verdict),
        strength=Strength.RAISE if raises else Strength.HOLD,
    )


def _can_gain(frame: Frame, verdict: Verdict, kind: FindingKind) -> bool:
    """Whether there is something to be done about it; see the module's text."""
    if kind is FindingKind.POWER_LIMITED:
        return bool(is_lowered(frame)[list(verdict.rows)].any())
    if kind is FindingKind.MEMORY_CAPACITY_BOUND:
        return bool((verdict.setting.growth >= HOLD.growth).any())
    return True


def _is_exchange(frame: Frame, verdict: Verdict) -> bool:
    """Whether all that may be waited for is heard of, and so much is left without what moving work may explain."""
    job = verdict.job
    if job is None:
        return True
    known = sum((one.cluster, one.job_id) == (job.cluster, job.job_id) for one in frame.ranks.entities)
    if len(job.ranks) < LEAST_HEARD * known:
        return False
    groups = (one for one in peer_groups(frame).groups if one.key == (job.cluster, job.job_id))
    explained = max((most_lost_to_moving(frame, group, WINDOW_SECONDS) for group in groups), default=0.0)
    share = verdict.share("communication") - explained / verdict.steps.step_seconds if explained else 1.0
    return share >= RAISE.communication_share


def confidence_of(verdict: Verdict, reason: Reason) -> float:
    """By the margin to the thresholds, the share of the window measured and the minutes that agree."""
    margins = [margin for margin in reason.margins if np.isfinite(margin)]
    return confidence(*margins, covered=verdict.covered * (verdict.agreement or 1.0))


def _scope(frame: Frame, verdict: Verdict) -> Scope:
    job = verdict.job
    if job is None:
        return device_scope(frame, verdict.rows[0])
    return whole_job_scope(frame, job)


def _subject(frame: Frame, verdict: Verdict) -> str:
    job = verdict.job
    if job is None:
        return f"{device_name(frame.devices.entities[verdict.rows[0]])}, held by no known job,"
    held, part = len(verdict.rows), len(verdict.members)
    of = f" ({part} of {count(held, 'device')})" if 0 < part < held else f" ({count(held, 'device')})" if held else ""
    return f"Job {job.job_id}{of}"


def _is_simulated(frame: Frame, verdict: Verdict) -> bool:
    if verdict.job is not None:
        return is_simulated(frame, verdict.job)
    return frame.devices.entities[verdict.rows[0]].simulated


def _impact(verdict: Verdict, reason: Reason, seconds: float) -> Impact | None:
    if reason.slowdown is None or reason.method is None:
        return None
    return impact_of(reason.slowdown, devices=verdict.devices_lost, seconds=seconds, method=reason.method)


def _since(frame: Frame, verdict: Verdict, kind: FindingKind, reason: Reason) -> float:
    """Onset of the condition; never before the job came."""
    excess = _share_excess(frame, verdict, kind) if reason.is_by_share else _class_excess(frame, verdict, kind)
    held = frame.allocated_since[list(verdict.rows)]
    came = held[np.isfinite(held)]
    since = onset_time(frame, excess)
    return max(since, float(came.min())) if len(came) else since


def _share_excess(frame: Frame, verdict: Verdict, kind: FindingKind) -> Array:
    """[column of the whole frame], how far the phase's share lies above half of what it is now."""
    job, phase = verdict.job, _PHASES[kind]
    if job is None:
        return np.zeros(frame.columns)
    share = verdict.share(phase)
    return np.asarray((share_over_time(frame, job, phase) - share / 2) / share)


def _class_excess(frame: Frame, verdict: Verdict, kind: FindingKind) -> Array:
    """[column of the whole frame], share of the devices of that class against the rest, -1 to 1."""
    rows = [verdict.rows[at] for at in verdict.members]
    setting = Setting(**{name: getattr(verdict.setting, name)[verdict.members] for name in Setting.__slots__})

    def read(columns: Columns) -> Array:
        levels = column_levels(frame, columns, rows)
        is_measured = np.isfinite(levels.engine) | np.isfinite(levels.fill) | np.isfinite(levels.clock)
        is_so = classify(levels, verdict.steps.whole, setting, HOLD) == code_of(kind)
        excess = np.where(is_measured, np.where(is_so, 1.0, -1.0), 0.0).mean(axis=1)
        return np.asarray(excess)

    return frame.trace(TableName.DEVICES, ("class", kind, tuple(rows)), read)
