"""A job whose devices wait for their input.

Step phases decide: the share of a step that is spent waiting for the next batch. Ranks in lockstep pass this wait on:
one waits for its own batch, the others for that one in the collective, and the roles may change. So the wait of a job
is that of the rank which waits least in communication, the last to arrive. Thresholds as TraceML warns (10 %) and calls
critical (20 %); XProf's input pipeline analysis draws the same upper line. Device counters cannot tell input wait from
any other wait, so jobs without a step timer are left unjudged.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from enum import IntEnum
from itertools import chain
from math import ceil, isnan
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.detection import Candidate, Detection, Judgement, NotJudged, Strength
from warpgauge.analyzer.detection.cpu import busy_ratio
from warpgauge.analyzer.detection.evidence import measured
from warpgauge.analyzer.detection.phases import BUCKETS, in_buckets
from warpgauge.analyzer.detection.places import is_simulated, nodes_of_jobs, only, whole_job_scope
from warpgauge.analyzer.detection.slowdown import impact_of
from warpgauge.analyzer.detection.windows import (
    Array,
    columns_in,
    confidence,
    coverage,
    mean,
    median,
    onset_time,
    ratio,
)
from warpgauge.analyzer.detection.wording import count, listed, percent, span, times
from warpgauge.analyzer.frame import channel
from warpgauge.analyzer.frame.rolling import Picked, Signal
from warpgauge.analyzer.frame.schema import TableName
from warpgauge.core.catalog import device, host, training
from warpgauge.core.finding import Evidence, FindingKind, Scope, Severity

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.entities import Job, JobKey
    from warpgauge.analyzer.frame.rolling import Columns
    from warpgauge.analyzer.frame.table import Floats, Ints

__all__ = ["InputBound", "loader_remedy"]

WINDOW_SECONDS: Final = 300.0
RAISE_SHARE: Final = 0.10
HOLD_SHARE: Final = 0.07
CRITICAL_SHARE: Final = 0.20
MOST_BUCKETS: Final = BUCKETS - 1  # four of five minutes
LEAST_COVERAGE: Final = 0.8
FEW_RANKS_SHARE: Final = 0.1  # the median rank waits less than this part of the wait: it is not the job's loader
FULL_CPU: Final = 0.9

_PROPER_PHASES: Final = (*(phase for phase in training.PHASES if phase != "checkpoint"), training.TRANSFER)
_PAUSE: Final = 0.5  # less time than this inside steps: the ranks did something else in between
_ROUNDING: Final = 1e-5  # shares are float32


@dataclass(frozen=True, slots=True, kw_only=True)
class _Reading:
    """Input wait of one job, of the pipeline stage where it is longest."""

    job: Job
    rows: tuple[int, ...]  # ranks of that stage
    bucket_share: Array  # [bucket]
    share: float  # over the window
    rank_share: Array  # [rank], each one's own wait over the window
    covered: float

    def is_past(self, threshold: float, buckets: int) -> bool:
        """Whether the window as a whole and enough of its parts pass the threshold."""
        return self.share >= threshold and int((self.bucket_share >= threshold).sum()) >= buckets

    @property
    def culprits(self) -> tuple[int, ...]:
        """The ranks whose input is late while that of most others is not; none if it is late for all."""
        if float(median(self.rank_share)) >= self.share * FEW_RANKS_SHARE:
            return ()
        return tuple(row for row, own in zip(self.rows, self.rank_share, strict=True) if own >= self.share / 2)


class InputBound:
    """Names jobs that wait for data."""

    name = "input_bound"

    def detect(self, frame: Frame) -> Detection:
        """Judge every job whose ranks report step phases."""
        jobs = _jobs(frame)
        verdicts = _screened(frame, jobs)
        found: list[Candidate] = []
        for at in np.flatnonzero(verdicts == _Verdict.OPEN):
            job = jobs.jobs[at]
            reading = _read(frame, job)
            verdicts[at] = _verdict(reading)
            if reading is not None and verdicts[at] == _Verdict.TIMED and reading.is_past(HOLD_SHARE, 1):
                found.append(_candidate(frame, (job.cluster, job.job_id), reading))
        timed, untimed, young = (
            int((verdicts == one).sum()) for one in (_Verdict.TIMED, _Verdict.UNTIMED, _Verdict.YOUNG)
        )
        return Detection(candidates=tuple(found), judged=self._judged(timed), not_judged=self._not(untimed, young))

    def _judged(self, jobs: int) -> Judgement | None:
        what = "jobs, for the share of a step that ranks wait for input"
        return Judgement(detector=self.name, what=what, entities=jobs, window_seconds=WINDOW_SECONDS) if jobs else None

    def _not(self, untimed: int, young: int) -> tuple[NotJudged, ...]:
        missing = training.PHASE_SECONDS.name
        lacks = (
            (untimed, "no step phases; device counters alone cannot tell input wait from other waits", (missing,)),
            (
                young,
                f"steps were reported for less than {span(WINDOW_SECONDS * LEAST_COVERAGE)} of the last minutes",
                (),
            ),
        )
        return tuple(
            NotJudged(detector=self.name, what="whether jobs wait for input", why=why, missing=names, entities=jobs)
            for jobs, why, names in lacks
            if jobs
        )


@dataclass(frozen=True, slots=True)
class _Jobs:
    """All jobs; the ranks of those that have any stand one job after the other."""

    jobs: tuple[Job, ...]
    with_ranks: Ints  # positions in `jobs`
    ranks: Ints  # rows of frame.ranks
    starts: Ints  # of each job with ranks in `ranks`


def _jobs(frame: Frame) -> _Jobs:
    return frame.once("jobs with ranks", lambda: _list_jobs(tuple(frame.jobs.values())), frame.job_version)


def _list_jobs(jobs: tuple[Job, ...]) -> _Jobs:
    with_ranks = np.array([at for at, job in enumerate(jobs) if job.ranks], dtype=np.int64)
    sizes = np.array([len(jobs[at].ranks) for at in with_ranks], dtype=np.int64)
    ranks = np.fromiter(chain.from_iterable(job.ranks for job in jobs), dtype=np.int64)
    return _Jobs(jobs, with_ranks, ranks, np.cumsum(sizes) - sizes)


def _screened(frame: Frame, jobs: _Jobs) -> NDArray[np.int8]:
    """[job], what is plain from window sums alone; OPEN where only a close look can tell.

    The wait of a job is the mean of input waits over the mean of steps, each of some rank in each column. So a job is
    sound when its ranks' longest wait is below `HOLD_SHARE` of their shortest step; or of `_PAUSE` less all that their
    steps fall short of it, so that one phase missing in one column opens nothing; or, where ranks pause and both are
    known together everywhere, when that holds for each rank and column by itself.
    """
    verdicts = np.full(len(jobs.jobs), int(_Verdict.UNTIMED), dtype=np.int8)
    if not len(jobs.ranks):
        return verdicts
    covered = frame.window(_INPUT, WINDOW_SECONDS).coverage[jobs.ranks]
    least, most = (how.reduceat(covered, jobs.starts) for how in (np.minimum, np.maximum))
    limit = HOLD_SHARE * (1 - _ROUNDING)
    longest = np.fmax.reduceat(frame.window(_INPUT, WINDOW_SECONDS).peak[jobs.ranks], jobs.starts)
    shortest = np.fmin.reduceat(frame.window(_STEP, WINDOW_SECONDS).least[jobs.ranks], jobs.starts)
    shortfall = np.add.reduceat(frame.window(_SHORTFALL, WINDOW_SECONDS).total[jobs.ranks], jobs.starts)
    columns = np.minimum.reduceat(frame.window(_STEP, WINDOW_SECONDS).count[jobs.ranks], jobs.starts)
    mean_step = _PAUSE - shortfall / np.maximum(columns, 1)  # at least
    is_sound = longest < limit * np.fmax(shortest, mean_step)
    if (shortest[~is_sound] < _PAUSE).any():
        wait = frame.window(_WAIT, WINDOW_SECONDS).peak[jobs.ranks]
        is_sound |= np.fmax.reduceat(wait, jobs.starts) < limit
    found = np.select(
        (most == 0, (most > 0) & (most < LEAST_COVERAGE), (least >= LEAST_COVERAGE) & is_sound),
        (_Verdict.UNTIMED, _Verdict.YOUNG, _Verdict.TIMED),
        _Verdict.OPEN,
    )
    verdicts[jobs.with_ranks] = found
    return verdicts


def _wait(columns: Columns) -> Floats:
    """Input wait as a share of the step; infinite where one is known and the other or who waits for whom is not."""
    spent, waits = columns.of(training.PHASE_SECONDS, "input"), columns.of(training.PHASE_SECONDS, "communication")
    whole = _step(columns)
    with np.errstate(divide="ignore", invalid="ignore"):
        share = np.where(spent > 0, spent / whole, spent)
    is_odd = (np.isnan(spent) != np.isnan(waits)) | (np.isnan(spent) != np.isnan(whole)) | (whole < 0)
    wait: Floats = np.where(is_odd, np.float32(np.inf), share).astype(np.float32)
    return wait


def _step(columns: Columns) -> Floats:
    """Seconds per second inside steps, of the phases that are known."""
    parts = columns.told(training.PHASE_SECONDS, _PROPER_PHASES)
    is_unknown = np.logical_and.reduce([np.isnan(part) for part in parts])
    step: Floats = np.add.reduce([np.where(np.isnan(part), np.float32(0), part) for part in parts])
    return np.where(is_unknown, np.float32(np.nan), step)


def _shortfall(columns: Columns) -> Floats:
    shortfall: Floats = np.maximum(np.float32(_PAUSE) - _step(columns), np.float32(0))
    return shortfall


_STEP: Final = Signal("step without checkpoints", TableName.RANKS, _step)
_SHORTFALL: Final = Signal("step shorter than a pause", TableName.RANKS, _shortfall)
_ACTIVE: Final = channel(device.COMPUTE_ACTIVE)
_INPUT: Final = channel(training.PHASE_SECONDS, "input")
_WAIT: Final = Signal("input wait", TableName.RANKS, _wait)


class _Verdict(IntEnum):
    """How far a job can be judged."""

    OPEN = 0
    UNTIMED = 1
    YOUNG = 2
    TIMED = 3


def _verdict(reading: _Reading | None) -> _Verdict:
    if reading is None:
        return _Verdict.UNTIMED
    return _Verdict.YOUNG if reading.covered < LEAST_COVERAGE else _Verdict.TIMED


def _read(frame: Frame, job: Job) -> _Reading | None:
    key, count = (job.cluster, job.job_id), frame.window(_INPUT, WINDOW_SECONDS).count
    stages = frame.of_job(key, "stages", lambda: _stages(frame, job))
    measured_of = (rows[count[rows] > 0] for rows in stages)
    readings = [_read_stage(frame, job, rows) for rows in measured_of if len(rows)]
    return max(readings, key=lambda reading: 0.0 if isnan(reading.share) else reading.share, default=None)


def _stages(frame: Frame, job: Job) -> list[Ints]:
    """The ranks of each stage of a job."""
    stages: dict[int | None, list[int]] = {}
    for row in job.ranks:
        stages.setdefault(frame.ranks.entities[row].stage, []).append(row)
    return [np.array(rows, dtype=np.int64) for rows in stages.values()]


def _read_stage(frame: Frame, job: Job, rows: Ints) -> _Reading:
    first = frame.columns - columns_in(frame, WINDOW_SECONDS)
    phases = _Phases.of(frame.columns_of(TableName.RANKS, first), rows)
    spent, whole = phases.last_to_arrive(phases.input), phases.last_to_arrive(phases.step)
    return _Reading(
        job=job,
        rows=tuple(rows.tolist()),
        bucket_share=ratio(in_buckets(spent), in_buckets(whole)),
        share=float(ratio(mean(spent), mean(whole))),
        rank_share=ratio(mean(phases.input), mean(phases.step)),
        covered=float(median(coverage(phases.input))),
    )


def _share_over_time(frame: Frame, rows: tuple[int, ...]) -> Array:
    """[column of the whole frame], share of the step that the last rank to arrive waited for input."""

    def read(columns: Columns) -> Array:
        phases = _Phases.of(columns, rows)
        return ratio(phases.last_to_arrive(phases.input), phases.last_to_arrive(phases.step))

    return frame.trace(TableName.RANKS, ("input wait", rows), read)


@dataclass(frozen=True, slots=True)
class _Phases:
    """Seconds per second of ranks, [rank, column]; in `step` checkpoints are left out: they are no wait for input."""

    input: Array
    communication: Array
    step: Array

    @classmethod
    def of(cls, columns: Columns, rows: Sequence[int] | Ints) -> _Phases:
        """Read some ranks."""
        own = Picked(columns, rows)
        stacked = np.stack([part.T for part in own.told(training.PHASE_SECONDS, _PROPER_PHASES)])
        is_there = np.isfinite(stacked).any(axis=0)
        known = np.where(np.isnan(stacked), np.float32(0), stacked)
        step = np.asarray(np.where(is_there, np.add.reduce(known, axis=0), np.nan))
        waits = {phase: own.of(training.PHASE_SECONDS, phase).T for phase in ("input", "communication")}
        return cls(**waits, step=step)

    def last_to_arrive(self, values: Array) -> Array:
        """Of each column the value of the rank that waited least for others; the median rank's if none tells that."""
        return _of_last_to_arrive(self.communication, values)


