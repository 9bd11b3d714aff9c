"""What the steps of jobs spend their time on, and whose word counts for it.

Waiting for input and the host's own work are timed by the host's clock and believed. Compute and communication on an
accelerator run on while the host has already moved on, so they count only where the device's clock timed them; on a
job without accelerators the host's clock is the only one and right. Ranks in lockstep wait for the slowest, which
shows as communication: the job's own is that of the rank which waits least, column by column.
"""

from __future__ import annotations

from dataclasses import dataclass
from itertools import chain
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.detection.phases import in_buckets
from warpgauge.analyzer.detection.windows import Array, Mask, mean, median, ratio
from warpgauge.analyzer.frame import channel
from warpgauge.analyzer.frame.rolling import Picked, Signal
from warpgauge.analyzer.frame.schema import TableName
from warpgauge.core.catalog import training

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.entities import Job
    from warpgauge.analyzer.frame.rolling import Columns
    from warpgauge.analyzer.frame.table import Floats, Ints

__all__ = ["LEAST_COVERAGE", "UNTIMED", "JobShares", "Shares", "fleet_shares", "job_shares", "shares_over_time"]

LEAST_COVERAGE: Final = 0.8
LEAST_HEARD: Final = 0.9  # of a job's ranks: the one that all wait for may be on the machine that is silent
PROPER_PHASES: Final = tuple(phase for phase in training.PHASES if phase != "checkpoint")


@dataclass(frozen=True, slots=True, kw_only=True)
class Shares:
    """Shares of a step, 0-1, of one shape; NaN where not timed, or not by a clock that counts."""

    input: Array
    communication: Array
    compute: Array
    other: Array
    computing: Array  # share of all time in the compute phase: pauses and checkpoints count


@dataclass(frozen=True, slots=True, kw_only=True)
class JobShares:
    """One job's steps in the window."""

    whole: Shares  # scalars as arrays of no dimension
    parts: Shares  # [part]
    step_seconds: float  # of a usual one: that in which the job paused counts for no more; NaN if unknown
    is_timed: bool  # there are step phases for enough of the window
    is_trusted: bool  # compute and communication count


def _step(columns: Columns) -> Floats:
    """Seconds per second inside steps; a checkpoint is none of the waits that the rules are about."""
    parts = columns.told(training.PHASE_SECONDS, (*PROPER_PHASES, training.TRANSFER))
    is_unknown = np.logical_and.reduce([np.isnan(part) for part in parts])
    total = np.add.reduce([np.where(np.isnan(part), np.float32(0), part) for part in parts])
    step: Floats = np.where(is_unknown, np.float32(np.nan), total)
    return step


_STEP: Final = Signal("seconds in steps", TableName.RANKS, _step)
_PHASES: Final = {phase: channel(training.PHASE_SECONDS, phase) for phase in PROPER_PHASES}


@dataclass(frozen=True, slots=True)
class _Ranked:
    """The jobs with ranks, whose ranks stand one job after the other."""

    jobs: Ints  # position in the list of jobs
    ranks: Ints
    starts: Ints


def fleet_shares(frame: Frame, jobs: Sequence[Job], seconds: float) -> Shares:
    """[job], from window sums alone: what `job_shares` finds, or a little more, for communication, compute and other.

    For screening with thresholds that are lower than those of the close look. Input is left out (NaN): no job may be
    dropped for a wait that the close look does not confirm.
    """
    unknown = np.full(len(jobs), np.nan)
    ranked = frame.once("ranked jobs", lambda: _rank(jobs), frame.job_version)
    if not len(ranked.ranks):
        return Shares(**dict.fromkeys(_FIELDS, unknown))
    step = frame.window(_STEP, seconds)
    found = {"input": unknown}
    is_trusted = np.minimum.reduceat(_is_trusted(frame, jobs, ranked), ranked.starts)
    for phase, reduce in (("communication", np.fmin), ("compute", np.fmax), ("other", np.fmax)):
        spent = ratio(frame.window(_PHASES[phase], seconds).mean, step.mean)[ranked.ranks]
        of_jobs = reduce.reduceat(spent, ranked.starts)
        share = unknown.copy()
        share[ranked.jobs] = of_jobs if phase == "other" else np.where(is_trusted, of_jobs, np.nan)
        found[phase] = share
    rate = np.fmax.reduceat(frame.window(_PHASES["compute"], seconds).mean[ranked.ranks], ranked.starts)
    found["computing"] = unknown.copy()
    found["computing"][ranked.jobs] = np.where(is_trusted, rate, np.nan)
    return Shares(**found)


