"""Data whose size moves from rank to rank, told by how the ranks' compute time scatters from step to step.

Scatter is taken from the differences between one sample and the next (von Neumann 1941), which a level that shifted
once does not touch but at one place; the place where the ranks together differ most is left out. So a machine that
becomes slow is not taken for work that moves. A sample spans several columns where a fleet is read seldom.
Close up, where a window is a few seconds, there are too few samples to leave some out: there the whole effect is asked
for, and that ranks scatter more than is usual on their machines.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from statistics import NormalDist
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.anomalies.imbalance.episode import episode_of
from warpgauge.analyzer.anomalies.imbalance.steps import COMPUTE, STEPS, TOTAL, compute_and_steps, stage_of
from warpgauge.analyzer.anomalies.straggler.lag import are_timed_by_device
from warpgauge.analyzer.anomalies.straggler.neighbor import around, pressure_of
from warpgauge.analyzer.anomalies.straggler.place import nodes_of
from warpgauge.analyzer.anomalies.straggler.sequential import rank_sample_seconds, sample_seconds
from warpgauge.analyzer.detection import Candidate, Strength
from warpgauge.analyzer.detection.evidence import measured
from warpgauge.analyzer.detection.phases import in_buckets, mean_per_step
from warpgauge.analyzer.detection.places import is_simulated
from warpgauge.analyzer.detection.slowdown import impact_of
from warpgauge.analyzer.detection.windows import Array, Mask, confidence, mean, median, onset_time, ratio
from warpgauge.analyzer.detection.wording import count, milliseconds, times
from warpgauge.analyzer.frame.rolling import Signal
from warpgauge.analyzer.frame.schema import TableName
from warpgauge.core.catalog import training
from warpgauge.core.finding import FindingKind, Scope, Severity

if TYPE_CHECKING:
    from warpgauge.analyzer.anomalies.peers import Group, Groups
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.rolling import Columns
    from warpgauge.analyzer.frame.table import Floats

__all__ = ["expected_maximum", "most_lost_to_moving", "moving_candidate", "moving_suspects"]

LEAST_PEERS: Final = 4
RAISE_EFFECT: Final = 0.10  # of the step time may be lost, and half as much is lost for sure
HOLD_EFFECT: Final = 0.06
SURE_SHARE: Final = 0.5  # of the effect: the less that ranks which scatter so lose, whatever the shares are
LEAST_BEFORE_SECONDS: Final = 300.0  # of steps before the onset, to say that the job used to be even
LEAST_MIRRORED: Final = 0.5  # of a rank's scatter must show in its wait, the other way round
LEAST_STEPS: Final = 30.0  # of each rank
CLOSE_STEPS: Final = 20.0  # the same close up, where rises count: TraceML's least for a verdict that matters
MOST_SECONDS: Final = 900.0  # in which there must be so many
LEAST_SAMPLES: Final = 12  # that the window holds, however seldom a fleet is read
LEAST_DIFFERENCES: Final = 2
RAISE_RISE: Final = 2.0  # times the usual deviation, close up
HOLD_RISE: Final = 1.4
CONTENTION_RATIO: Final = 1.5  # times the lost time that tasks waited for a CPU: then that explains it

_SCREENING: Final = 0.6  # the screen looks at each rank alone and lets a common shift count: it is wide by this


@dataclass(frozen=True, slots=True, kw_only=True)
class _Scatter:
    """How much the compute time of a group's ranks scatters from step to step."""

    lost: float  # seconds per step
    lost_parts: Array  # [part]
    mirrored: float  # share of the scatter that shows in the waits
    deviation: float  # of one step of the median rank, seconds
    compute: float  # mean per step
    wait: float
    step: float
    steps: float
    covered: float
    ranks: int
    is_close: bool

    @property
    def slowdown(self) -> float:
        """How many times as long steps take."""
        return self.step / max(self.step - self.lost, 0.01 * self.step)

    @property
    def most_lost(self) -> float:
        """Seconds per step that ranks which scatter so wait at most for the slowest (Samuelson 1968)."""
        return min(self.deviation * float(np.sqrt(self.ranks - 1)), self.wait)

    @property
    def is_costly_either_way(self) -> bool:
        """Whether the middle of what is lost for sure and at most is worth a page, whatever the shares are."""
        return (self.lost + self.most_lost) / 2 >= RAISE_EFFECT * self.step

    def passes(self, effect: float, parts: int, *, least_steps: float = LEAST_STEPS) -> bool:
        """Whether so much is lost, in so many parts of the window, to ranks that take turns."""
        known = self.lost_parts[np.isfinite(self.lost_parts)]
        is_enough = self.steps >= (CLOSE_STEPS if self.is_close else least_steps)
        if self.is_close:
            is_far, shown = self.lost >= effect * self.step, known >= effect * self.step
            often = int(shown.sum()) >= parts
        else:
            is_far = self.lost >= SURE_SHARE * effect * self.step and self.most_lost >= effect * self.step
            shown = known >= SURE_SHARE * HOLD_EFFECT * self.step
            often = len(shown) > 0 and int(shown.sum()) >= min(parts, len(shown))
        return is_far and often and is_enough and self.mirrored >= LEAST_MIRRORED


