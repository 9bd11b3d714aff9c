"""What each allocated device and each job is bound by: exactly one class, or an honest "mixed" or "undetermined".

A device has the class of the first rule that applies to its last five minutes, if at least four of the five minutes say
the same; a job that of most of its devices. All of the fleet is screened by window means; `judge` looks closely at one.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.bottlenecks.departures import has_shrunk
from warpgauge.analyzer.bottlenecks.levels import Levels, column_levels, growth_bound, mean_levels
from warpgauge.analyzer.bottlenecks.rules import HOLD, ORDER, RAISE, Setting, classify, missing_for
from warpgauge.analyzer.bottlenecks.step_shares import UNTIMED, JobShares, Shares, fleet_shares, job_shares
from warpgauge.analyzer.bottlenecks.thermal_limited import read_thermal
from warpgauge.analyzer.detection.cpu import BUSY
from warpgauge.analyzer.detection.phases import BUCKETS, in_buckets
from warpgauge.analyzer.detection.windows import Array, Mask, columns_in, mean
from warpgauge.analyzer.frame.schema import TableName
from warpgauge.core.catalog import device
from warpgauge.core.finding import FindingKind

if TYPE_CHECKING:
    from collections.abc import Sequence

    from numpy.typing import NDArray

    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.entities import Job
    from warpgauge.analyzer.frame.table import Ints

__all__ = [
    "MOST_PARTS",
    "WINDOW_SECONDS",
    "DeviceClass",
    "Places",
    "Verdict",
    "fleet_classes",
    "is_lowered",
    "judge",
    "judge_device",
    "places_of_jobs",
]

WINDOW_SECONDS: Final = 300.0
MOST_PARTS: Final = BUCKETS - 1  # four of five minutes
LEAST_COVERAGE: Final = 0.8
LOWERED_LIMIT: Final = 0.97  # of the board's default power limit: less was set by somebody


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceClass:
    """The class of one device."""

    row: int  # of frame.devices
    kind: FindingKind
    agreement: float  # share of the measured minutes with the same class, 0-1
    missing: tuple[str, ...] = ()  # metrics that would tell, where undetermined


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """The class of a job, or of a device that no job is known to hold (`job` is None)."""

    kind: FindingKind
    held: FindingKind  # the class at the thresholds that keep a finding open
    job: Job | None
    rows: tuple[int, ...]  # of its devices
    devices: tuple[DeviceClass, ...]
    levels: Levels  # [device], means of the window; one of NaN for a job without devices
    steps: JobShares
    setting: Setting
    agreement: float  # of the devices that have the class: share of the minutes that agree
    covered: float  # share of the window that was measured, 0-1
    is_young: bool  # held or measured for less than most of the window
    missing: tuple[str, ...]
    nodes: int  # that the job stands on, 0 if unknown

    @property
    def members(self) -> list[int]:
        """Positions of the devices that have the job's class, all if there is none of that class."""
        chosen = [at for at, one in enumerate(self.devices) if one.kind is self.kind]
        return chosen or list(range(max(len(self.devices), 1)))

    def level(self, name: str) -> float:
        """Median of a level over the devices that have the job's class; NaN where none measures it."""
        values = np.asarray(getattr(self.levels, name), dtype=np.float64)[self.members]
        known = values[np.isfinite(values)]
        return float(np.median(known)) if len(known) else float("nan")

    @property
    def devices_lost(self) -> int:
        """How many devices a slowdown of the job slows down."""
        return max(len(self.rows), len(self.job.ranks) if self.job else 0)

    def share(self, phase: str) -> float:
        """Share of a step, NaN where not known or not believed."""
        return float(getattr(self.steps.whole, phase))


def judge(frame: Frame, job: Job) -> Verdict:
    """Look closely at a job."""
    return _judge(frame, job, job.devices, job_shares(frame, job, _first(frame)))


def judge_device(frame: Frame, row: int) -> Verdict:
    """Look closely at a device that no job is known to hold."""
    return _judge(frame, None, (row,), UNTIMED)


def _first(frame: Frame) -> int:
    return frame.columns - columns_in(frame, WINDOW_SECONDS)