def _of_last_to_arrive(waits: Array, values: Array) -> Array:
    known = np.isfinite(waits) & np.isfinite(values)
    last = np.argmin(np.where(known, waits, np.inf), axis=0)
    picked = values[last, np.arange(values.shape[1])]
    is_told = known.any(axis=0)
    return picked if is_told.all() else np.where(is_told, picked, median(values.T))


def _candidate(frame: Frame, key: JobKey, reading: _Reading) -> Candidate:
    share = reading.share
    since = onset_time(frame, (_share_over_time(frame, reading.rows) - share / 2) / share)
    slowdown = 1 / (1 - min(share, 0.99))
    raises = reading.is_past(RAISE_SHARE, MOST_BUCKETS)
    devices = max(len(reading.job.devices), len(reading.job.ranks))
    cpu = _cpu(frame, reading.job)
    return Candidate(
        kind=FindingKind.INPUT_BOUND,
        scope=_scope(frame, reading),
        severity=Severity.CRITICAL if share >= CRITICAL_SHARE else Severity.WARNING,
        since=since,
        confidence=confidence(share / RAISE_SHARE - 1, covered=reading.covered),
        evidence=_evidence(frame, reading, cpu),
        summary=f"Job {key[1]}{_whose(frame, reading)} waits for input {percent(share)} of the last"
        f" {span(WINDOW_SECONDS)}: its steps take {times(slowdown)} as long as without the wait.",
        remedy=_remedy(frame, reading, cpu, slowdown),
        impact=impact_of(
            slowdown, devices=devices, seconds=frame.now - since, method="step time without the input wait"
        ),
        simulated=is_simulated(frame, reading.job),
        strength=Strength.RAISE if raises else Strength.HOLD,
    )


