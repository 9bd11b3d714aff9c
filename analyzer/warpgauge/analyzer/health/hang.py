"""Work that has stopped though everything looks busy.

Three signs. A device that reports full utilization at next to idle power computes nothing: its kernel spins or waits;
not so if its job goes on stepping, its pipes calculate or data flow (copies at full speed keep an H100 fully utilized
at 130 W); and where no pipe is measured nobody can tell at a clock far down, which takes the power out of any work.
And a job whose steps stopped while its devices stay busy at clearly less power than it draws when it steps waits in a
collective for ever (ROCm/device-metrics-exporter#34: 100 % while deadlocked in NCCL); so does one of work that draws
little anyway, where the pipes that it calculates with stand still. An evaluation or a checkpoint also has no steps,
but draws power and calculates, or leaves the devices idle. Where nobody times steps, the devices of a job tell alone
(`spinning`, and `near_idle` where nobody measures pipes either).
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.bottlenecks.thermal_limited import sm_clock
from warpgauge.analyzer.detection import Candidate, Strength
from warpgauge.analyzer.detection.activity import read_activity
from warpgauge.analyzer.detection.evidence import measured
from warpgauge.analyzer.detection.places import is_simulated, job_scope, whole_job_scope
from warpgauge.analyzer.detection.stillness import (
    CALCULATING,
    FULL_UTILIZATION,
    LEAST_PIPE,
    MOVED_OVER_LINKS,
    MOVED_OVER_PCIE,
    MOVED_SHARE,
    USED,
    moves_data,
    power_roof,
)
from warpgauge.analyzer.detection.windows import mean, median, onset_time
from warpgauge.analyzer.detection.wording import count, device_name, percent
from warpgauge.analyzer.frame import channel
from warpgauge.analyzer.frame.rolling import Signal
from warpgauge.analyzer.frame.schema import TableName
from warpgauge.analyzer.health.judging import columns_of, detection, on_device
from warpgauge.analyzer.health.near_idle import NEAR_IDLE_RATIO, NEAR_IDLE_SECONDS, near_idle_jobs
from warpgauge.analyzer.health.spinning import ALL_SPIN_SECONDS, MOST_SPIN_SECONDS, spinning_jobs
from warpgauge.core.catalog import device, training
from warpgauge.core.finding import FindingKind, Impact, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warpgauge.analyzer.detection import Detection
    from warpgauge.analyzer.detection.windows import Array
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.entities import Job, JobKey
    from warpgauge.analyzer.frame.rolling import Columns
    from warpgauge.core.finding import Evidence

__all__ = [
    "ALL_SPIN_SECONDS",
    "FULL_UTILIZATION",
    "LEAST_PIPE",
    "MOST_SPIN_SECONDS",
    "MOVED_OVER_LINKS",
    "MOVED_OVER_PCIE",
    "MOVED_SHARE",
    "NEAR_IDLE_RATIO",
    "NEAR_IDLE_SECONDS",
    "Hang",
]

WINDOW_SECONDS: Final = 300.0
IDLE_POWER_RATIO: Final = 0.22  # of the limit: an H100 with a context draws 0.16, a collective that spins 0.4
SPINNING: Final = 0.90  # activity of a device that waits in a collective
SPIN_POWER_RATIO: Final = 0.60  # of what the job draws while it steps
LEAST_CLOCK_RATIO: Final = 0.5  # of the highest: power goes with its 2.5th power, so full load takes a fifth of it here
STILL_PIPE: Final = 0.1  # of what it is while the job steps; whoever waits compares integers and calculates nothing
SILENT_STEPS: Final = 10.0  # usual steps without one
LEAST_SILENT_SECONDS: Final = 300.0
LEAST_COVERAGE: Final = 0.8
CONFIDENCE_DEVICE: Final = 0.8
CONFIDENCE_JOB: Final = 0.85
_REMEDY: Final = (
    "Find the rank that is not in the collective (py-spy dump on each, NCCL_DEBUG=INFO), look for XIDs and link errors"
    " on its devices, then restart the job from its last checkpoint."
)
_STEPS: Final = channel(training.STEP_SECONDS, "count")
_POWER: Final = channel(device.POWER)
_BOTH: Final = Signal("power and utilization", TableName.DEVICES, lambda it: _POWER.read(it) + USED.read(it))


class Hang:
    """Names devices that spin on nothing and jobs that wait for ever."""

    name = "hang"

    def detect(self, frame: Frame) -> Detection:
        """Judge every device with utilization and power, and every job that ever stepped."""
        power, used, both = (frame.window(one, WINDOW_SECONDS) for one in (_POWER, USED, _BOTH))
        limit = power_roof(frame, 2 * WINDOW_SECONDS)
        is_judged = (both.coverage >= LEAST_COVERAGE) & np.isfinite(limit)
        stuck = is_judged & (used.least >= FULL_UTILIZATION) & (power.peak < IDLE_POWER_RATIO * limit)
        if stuck.any():
            stuck &= ~moves_data(frame, WINDOW_SECONDS)
        full = np.flatnonzero(stuck).tolist()
        rows = [row for row in full if not _is_stepping(frame, row) and not _may_work(frame, row)]
        candidates = list(_of_devices(frame, rows, limit))
        jobs = [_waiting(frame, key, job) for key, job in _silent_jobs(frame)]
        candidates += [found for found in jobs if found is not None]
        candidates += [*spinning_jobs(frame), *near_idle_jobs(frame)]
        what = "devices and jobs, for work that stopped while they look busy"
        missing = (device.POWER, device.UTILIZATION, device.POWER_LIMIT)
        return detection(frame, self.name, what, candidates, is_judged, seconds=WINDOW_SECONDS, needs=missing)


def _of_devices(frame: Frame, rows: list[int], limit: Array) -> Iterator[Candidate]:
    """One for each device that is stuck, but one for all those of a job: they wait for one and the same thing."""
    by_job: dict[JobKey | None, list[int]] = {}
    for row in rows:
        by_job.setdefault(frame.device_job[row], []).append(row)
    for key, members in by_job.items():
        if key is None or key not in frame.jobs or len(members) == 1:
            yield from (_stuck(frame, row, limit) for row in members)
        else:
            yield _stuck_together(frame, key, members, limit)


def _stuck_together(frame: Frame, key: JobKey, rows: list[int], limit: Array) -> Candidate:
    ones = [_stuck(frame, row, limit) for row in rows]
    job, since = frame.jobs[key], min(one.since for one in ones)
    watts = float(median(np.array([one.evidence[1].value for one in ones])))
    seconds = sum(frame.now - one.since for one in ones)
    return Candidate(
        kind=FindingKind.HANG,
        scope=whole_job_scope(frame, job),
        severity=Severity.WARNING,
        since=since,
        confidence=CONFIDENCE_DEVICE,
        evidence=ones[0].evidence,
        summary=f"{len(rows)} of {count(len(job.devices), 'device')} of job {key[1]} report 100 % utilization at"
        f" {watts:.0f} W of {float(limit[rows[0]]):.0f} W: they are occupied and compute"
        " nothing, like ranks that wait for one that never comes.",
        remedy="Look for the device or rank that is missing (lost devices and XIDs of this job, py-spy dump on each"
        " rank), then restart the job from its last checkpoint.",
        impact=Impact(lost_device_seconds=round(seconds, 1), method="time without work since the onset"),
        simulated=is_simulated(frame, job),
    )


def _stuck(frame: Frame, row: int, limit: Array) -> Candidate:
    watts, most = float(mean(frame.values(device.POWER, seconds=WINDOW_SECONDS, rows=row))), float(limit[row])
    history = (frame.values(device.UTILIZATION, "compute", rows=row) >= FULL_UTILIZATION) & (
        frame.values(device.POWER, rows=row) < IDLE_POWER_RATIO * most
    )
    since = onset_time(frame, np.where(history, 1.0, -1.0))
    name, pipes = device_name(frame.devices.entities[row]), _calculating(frame, row)
    return on_device(
        frame,
        row,
        FindingKind.HANG,
        Severity.WARNING,
        since=since,
        confidence=CONFIDENCE_DEVICE,
        evidence=[
            measured(
                device.UTILIZATION,
                1.0,
                labels='{engine="compute"}',
                threshold=FULL_UTILIZATION,
                window_seconds=WINDOW_SECONDS,
            ),
            measured(
                device.POWER, watts, baseline=most, threshold=IDLE_POWER_RATIO * most, window_seconds=WINDOW_SECONDS
            ),
            *([] if np.isnan(pipes) else [_still_pipes(pipes)]),
        ],
        summary=f"{name} reports 100 % utilization at {watts:.0f} W of {most:.0f} W:"
        " it is occupied and computes nothing.",
        remedy="See what holds it (nvidia-smi, py-spy dump on the process): a deadlock, a kernel that never ends, or a"
        " process whose owner is gone. End it; if it does not end, reset the device.",
        impact=Impact(lost_device_seconds=round(frame.now - since, 1), method="time without work since the onset"),
    )


def _still_pipes(share: float) -> Evidence:
    return measured(device.PIPE_ACTIVE, share, threshold=LEAST_PIPE, window_seconds=WINDOW_SECONDS)


def _is_stepping(frame: Frame, row: int) -> bool:
    """Whether the device's job goes on: then it computes, however little power it takes for it (a clock far down)."""
    key = frame.device_job[row]
    ranks = list(frame.jobs[key].ranks) if key is not None and key in frame.jobs else []
    return bool(np.nan_to_num(frame.window(_STEPS, WINDOW_SECONDS).peak[ranks]).any())