def _judge(frame: Frame, job: Job | None, rows: Sequence[int], steps: JobShares) -> Verdict:
    levels, parts, covered = _seen(frame, rows)
    setting = _setting(frame, rows, job, growth=_lasting_growth(parts.fill))
    whole = classify(levels, _each(steps.whole), setting, RAISE)
    of_parts = classify(parts, steps.parts, _per_part(setting), RAISE)
    is_young = covered < LEAST_COVERAGE and not (steps.is_timed and not rows)
    classes = [
        _device_class(levels, steps.whole, int(whole[at]), of_parts[at], at, row=row, is_young=is_young)
        for at, row in enumerate(rows or (-1,))
    ]
    kind = _majority([one.kind for one in classes])
    held = _majority([ORDER[int(code)] for code in classify(levels, _each(steps.whole), setting, HOLD)])
    agreeing = [one.agreement for one in classes if one.kind is kind]
    return Verdict(
        kind=kind,
        held=FindingKind.UNDETERMINED if is_young else held,
        job=job,
        rows=tuple(rows),
        devices=tuple(classes) if rows else (),
        levels=levels,
        steps=steps,
        setting=setting,
        agreement=float(np.mean(agreeing)) if agreeing else 0.0,
        covered=covered if rows else float(steps.is_timed),
        is_young=is_young,
        missing=tuple(dict.fromkeys(name for one in classes for name in one.missing)),
        nodes=len(_nodes_of(frame, rows, job)),
    )


def _seen(frame: Frame, rows: Sequence[int]) -> tuple[Levels, Levels, float]:
    """Levels over the window [device] and in its parts [device, part], and the share of the window measured.

    What was measured before the job came says nothing about the job.
    """
    if not rows:
        nothing = np.full((1, BUCKETS), np.nan)
        parts = Levels(**dict.fromkeys(Levels.__slots__, nothing))
        return parts.map(lambda values: values[:, 0]), parts, 0.0
    first = _first(frame)
    since = frame.allocated_since[list(rows)]
    is_before = frame.time_ms[first:, None] <= np.nan_to_num(since, nan=0.0)[None, :] * 1000.0
    columns = column_levels(frame, frame.columns_of(TableName.DEVICES, first), rows)
    own = columns.map(lambda values: np.where(is_before, np.nan, values).T)
    is_measured = np.isfinite(own.engine) | np.isfinite(own.fill) | np.isfinite(own.clock)
    return own.map(mean), own.map(in_buckets), float(is_measured.mean())


def _lasting_growth(fill: Array) -> Array:
    """[device], how much of [device, part] was filled since the first part and since the second, whichever is less.

    What was taken at one go is memory taken in advance: at a job's start, in the middle of a job, or by the job before,
    whose last value an exporter that reads every 30 s still shows under the next job's name.
    """
    return np.minimum(fill[:, -1] - fill[:, 0], fill[:, -1] - fill[:, 1])


def _setting(frame: Frame, rows: Sequence[int], job: Job | None, growth: Array) -> Setting:
    sites = frame.sites.of_device[list(rows)] if rows else np.zeros(1, dtype=np.int64)
    hot = read_thermal(frame).is_limited[list(rows)] if rows else np.zeros(1, dtype=bool)
    has_peers = job is not None and max(len(job.devices), len(job.ranks)) > 1
    had_peers = job is not None and has_shrunk(frame, job, WINDOW_SECONDS)
    return Setting(
        is_hot=hot,
        is_alone=np.full(len(hot), not (has_peers or had_peers)),
        is_spread=np.full(len(hot), len(_nodes_of(frame, rows, job)) > 1),
        cpu=_cpu_of_sites(frame)[sites] if rows else _cpu_of_ranks(frame, job),
        growth=growth,
    )


def _nodes_of(frame: Frame, rows: Sequence[int], job: Job | None) -> set[str]:
    nodes = {frame.devices.entities[row].node for row in rows}
    return (nodes or {frame.ranks.entities[row].node for row in (job.ranks if job else ())}) - {""}


def _cpu_of_sites(frame: Frame) -> Array:
    """[site], share of the CPUs at work."""
    busy = np.full(len(frame.sites.keys), np.nan)
    if len(frame.nodes):
        busy[frame.sites.of_node] = frame.window(BUSY, WINDOW_SECONDS).mean
    return busy


def _cpu_of_ranks(frame: Frame, job: Job | None) -> Array:
    ranks = [frame.ranks.entities[row] for row in (job.ranks if job else ())]
    numbers = frame.sites.numbers
    sites = {numbers.get((rank.cluster, rank.node), -1) for rank in ranks} - {-1}
    busy = _cpu_of_sites(frame)[sorted(sites)]
    return np.array([np.fmax.reduce(busy) if len(busy) else np.nan])