def _scope(frame: Frame, reading: _Reading) -> Scope:
    scope = whole_job_scope(frame, reading.job)
    ranks = [frame.ranks.entities[row] for row in reading.culprits]
    if not ranks:
        return scope
    node = only([rank.node for rank in ranks])
    is_one = len(ranks) == 1
    return replace(scope, node=node, uuid=ranks[0].uuid if is_one else None, rank=ranks[0].rank if is_one else None)


def _whose(frame: Frame, reading: _Reading) -> str:
    if reading.culprits:
        return f", all ranks for {_culprits(frame, reading)},"
    nodes = sorted({frame.ranks.entities[row].node for row in reading.rows} - {""})
    return f" ({count(len(reading.rows), 'rank')}{f' on {listed(nodes)}' if nodes else ''})"


def _culprits(frame: Frame, reading: _Reading) -> str:
    """`rank 3 on n0` or `8 ranks on n0 and rank 9 on n1`."""
    ranks: dict[str, list[int]] = {}
    for row in reading.culprits:
        ranks.setdefault(frame.ranks.entities[row].node, []).append(frame.ranks.entities[row].rank)
    places = sorted(ranks.items(), key=lambda place: (-len(place[1]), place))
    return listed(
        [f"{f'rank {own[0]}' if len(own) == 1 else count(len(own), 'rank')} on {node}" for node, own in places]
    )