def _rank(jobs: Sequence[Job]) -> _Ranked:
    with_ranks = np.array([at for at, job in enumerate(jobs) if job.ranks], dtype=np.int64)
    sizes = np.array([len(jobs[at].ranks) for at in with_ranks], dtype=np.int64)
    ranks = np.fromiter(chain.from_iterable(job.ranks for job in jobs), dtype=np.int64)
    return _Ranked(with_ranks, ranks, np.cumsum(sizes) - sizes)


def _is_trusted(frame: Frame, jobs: Sequence[Job], ranked: _Ranked) -> Mask:
    sizes = np.diff(np.append(ranked.starts, len(ranked.ranks)))
    on_cpus = np.array([not jobs[at].devices for at in ranked.jobs], dtype=bool)
    return np.asarray(frame.has_device_clock[ranked.ranks] | np.repeat(on_cpus, sizes))


def job_shares(frame: Frame, job: Job, first: int) -> JobShares:
    """Look closely at one job from column `first` on."""
    if not job.ranks:
        return UNTIMED
    spent = _spent(frame.columns_of(TableName.RANKS, first), job.ranks)
    is_timed = float(np.isfinite(spent["step"]).mean()) >= LEAST_COVERAGE
    is_trusted = not job.devices or bool(frame.has_device_clock[list(job.ranks)].all())
    step_seconds = float(median(median(frame.values(training.STEP_SECONDS, "mean", rows=list(job.ranks))[:, first:])))
    if not is_timed:
        return UNTIMED
    return JobShares(
        whole=_believed({name: mean(values.T) for name, values in spent.items()}, is_trusted=is_trusted),
        parts=_believed({name: in_buckets(values.T) for name, values in spent.items()}, is_trusted=is_trusted),
        step_seconds=step_seconds,
        is_timed=True,
        is_trusted=is_trusted,
    )


def shares_over_time(frame: Frame, job: Job, columns: Columns) -> Shares:
    """[column], for the onset."""
    if not job.ranks:
        return _UNKNOWN
    is_trusted = not job.devices or bool(frame.has_device_clock[list(job.ranks)].all())
    return _believed(_spent(columns, job.ranks), is_trusted=is_trusted)


def _believed(spent: dict[str, Array], *, is_trusted: bool) -> Shares:
    shares = {name: ratio(spent[name], spent["step"]) for name in PROPER_PHASES}
    shares["computing"] = np.asarray(spent["compute"], dtype=np.float64)
    if not is_trusted:
        shares |= {name: np.full_like(shares[name], np.nan) for name in ("communication", "compute", "computing")}
    return Shares(**shares)


def _spent(columns: Columns, ranks: Sequence[int]) -> dict[str, Array]:
    """[column], seconds per second in each phase, of the rank that waited least for others in that column.

    Where that rank may be one of those that are not heard of, what the others wait is not known to be communication.
    """
    own = Picked(columns, list(ranks))
    phases = {phase: own.of(training.PHASE_SECONDS, phase) for phase in PROPER_PHASES}
    step = _step(own)
    waits = np.where(np.isfinite(phases["communication"]) & np.isfinite(step), phases["communication"], np.inf)
    last = np.argmin(waits, axis=1)
    at = np.arange(len(last))
    is_told = np.isfinite(waits[at, last])
    every = {**phases, "step": step}
    found = {name: np.where(is_told, values[at, last], median(values)) for name, values in every.items()}
    is_heard = np.isfinite(waits).mean(axis=1) >= LEAST_HEARD
    found["communication"] = np.where(is_told & ~is_heard, np.nan, found["communication"])
    return found


_FIELDS: Final = (*PROPER_PHASES, "computing")
_UNKNOWN: Final = Shares(**dict.fromkeys(_FIELDS, np.array(np.nan)))
UNTIMED: Final = JobShares(whole=_UNKNOWN, parts=_UNKNOWN, step_seconds=float("nan"), is_timed=False, is_trusted=False)
"""Of a job without step phases."""
