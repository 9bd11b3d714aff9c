"""A device, machine or rank that no longer behaves as it did, where nothing else says why.

Three kinds: a level that shifted, a slow drift, a spike that went as it came. They say that something changed, not
that something is wrong, and so are information: read them beside what else was found. A few signals are looked at
whose level means something; a workload moves all of them, so each has its way out: history starts anew when a device
goes to another job, a change that most devices of the job share is the workload's, and so is one that came with a
change of the device's own activity.

A coarse look at means finds the few rows worth it; only these go through the self-history of `warpgauge detect`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.anomalies.chances import chance_of_level
from warpgauge.analyzer.anomalies.self_history import BLOCK_ROWS, LEAST_EFFECT, SelfHistory
from warpgauge.analyzer.bottlenecks.thermal_limited import sm_clock
from warpgauge.analyzer.detection import Candidate, Detection, Judgement, Strength
from warpgauge.analyzer.detection.activity import read_activity
from warpgauge.analyzer.detection.evidence import measured
from warpgauge.analyzer.detection.places import device_scope
from warpgauge.analyzer.detection.windows import Array, Mask, mean, median, onset_columns
from warpgauge.analyzer.detection.wording import device_name, percent
from warpgauge.analyzer.frame import channel
from warpgauge.analyzer.frame.rolling import Picked
from warpgauge.core.catalog import device, host, training
from warpgauge.core.finding import FindingKind, Scope, Severity

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.rolling import Signal as Standing
    from warpgauge.analyzer.frame.rolling import Window
    from warpgauge.core.catalog import Metric

__all__ = ["SIGNALS", "Change", "Signal"]

RECENT_SECONDS: Final = 120.0
HISTORY_SECONDS: Final = 1800.0  # least, before the onset: half of the frame's usual hour
LEAST_COVERAGE: Final = 0.8
SCREEN_DEVIATIONS: Final = 4.0
SCREEN_STRIDE: Final = 6  # every sixth column is enough for a first look
SHIFT_SECONDS: Final = 180.0  # a shift stands so long before it is said
SPIKE_SECONDS: Final = 300.0  # a spike is said this long
ABRUPT_SHARE: Final = 0.6  # of the whole change within a minute: a shift, else a drift
LEAST_MEMBERS: Final = 2
SHARED_SHARE: Final = 0.5  # of the members of a job or cluster: then it is the workload's
ACTIVITY_CHANGE: Final = 0.05  # of the time at work: a device that works otherwise draws otherwise
MOST_ROWS: Final = 200  # looked at closely per signal and tick
STEADY_DEVIATION: Final = 0.10  # of the share of time at work: what works on and off swings by itself
CLOCK_CHANGE: Final = 0.05  # then heat, power or a silent limit is the cause, which other detectors name
PEAK_SHARE: Final = 0.25  # of a row's spike, in a member's: the mean of a scrape spreads one long step over up to four
PEAK_SECONDS: Final = 60.0  # two scrapes of 30 s: so much earlier it may stand in the samples of another target
CONFIDENCE: Final = 0.6
MOST_TOLD_SHARE: Final = 10.0  # of the level before: above, that was next to nothing and its share says nothing
_ROUNDING: Final = 1e-6  # means differ from what they are the mean of by less


@dataclass(frozen=True, slots=True, kw_only=True)
class Signal:
    """Something whose level means something; `least` is the smallest change worth a word."""

    metric: Metric
    extra: tuple[str, ...] = ()
    least_ratio: float = 0.10  # of the level before (Greyhound, ATC'25: below a tenth nothing is lost)
    least_change: float = 0.0  # and in the metric's unit
    may_fall: bool = False  # whether less of it is worth a word too
    what: str
    unit: str  # as it is said behind a number
    per_unit: float = 1.0  # what the number is multiplied by for that
    look: str

    @property
    def standing(self) -> Standing:
        """What its windows are kept of."""
        return channel(self.metric, *self.extra)


SIGNALS: Final = (
    Signal(
        metric=device.TEMPERATURE,
        extra=("core",),
        least_change=6.0,
        what="core temperature",
        unit="°C",
        look="Compare it with its neighbors at the same power; look at fans, air flow and the seat of the heat sink.",
    ),
    Signal(
        metric=device.TEMPERATURE,
        extra=("memory",),
        least_change=6.0,
        what="memory temperature",
        unit="°C",
        look="Compare it with its neighbors at the same power; look at fans, air flow and thermal pads.",
    ),
    Signal(
        metric=device.POWER,
        least_change=40.0,
        may_fall=True,
        what="power draw",
        unit="W",
        look="Compare clocks, activity and power limit with those of its peers.",
    ),
    Signal(
        metric=device.PCIE_REPLAY,
        least_change=1.0,
        what="rate of PCIe replays",
        unit="a second",
        look="A rising rate means slot, riser or cable: look at accel_pcie_link_width and the kernel log (AER).",
    ),
    Signal(
        metric=host.PRESSURE_SECONDS,
        extra=("io", "some"),
        least_change=0.10,
        what="share of time in which tasks waited for storage",
        unit="%",
        per_unit=100.0,
        look="See which disk is busy (host_disk_io_time_seconds_total) and which process reads or writes.",
    ),
    Signal(
        metric=host.NETWORK_RECEIVE_ERRORS,
        least_change=1.0,
        what="rate of network receive errors",
        unit="a second",
        look="Look at cable, transceiver and switch port (ethtool -S, ip -s link).",
    ),
    Signal(
        metric=host.NETWORK_TRANSMIT_ERRORS,
        least_change=1.0,
        what="rate of network transmit errors",
        unit="a second",
        look="Look at cable, transceiver and switch port (ethtool -S, ip -s link).",
    ),
    Signal(
        metric=training.STEP_SECONDS,
        extra=("mean",),
        what="step time",
        unit="s",
        look="Compare the phases of this rank with those of the others, and with a step before the change.",
    ),
)


class Change:
    """Names rows of the frame whose level shifted, drifted or spiked, and that are alone with it."""

    name = "change"

    def detect(self, frame: Frame) -> Detection:
        """Judge every signal that has half an hour of history."""
        candidates: list[Candidate] = []
        judged, workload = 0, _Workload(frame)
        for signal in SIGNALS:
            if not frame.has(signal.metric, *signal.extra):
                continue
            rows, known = _screened(frame, signal)
            judged += known
            candidates += _of_signal(frame, signal, rows, workload)
        what = "signals of devices, machines and ranks, for levels that changed"
        judgement = Judgement(detector=self.name, what=what, entities=judged, window_seconds=frame.step_seconds * 360)
        return Detection(candidates=tuple(candidates), judged=judgement if judged else None)


def _columns(frame: Frame, seconds: float) -> int:
    return max(round(seconds / frame.step_seconds), 1)


def _screened(frame: Frame, signal: Signal) -> tuple[NDArray[np.intp], int]:
    """Rows whose last minutes lie apart from what was before, and how many could be looked at.

    Standing windows settle nearly all rows; the columns are read of those only that they leave open.
    """
    recent, least = _columns(frame, SPIKE_SECONDS), _columns(frame, HISTORY_SECONDS)
    if frame.columns < least + recent or not len(frame.table_of(signal.metric)):
        return np.zeros(0, dtype=np.intp), 0
    whole = frame.window(signal.standing, frame.columns * frame.step_seconds)
    sampled = len(range(0, frame.columns - 2 * recent, SCREEN_STRIDE))
    is_known = (sampled - (frame.columns - whole.count)) * SCREEN_STRIDE >= least * LEAST_COVERAGE
    is_short = whole.count * SCREEN_STRIDE < least * LEAST_COVERAGE
    newest = frame.window(signal.standing, SPIKE_SECONDS)
    is_open = ~is_short & (~is_known | _may_be_far(signal, whole, newest))
    rows = np.flatnonzero(is_open)
    far, has_history = _looked_at(frame, signal, rows, newest)
    return rows[far & has_history], int((is_known & ~is_open).sum() + has_history.sum())


def _may_be_far(signal: Signal, whole: Window, newest: Window) -> Mask:
    """False where the extremes alone tell that no mean of the past can lie far enough from the last minutes."""
    low, high = whole.least.astype(np.float64), whole.peak.astype(np.float64)
    level = np.maximum(np.maximum(low, -high), 0.0)  # no mean is nearer to zero
    away = newest.peak - low
    if signal.may_fall:
        away = np.fmax(away, high - newest.least)
    return np.asarray(away >= _least(signal, level) * (1 - _ROUNDING))


def _looked_at(frame: Frame, signal: Signal, rows: NDArray[np.intp], newest: Window) -> tuple[Mask, Mask]:
    """Of some rows: whether their last minutes lie apart from what was before, and whether enough of that is known."""
    sampled = Picked(frame.columns_of(signal.standing.table), rows, slice(None, -2 * newest.columns, SCREEN_STRIDE))
    past = signal.standing.read(sampled).T
    is_there = np.isfinite(past)
    count = is_there.sum(axis=1)
    usual = np.where(is_there, past, 0.0).sum(axis=1, dtype=np.float64) / np.maximum(count, 1)
    away = newest.peak[rows] - usual
    if signal.may_fall:
        away = np.fmax(away, usual - newest.least[rows])
    has_history = count * SCREEN_STRIDE >= _columns(frame, HISTORY_SECONDS) * LEAST_COVERAGE
    least = _least(signal, usual)
    is_far = np.asarray(away >= least)
    near = np.flatnonzero(is_far & ~(away >= 2 * least))  # only of these their scatter decides
    off = np.where(is_there[near], np.square(past[near] - usual[near, None]), 0.0)
    spread = np.sqrt(off.sum(axis=1) / np.maximum(count[near], 1))
    is_far[near] = away[near] >= SCREEN_DEVIATIONS * spread
    return is_far, has_history


def _least(signal: Signal, level: Array) -> Array:
    return np.maximum(signal.least_ratio * np.abs(level), signal.least_change)


def _of_signal(frame: Frame, signal: Signal, rows: NDArray[np.intp], workload: _Workload) -> Iterator[Candidate]:
    if not len(rows):
        return
    changed = set(rows.tolist())
    groups = _groups(frame, signal, rows)
    alone = _alone(rows.tolist(), groups, changed)
    for row in alone[:MOST_ROWS]:
        found = _judged(frame, signal, _of_rows(frame, signal, row), workload.begin(signal, row))
        if found is None or (found.after < found.before and not signal.may_fall):
            continue
        peers = _of_rows(frame, signal, groups.get(row, []))
        if not _is_common(frame, found, signal, peers) and not workload.explains(signal, row, found):
            yield _candidate(frame, signal, row, found)


def _of_rows(frame: Frame, signal: Signal, rows: int | Sequence[int]) -> Array:
    """[row, column] of the whole frame, or [column] of a single row."""
    return frame.values(signal.metric, *signal.extra, rows=rows)


# ---- whose change it is


def _groups(frame: Frame, signal: Signal, rows: NDArray[np.intp]) -> dict[int, list[int]]:
    """For each row those that would change with it if the workload changed: of its job, or of its cluster."""
    if frame.table_of(signal.metric) is frame.nodes:
        everyone = list(range(len(frame.nodes)))
        return {int(row): everyone for row in rows}
    is_rank = frame.table_of(signal.metric) is frame.ranks
    return frame.once(("changes together", is_rank), lambda: _of_jobs(frame, is_rank=is_rank), frame.job_version)


def _of_jobs(frame: Frame, *, is_rank: bool) -> dict[int, list[int]]:
    groups: dict[int, list[int]] = {}
    for job in frame.jobs.values():
        members = list(job.ranks if is_rank else job.devices)
        groups |= dict.fromkeys(members, members)
    return groups


def _alone(rows: list[int], groups: dict[int, list[int]], changed: set[int]) -> list[int]:
    """Rows whose change most of their group did not share; the rows of a group have one and the same list."""
    is_shared: dict[int, bool] = {}
    for row in rows:
        members = groups.get(row)
        if members is not None and id(members) not in is_shared:
            is_shared[id(members)] = len(members) > 1 and len(changed.intersection(members)) > SHARED_SHARE * len(
                members
            )
    return [row for row in rows if row not in groups or not is_shared[id(groups[row])]]


def _is_common(frame: Frame, found: _Found, signal: Signal, members: Array) -> bool:
    """Whether the members of the row's job or cluster went half of the way with it, taken in the middle.

    Levels are those that the change was found by: its onset may be told too late, by an evaluation or a gap.
    """
    if len(members) < LEAST_MEMBERS:
        return False
    own, least = found.after - found.before, float(_least(signal, np.array(found.before)))
    if found.kind is FindingKind.SPIKE:
        return _all_peak(members, found.onset, own, least, early=_columns(frame, PEAK_SECONDS))
    moved = median(median(members[:, -_columns(frame, RECENT_SECONDS) :]) - median(members[:, : found.onset]))
    return bool(abs(own - moved) < max(abs(own) / 2, least))


def _all_peak(members: Array, onset: int, own: float, least: float, *, early: int) -> bool:
    """Whether most members went the same way for a moment: a checkpoint, which each target tells when it is scraped."""
    usual = median(members[:, max(onset - members.shape[1] // SCREEN_STRIDE, 0) : onset])
    away = np.sign(own) * (members[:, max(onset - early, 0) :] - usual[:, None])
    peaks = np.fmax.reduce(away, axis=1) >= max(PEAK_SHARE * abs(own), least)
    return bool(peaks.mean() > SHARED_SHARE)


class _Workload:
    """What a device was asked to do; read only once something changed."""

    def __init__(self, frame: Frame) -> None:
        self._frame = frame

    def _activity(self, row: int) -> Array:
        frame = self._frame
        return np.asarray(read_activity(frame, SPIKE_SECONDS).values([row], frame.columns * frame.step_seconds)[0])

    @cached_property
    def _since(self) -> Array:
        return self._frame.allocated_since

    def begin(self, signal: Signal, row: int) -> int:
        """First column of the row's present workload."""
        frame = self._frame
        if frame.table_of(signal.metric) is not frame.devices or np.isnan(self._since[row]):
            return 0
        return int(np.searchsorted(frame.time_ms, self._since[row] * 1000.0))

    def explains(self, signal: Signal, row: int, found: _Found) -> bool:
        """Whether the device worked or clocked differently since the onset, works on and off, or nobody can tell.

        Of a spike: whether it worked differently at any time around it, as in a checkpoint.
        """
        frame, onset = self._frame, found.onset
        if frame.table_of(signal.metric) is not frame.devices or signal.metric is device.PCIE_REPLAY:
            return False
        around = _columns(frame, SPIKE_SECONDS)
        activity = self._activity(row)
        before, after = (mean(part) for part in (activity[max(onset - around, 0) : onset], activity[onset:]))
        if not abs(float(after) - float(before)) < ACTIVITY_CHANGE or np.nanstd(activity) > STEADY_DEVIATION:
            return True
        if found.kind is FindingKind.SPIKE:
            moment = activity[max(onset - _columns(frame, PEAK_SECONDS), 0) :] - before
            least = max(ACTIVITY_CHANGE, SCREEN_DEVIATIONS * float(np.nanstd(activity[:onset])))
            return bool(np.nanmax(np.abs(moment)) >= least)
        clock = sm_clock(frame, [row])[0]
        slow, fast = sorted((float(median(clock[:onset])), float(median(clock[onset:]))))
        return fast - slow > CLOCK_CHANGE * fast  # False where no clock is measured