def _may_work(frame: Frame, row: int) -> bool:
    """Whether the device calculates, by its pipes; if none is measured, whether its clock alone explains the power."""
    most = _calculating(frame, row)
    if not np.isnan(most):
        return most >= LEAST_PIPE
    clock = float(mean(sm_clock(frame, [row], WINDOW_SECONDS))[0])
    return clock < LEAST_CLOCK_RATIO * float(frame.latest(device.CLOCK_MAX, "sm", seconds=2 * WINDOW_SECONDS)[row])


def _calculating(frame: Frame, row: int) -> float:
    """Share of the cycles in which the busiest of the pipes worked, NaN if none is measured."""
    pipes = [frame.values(device.PIPE_ACTIVE, pipe, seconds=WINDOW_SECONDS, rows=row) for pipe in CALCULATING]
    return float(np.fmax.reduce([float(mean(pipe)) for pipe in pipes]))


def _silent_jobs(frame: Frame) -> list[tuple[JobKey, Job]]:
    """Jobs with devices none of whose ranks has stepped lately: the only ones worth a closer look."""
    steps = np.nan_to_num(frame.window(_STEPS, LEAST_SILENT_SECONDS).peak)
    jobs = ((key, job) for key, job in frame.jobs.items() if job.ranks and job.devices)
    return [(key, job) for key, job in jobs if not steps[list(job.ranks)].any()]


