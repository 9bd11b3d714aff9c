"""The phases of training steps, per rank: seconds per second and seconds per step."""

from __future__ import annotations

from functools import cache
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.detection.windows import Array, columns_in, mean, ratio
from warpgauge.analyzer.frame.rolling import Signal
from warpgauge.analyzer.frame.schema import TableName
from warpgauge.core.catalog import training

if TYPE_CHECKING:
    from warpgauge.analyzer.frame import Frame, Ints
    from warpgauge.analyzer.frame.rolling import Columns
    from warpgauge.analyzer.frame.table import Floats

__all__ = [
    "BUCKETS",
    "covered_with_steps",
    "in_buckets",
    "mean_per_step",
    "newest_per_step",
    "per_step",
    "phase_rate",
    "whole_per_step",
]

BUCKETS: Final = 5
"""A window is judged as a whole and in this many parts, of which most must agree."""


def phase_rate(frame: Frame, phase: str, rows: Ints, seconds: float | None = None) -> Array:
    """Seconds per second that ranks spent in a phase, [rank, column], whichever clock timed it."""
    return frame.values(training.PHASE_SECONDS, phase, seconds=seconds, rows=rows)


def mean_per_step(frame: Frame, phase: str, seconds: float) -> Array:
    """Seconds of a phase per step over the window, of all ranks [rank]; what `whole_per_step` says of some of them."""
    spent, steps = (frame.window(one, seconds) for one in _both(phase))
    return frame.once(("per step", phase, seconds), lambda: ratio(spent.mean, steps.mean))


def covered_with_steps(frame: Frame, phase: str, seconds: float) -> Array:
    """Share of the window in which both a phase and the steps are known, of all ranks [rank], 0-1."""
    return frame.window(_both(phase)[0], seconds).coverage


def newest_per_step(frame: Frame, phase: str, seconds: float) -> Array:
    """What `mean_per_step` says, but for rounding, of so short a time that all of it is read anew."""
    columns = frame.columns_of(TableName.RANKS, frame.columns - columns_in(frame, seconds))
    spent, steps = columns.of(training.PHASE_SECONDS, phase), columns.of(training.STEP_SECONDS, "count")
    is_known = np.isfinite(spent) & np.isfinite(steps)
    return ratio(*(np.add.reduce(np.where(is_known, one, 0), axis=0, dtype=np.float64) for one in (spent, steps)))


@cache
def _both(phase: str) -> tuple[Signal, Signal]:
    """Seconds per second in a phase, and steps per second, in the columns where both are known."""

    def spent(columns: Columns) -> Floats:
        return _where_known(columns.of(training.PHASE_SECONDS, phase), columns.of(training.STEP_SECONDS, "count"))

    def steps(columns: Columns) -> Floats:
        return _where_known(columns.of(training.STEP_SECONDS, "count"), columns.of(training.PHASE_SECONDS, phase))

    return Signal(f"{phase} of steps", TableName.RANKS, spent), Signal(f"steps of {phase}", TableName.RANKS, steps)


def _where_known(values: Floats, other: Floats) -> Floats:
    known: Floats = np.where(np.isnan(other), np.float32(np.nan), values)
    return known


def in_buckets(values: Array, buckets: int = BUCKETS) -> Array:
    """Means of equal parts of the last axis, [..., bucket]; NaN where a part has no values."""
    columns = values.shape[-1]
    if columns % buckets == 0:
        return mean(values.reshape(*values.shape[:-1], buckets, columns // buckets))
    return np.stack([mean(part) for part in np.array_split(values, buckets, axis=-1)], axis=-1)


def whole_per_step(spent: Array, steps: Array) -> Array:
    """Seconds of a phase per step over all columns, [rank]: what `mean_per_step` says, where only some ranks are read.

    `spent` are seconds per second in the phase, `steps` steps per second, both [rank, column].
    """
    spent, steps = _both_known(spent, steps)
    return ratio(mean(spent), mean(steps))


def per_step(spent: Array, steps: Array, buckets: int = BUCKETS) -> tuple[Array, Array]:
    """`whole_per_step`, and the same in equal parts of the columns, [rank, bucket].

    Pauses between steps (evaluation, a checkpoint) count in neither, because both sums stand still.
    """
    spent, steps = _both_known(spent, steps)
    return ratio(mean(spent), mean(steps)), ratio(in_buckets(spent, buckets), in_buckets(steps, buckets))


def _both_known(spent: Array, steps: Array) -> tuple[Array, Array]:
    both = np.isfinite(spent) & np.isfinite(steps)
    return np.where(both, spent, np.nan), np.where(both, steps, np.nan)