# ---- what it is


@dataclass(frozen=True, slots=True, kw_only=True)
class _Found:
    kind: FindingKind
    onset: int  # column
    before: float
    after: float
    samples: int
    chance: float


def _judged(frame: Frame, signal: Signal, series: Array, begin: int) -> _Found | None:
    """The last change of a series, by its own history; None unless it is large, recent and still there."""
    known = np.flatnonzero(np.isfinite(series))
    known = known[known >= begin]
    if len(known) < _columns(frame, HISTORY_SECONDS) * LEAST_COVERAGE:
        return None
    usual = float(median(series[known]))
    onset = _last_alarm(series[known].astype(np.float64), known, float(_least(signal, np.array(usual))))
    if onset is None:
        return None
    past = series[known[known < onset]]
    since = series[known[known >= onset]]
    before, after = float(median(past)), float(median(since[-_columns(frame, RECENT_SECONDS) :]))
    least = float(_least(signal, np.array(before)))
    peak = float(since[np.argmax(np.abs(since - before))])
    age = (series.shape[-1] - onset) * frame.step_seconds
    if abs(after - before) < least:
        if age <= SPIKE_SECONDS and abs(peak - before) >= least:
            chance = chance_of_level(past, peak - before, 1)
            return _Found(
                kind=FindingKind.SPIKE, onset=onset, before=before, after=peak, samples=len(past), chance=chance
            )
        return None
    passed = max(onset, int(onset_columns((series - (before + after) / 2) / ((after - before) / 2))))
    if (series.shape[-1] - passed) * frame.step_seconds < SHIFT_SECONDS:
        return None
    first = float(median(series[passed:][: _columns(frame, 60.0)]))
    is_abrupt = abs(first - before) >= ABRUPT_SHARE * abs(after - before)
    kind, onset = (FindingKind.LEVEL_SHIFT, passed) if is_abrupt else (FindingKind.DRIFT, onset)
    chance = chance_of_level(past, after - before, _columns(frame, RECENT_SECONDS))
    return _Found(kind=kind, onset=onset, before=before, after=after, samples=len(past), chance=chance)