def _stillness(frame: Frame, rows: list[int], last: int, window: int) -> Evidence | None:
    """What shows that devices no longer work as they did up to a column: their power, else their pipes."""
    seconds = window * frame.step_seconds
    before, after = _around(frame.values(device.POWER, rows=rows), last, window)
    if after <= SPIN_POWER_RATIO * before:
        return measured(
            device.POWER, after, baseline=before, threshold=SPIN_POWER_RATIO * before, window_seconds=seconds
        )
    pipes = [frame.values(device.PIPE_ACTIVE, pipe, rows=rows) for pipe in CALCULATING]
    worked, works = _around(np.fmax.reduce(pipes), last, window)
    if not (after < before and worked >= LEAST_PIPE and works <= STILL_PIPE * worked):
        return None
    return measured(device.PIPE_ACTIVE, works, baseline=worked, threshold=STILL_PIPE * worked, window_seconds=seconds)


def _around(values: Array, last: int, window: int) -> tuple[float, float]:
    """Of [device, column]: the level up to a column, and that of the newest ones; of the median device."""
    return float(median(mean(values[:, : last + 1]))), float(median(mean(values[:, -window:])))


def _last_step(frame: Frame, job: Job) -> tuple[int, Array]:
    """The last column in which a rank of the job stepped, -1 if none did, and how many ranks told, [column]."""
    ranks = list(job.ranks)

    def read(columns: Columns) -> Array:
        rate = columns.of(training.STEP_SECONDS, "count")[:, ranks]
        return np.stack([np.nan_to_num(rate).max(axis=1) > 0, np.isfinite(rate).sum(axis=1)], axis=1)

    traced = frame.trace(TableName.RANKS, ("steps", job.ranks), read)
    stepped = np.flatnonzero(traced[:, 0])
    return (int(stepped[-1]) if len(stepped) else -1), traced[:, 1]