def _remedy(frame: Frame, reading: _Reading, cpu: float, slowdown: float) -> str:
    if not reading.culprits:
        return loader_remedy(cpu, slowdown)
    return (
        f"The others have their batches in time, so see first what differs for {_culprits(frame, reading)}: its share"
        " of the data, storage mount, local cache, and who else reads or computes there. If nothing does:"
        f" {loader_remedy(cpu, slowdown)}"
    )


def _cpu(frame: Frame, job: Job) -> float:
    """CPU use of the busiest node of the job, NaN if unknown."""
    sites, nodes = frame.sites, nodes_of_jobs(frame)[job.cluster, job.job_id]
    rows = [int(row) for node in nodes for row in sites.nodes_at((job.cluster, node))]
    busy = frame.once(("busy", WINDOW_SECONDS), lambda: mean(busy_ratio(frame, WINDOW_SECONDS)))
    return float(np.fmax.reduce(busy[rows])) if rows else float("nan")


def loader_remedy(cpu: float, slowdown: float) -> str:
    """As many times the workers as the loader is too slow."""
    workers = f"{times(slowdown)} as high (4 -> {ceil(round(4 * slowdown, 2))})"
    first = f"Set the DataLoader's num_workers {workers}, with prefetch_factor, and turn pin_memory on"
    if np.isnan(cpu):
        return f"{first}; if the node's CPUs or its storage are full already, make each sample cheaper instead."
    if cpu >= FULL_CPU:
        return (
            f"The node's CPUs are {percent(cpu)} busy, so more workers will not help: decode and augment on the device,"
            " store samples preprocessed, or ask for more CPUs per device."
        )
    return (
        f"{first}: the node's CPUs are {percent(cpu)} busy, so there is room. If that changes nothing, the storage is"
        " too slow: cache or shard the data set on a local disk."
    )


def _evidence(frame: Frame, reading: _Reading, cpu: float) -> tuple[Evidence, ...]:
    steps = float(
        median(mean(frame.values(training.STEP_SECONDS, "mean", seconds=WINDOW_SECONDS, rows=reading.job.ranks)))
    )
    active = median(frame.window(_ACTIVE, WINDOW_SECONDS).mean[list(reading.job.devices)])
    columns = columns_in(frame, WINDOW_SECONDS)
    first = measured(
        training.PHASE_SECONDS,
        reading.share,
        labels='{phase="input"}',
        unit="ratio",
        threshold=RAISE_SHARE,
        window_seconds=WINDOW_SECONDS,
        samples=round(reading.covered * columns) * len(reading.rows),
    )
    support = (
        (training.STEP_SECONDS, steps, None),
        (device.COMPUTE_ACTIVE, float(active), None),
        (host.CPU_SECONDS, cpu, "ratio"),
    )
    rows = [
        measured(metric, value, unit=unit, window_seconds=WINDOW_SECONDS)
        for metric, value, unit in support
        if not np.isnan(value)
    ]
    return (first, *rows)
