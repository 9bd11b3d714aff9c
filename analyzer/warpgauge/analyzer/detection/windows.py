"""What a window of values says: its mean, share and onset, and how one member stands among its peers.

Arrays are [..., column], the newest column last; NaN is a gap and never counts as a value.

These functions read every column they are given: they are for the few rows that a detector looks at closely. For all
rows at every tick there is `Frame.window`, whose `mean` and `coverage` are those of here; a property test holds them
together. A detector asks it first and drops all that cannot hold a finding, by a bound that is sure to be wide enough.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from warpgauge.analyzer.frame import Frame

__all__ = [
    "Array",
    "Mask",
    "columns_in",
    "confidence",
    "coverage",
    "mean",
    "median",
    "onset_columns",
    "onset_time",
    "onset_times",
    "onset_times_of",
    "ratio",
    "robust_z",
    "total",
]

Array = NDArray[np.floating[Any]]
Mask = NDArray[np.bool_]

_MAD_TO_SIGMA: Final = 1.4826  # of a normal distribution
_TINY: Final = np.finfo(np.float32).tiny


def columns_in(frame: Frame, seconds: float) -> int:
    """How many columns of the frame a window of so many seconds has."""
    return min(max(round(seconds / frame.step_seconds), 1), frame.columns)


def mean(values: Array) -> Array:
    """Mean over the last axis of what was measured; NaN where nothing was."""
    is_there = np.isfinite(values)
    if is_there.all() and values.shape[-1]:
        return np.asarray(np.add.reduce(values, axis=-1, dtype=np.float64) / values.shape[-1])
    count = np.add.reduce(is_there, axis=-1, dtype=np.int64)
    total = np.add.reduce(np.where(is_there, values, 0.0), axis=-1, dtype=np.float64)
    return np.asarray(np.where(count > 0, total / np.maximum(count, 1), np.nan))


def total(values: Array) -> Array:
    """Sum over the last axis of what was measured; 0 where nothing was."""
    return np.asarray(np.add.reduce(np.where(np.isnan(values), 0.0, values), axis=-1, dtype=np.float64))


def median(values: Array) -> Array:
    """Median over the last axis of what was measured; NaN where nothing was."""
    if not values.shape[-1]:
        return np.full(values.shape[:-1], np.nan)
    ordered = np.sort(np.asarray(values, dtype=np.float64), axis=-1)  # NaN sorts last
    if np.isfinite(ordered[..., (0, -1)]).all():  # the usual case, in a third of the time
        end = values.shape[-1] - 1
        return np.asarray((ordered[..., end // 2] + ordered[..., (end + 1) // 2]) / 2)
    last = np.maximum(np.isfinite(ordered).sum(axis=-1) - 1, 0)
    first = np.arange(last.size).reshape(last.shape) * values.shape[-1]
    flat = ordered.reshape(-1)
    return np.asarray((flat[first + last // 2] + flat[first + (last + 1) // 2]) / 2)


def ratio(part: Array, whole: Array) -> Array:
    """`part / whole`, NaN where the whole is zero or unknown."""
    quotient = np.full(np.broadcast(part, whole).shape, np.nan)
    np.divide(part, whole, out=quotient, where=whole > 0, dtype=np.float64)
    return quotient


def coverage(values: Array) -> Array:
    """Share of the last axis that was measured, 0-1."""
    return np.asarray(np.add.reduce(np.isfinite(values), axis=-1, dtype=np.int64) / values.shape[-1])


def robust_z(values: Array, floor: float = 0.02) -> Array:
    """Distance of each value from the median of all along the last axis, in robust standard deviations.

    The MAD of healthy peers is often 0, so `floor`, a share of the median, is added to it.
    """
    center = median(values)[..., None]
    spread = _MAD_TO_SIGMA * median(np.abs(values - center))[..., None]
    return np.asarray((values - center) / (spread + floor * np.abs(center) + _TINY))


def onset_columns(excess: Array) -> NDArray[np.intp]:
    """First column of the present episode, for each row of [..., column]: whence the sum of `excess` is greatest.

    `excess` is positive while the condition holds and negative while it does not; this is the CUSUM estimate of a
    change point (Page 1954, Hinkley 1970), which neither a gap nor a single quiet column moves.
    """
    bounded = np.clip(np.where(np.isfinite(excess), excess, 0.0), -1.0, 1.0)
    backward = np.cumsum(bounded[..., ::-1], axis=-1)
    return np.asarray(excess.shape[-1] - 1 - np.argmax(backward, axis=-1))


def onset_time(frame: Frame, excess: Array) -> float:
    """When the present episode began, in seconds since the epoch: the start of its first column."""
    return float(onset_times(frame, excess))


def onset_times(frame: Frame, excess: Array) -> NDArray[np.float64]:
    """`onset_time` of each row of [..., column]."""
    ago = excess.shape[-1] - onset_columns(excess)  # columns from its start to now
    return np.asarray(frame.now - ago * frame.step_seconds, dtype=np.float64)


def onset_times_of(frame: Frame, holds: Mask, known: Mask) -> NDArray[np.float64]:
    """`onset_times` of a condition that holds or does not where it is known; both [column, row], oldest first."""
    steps = known.astype(np.int32)
    steps[known & ~holds] = -1
    ago = 1 + np.argmax(np.cumsum(steps[::-1], axis=0), axis=0)  # columns from its start to now
    return np.asarray(frame.now - ago * frame.step_seconds, dtype=np.float64)


def confidence(*margins: float, covered: float) -> float:
    """0.5 at the thresholds, 0.99 at twice the thresholds, less by what share of the window was not measured.

    A margin is (value - threshold) / threshold, or its mirror where falling below is what counts.
    """
    mean_margin = sum(min(max(margin, 0.0), 1.0) for margin in margins) / max(len(margins), 1)
    return round(min(max(covered, 0.0), 1.0) * (0.5 + 0.49 * mean_margin), 3)