def _last_alarm(values: NDArray[np.float64], columns: NDArray[np.intp], least: float) -> int | None:
    """Column of the last onset of a change of at least `least`."""
    history, magnitude = SelfHistory(1, judges_roughness=False), np.array([least / LEAST_EFFECT])
    last: int | None = None
    for start in range(0, len(values), BLOCK_ROWS):
        alarms = np.flatnonzero(history.take(values[None, start : start + BLOCK_ROWS], magnitude=magnitude).alarm[0])
        if len(alarms):
            last = int(columns[start + int(alarms[-1])])
    return last


# ---- how it is said


def _candidate(frame: Frame, signal: Signal, row: int, found: _Found) -> Candidate:
    scope, name, simulated = _place(frame, signal, row)
    since = float(frame.time_ms[found.onset]) / 1000.0 - frame.step_seconds
    return Candidate(
        kind=found.kind,
        scope=scope,
        severity=Severity.INFO,
        since=since,
        confidence=CONFIDENCE,
        evidence=(
            measured(
                signal.metric,
                found.after,
                labels=_labels(signal),
                baseline=found.before,
                threshold=found.before
                + np.sign(found.after - found.before) * float(_least(signal, np.array(found.before))),
                window_seconds=frame.now - since,
                samples=found.samples,
            ),
        ),
        summary=f"{name}: {signal.what} {_words(signal, found)}, and nothing else explains it.",
        remedy=signal.look,
        simulated=simulated,
        strength=Strength.RAISE,
        chance=found.chance,
    )


