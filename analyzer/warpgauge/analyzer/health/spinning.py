"""Jobs that stopped though nobody times their steps: their devices, fully used, neither calculate nor move anything.

Ranks in a collective that never ends keep the driver's utilization at 100 % (ROCm/device-metrics-exporter#34), at more
than idle power. A kernel that calculates with integers alone looks like that on one device; all devices of a job that
calculated until then and stop at the same time wait for one and the same thing. So they do while one rank writes a
checkpoint: then that one does not spin, and only half an hour is a hang, as long as NCCL once waited before it gave up.
Where all spin, ten minutes are enough: that is PyTorch's timeout of a collective today.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.detection import Candidate, Strength
from warpgauge.analyzer.detection.evidence import measured
from warpgauge.analyzer.detection.places import is_simulated, job_scope
from warpgauge.analyzer.detection.stillness import FULL_UTILIZATION, LEAST_PIPE, PIPES, USED, moves_data
from warpgauge.analyzer.detection.windows import mean, median, onset_time
from warpgauge.analyzer.detection.wording import count, percent
from warpgauge.analyzer.frame.rolling import Picked
from warpgauge.analyzer.frame.schema import TableName
from warpgauge.core.catalog import device
from warpgauge.core.finding import FindingKind, Impact, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warpgauge.analyzer.detection.windows import Array
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.entities import Job, JobKey
    from warpgauge.analyzer.frame.rolling import Columns

__all__ = ["ALL_SPIN_SECONDS", "MOST_SPIN_SECONDS", "spinning_jobs"]

ALL_SPIN_SECONDS: Final = 600.0
MOST_SPIN_SECONDS: Final = 1800.0
LEAST_SPINNING: Final = 0.5  # of a job's devices
LEAST_DEVICES: Final = 2
LEAST_WORKED: Final = 0.05  # of the cycles, before
LEAST_COVERAGE: Final = 0.8
CONFIDENCE: Final = 0.82  # more than what some of its devices at little power tell, less than steps that stopped


def spinning_jobs(frame: Frame) -> Iterator[Candidate]:
    """A candidate for each job none of whose devices calculates while most of them look busy, for long enough."""
    used = frame.window(USED, ALL_SPIN_SECONDS)
    spins = (used.coverage >= LEAST_COVERAGE) & (used.least >= FULL_UTILIZATION)
    if not spins.any():
        return
    is_still = frame.window(PIPES, ALL_SPIN_SECONDS).mean <= LEAST_PIPE
    if not (spins & is_still).any():
        return
    is_still &= ~moves_data(frame, ALL_SPIN_SECONDS)
    for key in {frame.device_job[int(row)] for row in np.flatnonzero(spins & is_still)}:
        job = frame.jobs.get(key) if key is not None else None
        if key is None or job is None or len(job.devices) < LEAST_DEVICES:
            continue
        rows = list(job.devices)
        share = float((spins & is_still)[rows].mean())
        if is_still[rows].all() and share >= LEAST_SPINNING:
            yield from _candidate(frame, key, job, is_all=share == 1)


def _candidate(frame: Frame, key: JobKey, job: Job, *, is_all: bool) -> Iterator[Candidate]:
    rows = list(job.devices)

    def read(columns: Columns) -> Array:
        own = Picked(columns, rows)
        return np.stack([np.nanmax(_known(PIPES.read(own)), axis=1), np.nanmax(_known(USED.read(own)), axis=1)], axis=1)

    most, used = frame.trace(TableName.DEVICES, ("spinning", tuple(rows)), read).T
    stood = np.where(most >= 0, np.where((most <= LEAST_PIPE) & (used >= FULL_UTILIZATION), 1.0, -1.0), 0.0)
    since = onset_time(frame, stood)
    came = frame.allocated_since[rows]
    is_before = (frame.time_ms <= since * 1000.0) & (frame.time_ms > np.nanmax(came, initial=0.0) * 1000.0)
    pipes = np.fmax.reduce([frame.values(device.PIPE_ACTIVE, pipe, rows=rows) for pipe in ("tensor", "fp64", "fp32")])
    worked = float(median(mean(pipes[:, is_before]))) if is_before.any() else float("nan")
    seconds = frame.now - since
    if seconds < (ALL_SPIN_SECONDS if is_all else MOST_SPIN_SECONDS) or worked < LEAST_WORKED:
        return
    yield _worded(frame, key, job, since, worked)


def _known(values: Array) -> Array:
    return np.where(np.isnan(values), -1.0, values)


def _worded(frame: Frame, key: JobKey, job: Job, since: float, worked: float) -> Candidate:
    rows, seconds = list(job.devices), frame.now - since
    watts = float(median(mean(frame.values(device.POWER, seconds=ALL_SPIN_SECONDS, rows=rows))))
    drawn = "" if np.isnan(watts) else f" at {watts:.0f} W"
    before = "" if np.isnan(worked) else f", at work {percent(worked)} of the time before"
    return Candidate(
        kind=FindingKind.HANG,
        scope=job_scope(frame, key, rows),
        severity=Severity.WARNING,
        since=since,
        confidence=CONFIDENCE,
        evidence=(
            measured(
                device.PIPE_ACTIVE,
                float(frame.window(PIPES, ALL_SPIN_SECONDS).mean[rows].max()),
                baseline=None if np.isnan(worked) else worked,
                threshold=LEAST_PIPE,
                window_seconds=ALL_SPIN_SECONDS,
            ),
        ),
        summary=f"Job {key[1]} ({count(len(rows), 'device')}) looks busy{drawn} and does nothing:"
        f" full utilization, no data moved, arithmetic pipes still{before}. Ranks that wait in a"
        " collective that never ends look like this.",
        remedy="Find the rank that is not in the collective (py-spy dump on each, NCCL_DEBUG=INFO), look for XIDs and"
        " link errors on its devices and for a checkpoint that does not get done, then restart the job from its last"
        " checkpoint.",
        impact=Impact(lost_device_seconds=round(seconds * len(rows), 1), method="time of all its devices"),
        simulated=is_simulated(frame, job),
        strength=Strength.HOLD if np.isnan(worked) else Strength.RAISE,
    )