def _squares(columns: Columns) -> Floats:
    """Steps times the square of a column's mean compute time per step, per second."""
    spent, steps = compute_and_steps(columns)
    with np.errstate(over="ignore"):  # of what nothing real spends; infinite is no value
        squares: Floats = spent * spent / steps
    return squares


def _products(columns: Columns) -> Floats:
    """The same with compute time times wait."""
    spent, steps = compute_and_steps(columns)
    with np.errstate(over="ignore"):
        products: Floats = spent * columns.of(training.PHASE_SECONDS, "communication") / steps
    return products


_SQUARES: Final = Signal("squares of compute per step", TableName.RANKS, _squares)
_PRODUCTS: Final = Signal("compute per step times wait", TableName.RANKS, _products)


def moving_suspects(frame: Frame, groups: Groups, seconds: float) -> Mask:
    """[group], whose ranks scatter and wait the other way round: from window sums alone."""
    compute, wait = (mean_per_step(frame, phase, seconds) for phase in ("compute", "communication"))
    squares, products = (frame.window(one, seconds) for one in (_SQUARES, _PRODUCTS))
    rate = frame.window(STEPS, seconds).mean
    with np.errstate(invalid="ignore"):
        variance = np.maximum(squares.mean - rate * compute**2, 0.0) * frame.step_seconds
        shared = (products.mean - rate * compute * wait) * frame.step_seconds
    width = np.fmax(groups.of_ranks(rank_sample_seconds(frame)) / frame.step_seconds, 1.0)
    deviation = groups.median(groups.of_ranks(np.sqrt(variance)) * np.sqrt(width))
    mirrored = groups.median(groups.of_ranks(ratio(-shared, variance)))
    step = groups.median(groups.of_ranks(ratio(frame.window(TOTAL, seconds).mean, rate)))
    lost = deviation * np.array([expected_maximum(int(size)) for size in groups.sizes])
    is_suspect = (lost >= _SCREENING * SURE_SHARE * HOLD_EFFECT * step) & (mirrored >= _SCREENING * LEAST_MIRRORED)
    return np.asarray(is_suspect & (groups.sizes >= LEAST_PEERS))


@cache
def expected_maximum(ranks: int) -> float:
    """Expected maximum of so many standard normals (Blom 1958)."""
    return NormalDist().inv_cdf((ranks - 0.375) / (ranks + 0.25)) if ranks > 1 else 0.0


def most_lost_to_moving(frame: Frame, group: Group, seconds: float) -> float:
    """Seconds per step that a group waits at most because its work moves from rank to rank; 0 if it does not.

    Of the newest seconds alone too: in what a finding needs beside, the time before the work began to move counts.
    However few the steps: they cannot tell of work that moves, but cast doubt on who blames something else.
    """
    read = (_read(frame, group, seconds, 1), _read(frame, group, seconds, 1, is_longer=False))
    moving = (one for one in read if one is not None and one.passes(HOLD_EFFECT, 1, least_steps=0.0))
    return max((one.most_lost for one in moving), default=0.0)


def moving_candidate(  # noqa: PLR0913 - what tells one look from another
    frame: Frame, group: Group, seconds: float, *, parts: int, most: int, is_close: bool = False
) -> Candidate | None:
    """A candidate for data whose size moves from rank to rank, None below the hold threshold."""
    scatter = _read(frame, group, seconds, parts, is_longer=not is_close, is_close=is_close)
    if scatter is None or not scatter.passes(HOLD_EFFECT, 1):
        return None
    raises = scatter.passes(RAISE_EFFECT, most)
    if is_close:
        episode = episode_of(frame, group, seconds)
        if (
            scatter.deviation < HOLD_RISE * episode.usual
        ):  # one that is not known (NaN) ends nothing, and raises nothing
            return None
        since, raises = episode.since, raises and scatter.deviation >= RAISE_RISE * episode.usual
    else:
        since, was_even = _since(frame, group, scatter)
        raises = raises and (was_even or scatter.is_costly_either_way)
    if _is_contended(frame, group, since, scatter):
        return None
    return _moving(frame, group, seconds, scatter, since, raises=raises)