def _each(shares: Shares) -> Shares:
    """Scalars as arrays of one element, to stand beside [device]."""
    return Shares(**{name: np.atleast_1d(getattr(shares, name)) for name in Shares.__slots__})


def _per_part(setting: Setting) -> Setting:
    return Setting(**{name: getattr(setting, name)[:, None] for name in Setting.__slots__})


def _device_class(  # noqa: PLR0913 - what one device's class is made of
    levels: Levels, shares: Shares, code: int, parts: Ints, at: int, *, row: int, is_young: bool
) -> DeviceClass:
    kind = ORDER[code]
    agreeing = int((parts == code).sum())
    if is_young:
        return DeviceClass(row=row, kind=FindingKind.UNDETERMINED, agreement=1.0)
    if kind is FindingKind.UNDETERMINED:
        return DeviceClass(row=row, kind=kind, agreement=1.0, missing=missing_for(levels, shares, at))
    if kind is not FindingKind.MIXED and agreeing < MOST_PARTS:
        kind = FindingKind.MIXED
    return DeviceClass(row=row, kind=kind, agreement=agreeing / BUCKETS)


def _majority(kinds: Sequence[FindingKind]) -> FindingKind:
    """The class of more than half; mixed if there is none, undetermined if for most none can be told."""
    (kind, number), *_ = Counter(kinds).most_common(1)
    if 2 * number > len(kinds):
        return kind
    told = [one for one in kinds if one is not FindingKind.UNDETERMINED]
    return FindingKind.MIXED if 2 * len(told) > len(kinds) else FindingKind.UNDETERMINED


def fleet_classes(frame: Frame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """Class of every device by its window means alone, at the thresholds that raise and at those that hold.

    A screening: which jobs deserve a close look, and how much of the fleet can be judged.
    """
    return frame.once("classes", lambda: _fleet_classes(frame))


def _fleet_classes(frame: Frame) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    places = places_of_jobs(frame)
    levels = mean_levels(frame, WINDOW_SECONDS)
    of_jobs = fleet_shares(frame, places.jobs, WINDOW_SECONDS)
    shares = Shares(**{name: places.spread(getattr(of_jobs, name)) for name in Shares.__slots__})
    setting = Setting(
        is_hot=read_thermal(frame).is_limited,
        is_alone=places.is_alone,
        is_spread=places.is_spread,
        cpu=_cpu_of_sites(frame)[frame.sites.of_device],
        growth=growth_bound(frame, WINDOW_SECONDS),
    )
    return classify(levels, shares, setting, RAISE), classify(levels, shares, setting, HOLD)


@dataclass(frozen=True, slots=True)
class Places:
    """Which job holds which device, as numbers."""

    jobs: tuple[Job, ...]
    job_of: Ints  # [device], -1 where none
    is_alone: Mask  # [device]
    is_spread: Mask  # [device]
    sizes: Ints  # [job], how many devices it holds

    @classmethod
    def of(cls, frame: Frame, jobs: tuple[Job, ...]) -> Places:
        """Look up every device's job."""
        numbers = {(job.cluster, job.job_id): at for at, job in enumerate(jobs)}
        of_names = np.array([-1 if key is None else numbers.get(key, -1) for key in frame.job_names], dtype=np.int64)
        job_of = of_names[frame.device_job_names]
        alone = [max(len(job.devices), len(job.ranks)) <= 1 for job in jobs]
        spread = frame.of_jobs("spread jobs", lambda _, job: len(_nodes_of(frame, job.devices, job)) > 1).values()
        sizes = np.array([len(job.devices) for job in jobs], dtype=np.int64)
        return cls(jobs, job_of, np.array([*alone, True])[job_of], np.array([*spread, False])[job_of], sizes)

    def spread(self, of_jobs: Array) -> Array:
        """[device] out of [job]."""
        return np.append(of_jobs, np.nan)[self.job_of]


def places_of_jobs(frame: Frame) -> Places:
    """Of the jobs as they are now."""
    return frame.once("places of jobs", lambda: Places.of(frame, tuple(frame.jobs.values())), frame.job_version)


def is_lowered(frame: Frame) -> Mask:
    """[device], whether somebody set the power limit below the board's own."""
    enforced, default = (frame.latest(device.POWER_LIMIT, limit) for limit in ("enforced", "default"))
    with np.errstate(invalid="ignore"):
        return np.asarray(enforced < LOWERED_LIMIT * default)