def _words(signal: Signal, found: _Found) -> str:
    """`went from 60 to 72 °C (20 %)`."""
    moment = "spiked" if found.after > found.before else "dipped"
    verb = {FindingKind.LEVEL_SHIFT: "went", FindingKind.DRIFT: "drifted", FindingKind.SPIKE: moment}[found.kind]
    share = abs(found.after - found.before) / abs(found.before) if found.before else np.inf
    change = f" ({percent(share)})" if share <= MOST_TOLD_SHARE else ""
    before, after = (value * signal.per_unit for value in (found.before, found.after))
    return f"{verb} from {before:.4g} to {after:.4g} {signal.unit}{change}"


def _labels(signal: Signal) -> str:
    names = [label for label in signal.metric.labels if label not in {"uuid", "index", "job_id", "rank", "stage"}]
    pairs: Sequence[tuple[str, str]] = list(zip(names, signal.extra, strict=False))
    return "{" + ", ".join(f'{name}="{value}"' for name, value in pairs) + "}" if pairs else ""


def _place(frame: Frame, signal: Signal, row: int) -> tuple[Scope, str, bool]:
    table = frame.table_of(signal.metric)
    if table is frame.devices:
        return device_scope(frame, row), device_name(frame.devices.entities[row]), frame.devices.entities[row].simulated
    if table is frame.nodes:
        node = frame.nodes.entities[row]
        return Scope(cluster=node.cluster, node=node.node), node.node, node.simulated
    rank = frame.ranks.entities[row]
    scope = Scope(
        cluster=rank.cluster, node=rank.node or None, uuid=rank.uuid, job_id=rank.job_id,
        rank=rank.rank if rank.rank >= 0 else None, stage=rank.stage,
    )  # fmt: skip
    return scope, f"rank {rank.rank} of {rank.job_id}", rank.simulated