def _read(  # noqa: PLR0913 - as above
    frame: Frame, group: Group, seconds: float, parts: int, *, is_longer: bool = True, is_close: bool = False
) -> _Scatter | None:
    """The scatter of each rank from sample to sample, what all ranks share taken out.

    A window `is_longer` until it holds enough samples and steps; one that is not has none to spare for a shift.
    """
    if not group.all_report or not are_timed_by_device(frame, group):
        return None
    rows, width = list(group.ranks), 1 if is_close else _columns_of_sample(frame, group)
    if is_longer:
        seconds = _enough_seconds(frame, rows, max(seconds, LEAST_SAMPLES * width * frame.step_seconds))
    counts, total = (
        frame.values(training.STEP_SECONDS, one, seconds=seconds, rows=rows).astype(np.float64)
        for one in ("count", "sum")
    )
    counts = np.where(counts > 0, counts * frame.step_seconds, np.nan)
    compute, wait = (
        ratio(frame.values(training.PHASE_SECONDS, one, seconds=seconds, rows=rows) * frame.step_seconds, counts)
        for one in ("compute", "communication")
    )
    known = np.isfinite(compute + wait).all(axis=0)
    if known.sum() < LEAST_DIFFERENCES + width:
        return None
    found = _differences(compute[:, known], wait[:, known], counts[:, known] * width, width, has_shift=is_longer)
    deviation = float(np.sqrt(median(mean(found.squares))))
    waited, high = float(median(mean(wait))), expected_maximum(len(rows))
    in_parts = np.sqrt(median(in_buckets(found.squares, parts).T)) * high
    return _Scatter(
        lost=min(deviation * high, waited),
        lost_parts=np.minimum(in_parts, waited),
        mirrored=float(median(ratio(-np.nansum(found.products, axis=1), np.nansum(found.squares, axis=1)))),
        deviation=deviation,
        compute=float(median(mean(compute))),
        wait=waited,
        step=float(median(ratio(np.nansum(total, axis=1) * frame.step_seconds, np.nansum(counts, axis=1)))),
        steps=float(np.nansum(counts, axis=1).min()),
        covered=float(np.isfinite(counts).mean()),
        ranks=len(rows),
        is_close=is_close,
    )


def _enough_seconds(frame: Frame, rows: list[int], seconds: float) -> float:
    """So many seconds, or more of them if they hold too few steps."""
    counts = frame.values(training.STEP_SECONDS, "count", seconds=seconds, rows=rows)
    steps = float(mean(counts).min()) * seconds
    return min(1.1 * seconds * LEAST_STEPS / steps, max(MOST_SECONDS, seconds)) if 0 < steps < LEAST_STEPS else seconds


def _columns_of_sample(frame: Frame, group: Group) -> int:
    return max(round(sample_seconds(frame, group) / frame.step_seconds), 1)


@dataclass(frozen=True, slots=True)
class _Differences:
    """[rank, difference]: estimates of one step's variance, and of its covariance with the wait."""

    squares: Array
    products: Array


def _differences(compute: Array, wait: Array, steps: Array, width: int, *, has_shift: bool) -> _Differences:
    """Of one sample, `width` columns, to the next; `steps` is how many a sample holds. A shift may be left out."""
    own, against = (values - median(values.T) for values in (compute, wait))
    one, other = slice(None, -width), slice(width, None)
    weight = 1.0 / (1.0 / steps[:, one] + 1.0 / steps[:, other])
    by_own, by_wait = own[:, other] - own[:, one], against[:, other] - against[:, one]
    squares, products = weight * by_own**2, weight * by_own * by_wait
    if has_shift:
        of_all = np.convolve(squares.sum(axis=0), np.ones(2 * width))[2 * width - 1 :]  # from each difference on
        first = int(np.argmax(of_all))
        shift = slice(first, first + 2 * width)
        squares[:, shift] = products[:, shift] = np.nan
    return _Differences(squares, products)


