"""Jobs that stopped though nobody times their steps or measures their pipes: they draw next to what idle devices draw.

dcgm-exporter without its profiling fields, and nvidia-smi, tell utilization and power alone. A kernel that waits for a
peer, or for memory that never comes, keeps the driver's utilization at 100 % (ROCm/device-metrics-exporter#34) while
the arithmetic, which takes most of the power, stands still. So what a job draws is measured against what the same
devices drew for the same job before, not against the board's limit, of which work that is light takes a third anyway.
Not so where pipes calculate or data flow, and a clock that fell explains the power as well. An evaluation or a
decoding phase draws half of what training does and more.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.bottlenecks.thermal_limited import sm_clock
from warpgauge.analyzer.detection import Candidate, Strength
from warpgauge.analyzer.detection.evidence import measured
from warpgauge.analyzer.detection.places import is_simulated, whole_job_scope
from warpgauge.analyzer.detection.stillness import FULL_UTILIZATION, LEAST_PIPE, PIPES, USED, moves_data, power_roof
from warpgauge.analyzer.detection.windows import mean, median, onset_time
from warpgauge.analyzer.detection.wording import count
from warpgauge.analyzer.frame import channel
from warpgauge.core.catalog import device, training
from warpgauge.core.finding import FindingKind, Impact, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warpgauge.analyzer.detection.windows import Mask
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.entities import Job

__all__ = ["NEAR_IDLE_RATIO", "NEAR_IDLE_SECONDS", "near_idle_jobs"]

NEAR_IDLE_SECONDS: Final = 300.0
NEAR_IDLE_RATIO: Final = 0.35  # of what the job drew: H100s that wait in a collective draw 0.4, idle ones 0.15 to 0.25
ROOF_SECONDS: Final = 600.0  # in which a limit must have been told
LEAST_BEFORE_SECONDS: Final = 300.0  # of work to compare with
LEAST_DEVICES: Final = 2  # one device may copy, or run a kernel bound by latency
LEAST_COVERAGE: Final = 0.8
SAME_CLOCK: Final = 0.8  # of the clock before: at that a board draws 0.6 of the power for the same work
CONFIDENCE: Final = 0.8  # as a device that draws next to nothing by itself
_POWER: Final = channel(device.POWER)
_STEPS: Final = channel(training.STEP_SECONDS, "count")


def near_idle_jobs(frame: Frame) -> Iterator[Candidate]:
    """A candidate for each job all of whose devices are fully utilized at a third of the power that they drew for it.

    Jobs whose steps are timed are left to those.
    """
    used, power = (frame.window(one, NEAR_IDLE_SECONDS) for one in (USED, _POWER))
    full = (used.coverage >= LEAST_COVERAGE) & (used.least >= FULL_UTILIZATION)
    if not full.any():
        return
    most = np.fmax(frame.window(_POWER, frame.columns * frame.step_seconds).peak, power_roof(frame, ROOF_SECONDS))
    full &= (power.coverage >= LEAST_COVERAGE) & (power.peak <= NEAR_IDLE_RATIO * most)
    if not full.any():
        return
    full &= ~moves_data(frame, NEAR_IDLE_SECONDS) & ~(frame.window(PIPES, NEAR_IDLE_SECONDS).mean >= LEAST_PIPE)
    for key in {frame.device_job[int(row)] for row in np.flatnonzero(full)}:
        job = frame.jobs.get(key) if key is not None else None
        if job is None or len(job.devices) < LEAST_DEVICES or _is_timed(frame, job):
            continue
        if full[list(job.devices)].all():
            yield from _candidate(frame, job)


def _is_timed(frame: Frame, job: Job) -> bool:
    told = frame.window(_STEPS, NEAR_IDLE_SECONDS).coverage[list(job.ranks)]
    return bool((told > 0).any())


def _candidate(frame: Frame, job: Job) -> Iterator[Candidate]:
    rows = list(job.devices)
    drawn, used = frame.values(device.POWER, rows=rows), frame.values(device.UTILIZATION, "compute", rows=rows)
    watts = float(median(mean(frame.values(device.POWER, seconds=NEAR_IDLE_SECONDS, rows=rows))))
    highest = np.fmax(np.fmax.reduce(drawn, axis=1), power_roof(frame, ROOF_SECONDS)[rows])
    is_low = (drawn <= NEAR_IDLE_RATIO * highest[:, None]) & (used >= FULL_UTILIZATION)
    is_known = np.isfinite(drawn) & np.isfinite(used)
    stood = np.where(is_known.any(axis=0), np.where((is_low | ~is_known).all(axis=0), 1.0, -1.0), 0.0)
    since = onset_time(frame, stood)
    came = float(np.nanmax(frame.allocated_since[rows], initial=0.0))
    before = (frame.time_ms <= since * 1000.0) & (frame.time_ms > came * 1000.0)
    if before.sum() * frame.step_seconds < LEAST_BEFORE_SECONDS:
        yield _worded(frame, job, since, watts)  # what was found while the frame still held its work stays open
        return
    usual = float(median(mean(drawn[:, before])))
    is_long = frame.now - since >= NEAR_IDLE_SECONDS
    if is_long and watts <= NEAR_IDLE_RATIO * usual and not _has_slowed(frame, rows, before):
        yield _worded(frame, job, since, watts, usual)


def _has_slowed(frame: Frame, rows: list[int], before: Mask) -> bool:
    """Whether the clock fell, too, and no pipe tells that nothing is calculated: then it may work, and slowly."""
    if np.isfinite(frame.window(PIPES, NEAR_IDLE_SECONDS).mean[rows]).all():
        return False
    now = float(median(mean(sm_clock(frame, rows, NEAR_IDLE_SECONDS))))
    return now < SAME_CLOCK * float(median(mean(sm_clock(frame, rows)[:, before])))


def _worded(frame: Frame, job: Job, since: float, watts: float, usual: float | None = None) -> Candidate:
    rows, seconds = list(job.devices), frame.now - since
    was = "" if usual is None else f" instead of {usual:.0f} W"
    return Candidate(
        kind=FindingKind.HANG,
        scope=whole_job_scope(frame, job),
        severity=Severity.WARNING,
        since=since,
        confidence=CONFIDENCE,
        evidence=(
            measured(
                device.POWER,
                watts,
                baseline=usual,
                threshold=None if usual is None else NEAR_IDLE_RATIO * usual,
                window_seconds=NEAR_IDLE_SECONDS,
            ),
        ),
        summary=f"All {count(len(rows), 'device')} of job {job.job_id} report 100 % utilization at {watts:.0f} W{was}"
        ": they are occupied and compute nothing, like ranks that wait for one that never comes.",
        remedy="Find the rank that is not in the collective (py-spy dump on each, NCCL_DEBUG=INFO), look for XIDs, lost"
        " devices and link errors of this job, then restart it from its last checkpoint.",
        impact=Impact(lost_device_seconds=round(seconds * len(rows), 1), method="time of all its devices since then"),
        simulated=is_simulated(frame, job),
        strength=Strength.HOLD if usual is None else Strength.RAISE,
    )