def _waiting(frame: Frame, key: JobKey, job: Job) -> Candidate | None:
    """The job's steps stopped, its devices are busy, and draw clearly less than while it stepped."""
    ranks, rows = list(job.ranks), list(job.devices)
    last, told = _last_step(frame, job)
    silent = (frame.columns - 1 - last) * frame.step_seconds
    window = columns_of(frame, silent) - 1
    if last < 0 and told.sum() / (len(told) * len(ranks)) >= LEAST_COVERAGE:
        return _still_waiting(frame, key, job)
    if last < 0 or silent < LEAST_SILENT_SECONDS or told[-window:].sum() / (window * len(ranks)) < LEAST_COVERAGE:
        return None  # it never stepped, or a moment ago; or the reporter is gone, not the steps
    busy = float(median(mean(read_activity(frame, WINDOW_SECONDS).values(rows, window * frame.step_seconds))))
    if busy < SPINNING:
        return None
    usual = float(median(median(frame.values(training.STEP_SECONDS, "mean", rows=ranks))))
    if silent < SILENT_STEPS * usual or np.isnan(usual):
        return None
    before, after = _around(frame.values(device.POWER, rows=rows), last, window)
    still = _stillness(frame, rows, last, window)
    if still is None:
        return None
    since = float(frame.time_ms[last]) / 1000.0
    return Candidate(
        kind=FindingKind.HANG,
        scope=whole_job_scope(frame, job),
        severity=Severity.CRITICAL,
        since=since,
        confidence=CONFIDENCE_JOB,
        evidence=(
            measured(
                training.STEP_SECONDS, silent, unit="seconds without a step", baseline=usual,
                threshold=max(LEAST_SILENT_SECONDS, SILENT_STEPS * usual), window_seconds=silent,
            ),
            still,
        ),
        summary=f"Job {key[1]} ({count(len(rows), 'device')}) makes no step, usually one in {usual:.1f} s;"
        f" its devices are {percent(busy)} busy at {after:.0f} W instead of {before:.0f} W: it waits in a collective.",
        remedy=_REMEDY,
        impact=Impact(
            lost_device_seconds=round(silent * len(rows), 1), method="time of all its devices since the last step"
        ),
        simulated=is_simulated(frame, job),
    )  # fmt: skip


def _still_waiting(frame: Frame, key: JobKey, job: Job) -> Candidate | None:
    """No step in the whole frame, busy all along: what was found when the frame still held the last step stays open."""
    rows, seconds = list(job.devices), frame.columns * frame.step_seconds
    busy = float(median(mean(read_activity(frame, WINDOW_SECONDS).values(rows))))
    if busy < SPINNING:
        return None
    return Candidate(
        kind=FindingKind.HANG,
        scope=job_scope(frame, key, rows),
        severity=Severity.CRITICAL,
        since=frame.now - seconds,
        confidence=CONFIDENCE_JOB,
        evidence=(
            measured(
                training.STEP_SECONDS, seconds, unit="seconds without a step",
                threshold=LEAST_SILENT_SECONDS, window_seconds=seconds,
            ),
        ),
        summary=f"Job {key[1]} ({count(len(rows), 'device')}) makes no step; its devices"
        f" are {percent(busy)} busy: it waits in a collective.",
        remedy=_REMEDY,
        impact=Impact(lost_device_seconds=round(seconds * len(rows), 1), method="time of all its devices"),
        simulated=is_simulated(frame, job),
        strength=Strength.HOLD,
    )  # fmt: skip