def _is_contended(frame: Frame, group: Group, since: float, scatter: _Scatter) -> bool:
    """Whether tasks of the group's hosts wait for CPUs so much longer since the onset that the scatter is theirs."""
    rises = []
    for node in dict.fromkeys(nodes_of(frame, group)):
        before, after = around(frame, np.asarray(pressure_of(frame, group.key[0], node)), since)
        rises.append(after - np.nan_to_num(before))
    worst = max((one for one in rises if np.isfinite(one)), default=0.0)
    return worst * scatter.step >= CONTENTION_RATIO * scatter.lost


def _moving(  # noqa: PLR0913 - what a candidate is made of
    frame: Frame, group: Group, seconds: float, scatter: _Scatter, since: float, *, raises: bool
) -> Candidate:
    job, key = frame.jobs[group.key], group.key
    stage = stage_of(frame, group.ranks[0])
    impact = impact_of(
        scatter.slowdown, devices=max(len(job.devices), len(job.ranks)), seconds=frame.now - since,
        method="at least: expected wait for the slowest of normals that scatter as measured",
    )  # fmt: skip
    return Candidate(
        kind=FindingKind.WORKLOAD_IMBALANCE,
        scope=Scope(cluster=key[0], job_id=key[1], stage=stage),
        severity=Severity.WARNING,
        since=since,
        confidence=confidence(
            scatter.most_lost / (RAISE_EFFECT * scatter.step) - 1,
            scatter.mirrored / LEAST_MIRRORED - 1,
            covered=scatter.covered,
        ),
        evidence=(
            measured(
                training.PHASE_SECONDS, scatter.deviation, labels='{phase="compute"}',
                unit="seconds of deviation per step", baseline=scatter.compute,
                threshold=_least_deviation(scatter),
                window_seconds=seconds, samples=int(scatter.steps),
            ),
            measured(
                training.PHASE_SECONDS, scatter.wait, labels='{phase="communication"}', unit="seconds per step",
                baseline=scatter.step, window_seconds=seconds,
            ),
        ),
        summary=f"The work of job {key[1]} is unevenly shared and the large share moves from rank to"
        f" rank: computing takes {milliseconds(scatter.compute)} a step on every one of"
        f" {count(len(group.ranks), 'rank')} but scatters by {milliseconds(scatter.deviation)}, so of the"
        f" {milliseconds(scatter.wait)} that all wait in a step of {milliseconds(scatter.step)},"
        f" {milliseconds(scatter.lost)} at least are for whoever has most: steps take at least"
        f" {times(scatter.slowdown)} as long as with even shares.",
        remedy="Even out what ranks get in one step: batch by the number of tokens and not of samples, sort by length"
        " within a shuffle window or pack sequences, and give the largest samples to different steps. Hardware is not"
        " at fault: move and drain nothing.",
        impact=impact,
        simulated=is_simulated(frame, job),
        strength=Strength.RAISE if raises else Strength.HOLD,
    )  # fmt: skip


def _least_deviation(scatter: _Scatter) -> float:
    """Seconds by which a step of a rank must scatter to count."""
    sure, may = SURE_SHARE / expected_maximum(scatter.ranks), 1.0 / float(np.sqrt(scatter.ranks - 1))
    return RAISE_EFFECT * scatter.step * max(sure, may)


def _since(frame: Frame, group: Group, scatter: _Scatter) -> tuple[float, bool]:
    """The column from which ranks scatter half as much as they do now, and whether they are known to have been even.

    A job whose ranks always scattered is as its data are: of that only what is costly either way is worth a page.
    """
    rows, width = list(group.ranks), _columns_of_sample(frame, group)

    def read(columns: Columns) -> Array:
        spent, steps = columns.of(*COMPUTE)[:, rows], columns.of(training.STEP_SECONDS, "count")[:, rows]
        each = ratio(spent, steps)
        off = each - median(each)[:, None]
        return median(np.sqrt(np.maximum(steps, 0) * frame.step_seconds * width) * np.abs(off))

    trace = frame.trace(TableName.RANKS, ("scatter", tuple(rows)), read)
    since = onset_time(frame, trace / max(scatter.deviation, 1e-9) - 1 / 3)
    before = trace[: len(trace) - round((frame.now - since) / frame.step_seconds)]
    return since, float(np.isfinite(before).sum()) * frame.step_seconds >= LEAST_BEFORE_SECONDS
