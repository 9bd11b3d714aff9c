"""Since when the work of a group moves from rank to rank as it does now, and how its ranks scattered before.

On a machine that is used by others too ranks scatter all the time. What is asked close up, where a window is a few
seconds, is therefore whether they scatter more than is usual there, since a moment that can be told.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.anomalies.imbalance.steps import COMPUTE
from warpgauge.analyzer.detection.windows import Array, mean, median, onset_time, ratio
from warpgauge.core.catalog import training

if TYPE_CHECKING:
    from warpgauge.analyzer.anomalies.peers import Group
    from warpgauge.analyzer.frame import Frame

__all__ = ["Episode", "episode_of"]

LEAST_BEFORE: Final = 12  # columns, to know what is usual

_NOTHING: Final = 1e-9  # of the present scatter
_MEDIAN_SQUARE: Final = 0.455  # of a standard normal


@dataclass(frozen=True, slots=True, kw_only=True)
class Episode:
    """When it began, and the deviation of one step in the time before."""

    since: float  # seconds since the epoch
    usual: float  # seconds; NaN where too little is known of that time


def episode_of(frame: Frame, group: Group, seconds: float) -> Episode:
    """The present episode of a group that is judged over so many seconds.

    A column whose variance is that of the newest half of the window speaks for the episode, one with a quarter of it
    against, one with half of it for nothing; it began where the sum from there to now is greatest (Page 1954).
    """
    squares = _squares(frame, group) / _MEDIAN_SQUARE
    newest = max(round(seconds / frame.step_seconds / 2.0), 1)
    now = max(float(mean(squares[-newest:])), np.finfo(np.float64).tiny)
    since = onset_time(frame, 1.0 + np.log2(np.maximum(squares / now, _NOTHING)))
    before = squares[: int(np.searchsorted(frame.time_ms, since * 1000.0 + 1.0))]
    is_known = np.isfinite(before).sum() >= LEAST_BEFORE
    return Episode(since=since, usual=float(np.sqrt(median(before))) if is_known else float("nan"))


def _squares(frame: Frame, group: Group) -> Array:
    """[column], what the median rank's compute time, in one step, differs from the column before, squared."""
    rows = list(group.ranks)
    steps = frame.values(training.STEP_SECONDS, "count", rows=rows).astype(np.float64) * frame.step_seconds
    each = ratio(frame.values(*COMPUTE, rows=rows) * frame.step_seconds, steps)
    known = np.flatnonzero(np.isfinite(each).all(axis=0))
    own, steps = each[:, known] - median(each[:, known].T), steps[:, known]
    weight = 1.0 / (1.0 / steps[:, 1:] + 1.0 / steps[:, :-1])
    found = np.full(each.shape[1], np.nan)
    found[known[1:]] = median((weight * np.diff(own) ** 2).T)
    return found
