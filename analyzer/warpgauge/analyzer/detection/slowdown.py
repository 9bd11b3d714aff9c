"""What a condition costs: step times before and after its onset, and device-seconds lost since."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.detection.windows import mean, median, ratio
from warpgauge.analyzer.frame.schema import TableName
from warpgauge.core.catalog import training
from warpgauge.core.finding import Impact

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.analyzer.detection.windows import Array
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.rolling import Columns

__all__ = ["impact_of", "job_slowdown", "step_ratio_since"]

LEAST_HISTORY_SECONDS: Final = 180.0  # of steps before the onset, to be a baseline
LEAST_RATIO: Final = 1.01


def impact_of(slowdown_ratio: float, *, devices: int, seconds: float, method: str) -> Impact:
    """Device-seconds lost when `devices` worked `seconds` at 1 / `slowdown_ratio` of their speed."""
    lost = (1 - 1 / slowdown_ratio) * devices * seconds
    return Impact(lost_device_seconds=round(lost, 1), slowdown_ratio=round(slowdown_ratio, 4), method=method)


def step_ratio_since(frame: Frame, ranks: Sequence[int], since: float) -> float | None:
    """Step time since the onset as a ratio to the step time before it; None without enough steps before it."""
    first = int(np.searchsorted(frame.time_ms, since * 1000))
    if first * frame.step_seconds < LEAST_HISTORY_SECONDS:
        return None
    steps = _steps(frame, tuple(ranks))
    before, after = steps[:, :first], steps[:, first:]
    history_seconds = np.isfinite(before).any(axis=0).sum() * frame.step_seconds if len(ranks) else 0
    if history_seconds < LEAST_HISTORY_SECONDS:
        return None
    longer = float(ratio(median(mean(after)), median(mean(before))))
    return longer if np.isfinite(longer) else None


def _steps(frame: Frame, ranks: tuple[int, ...]) -> Array:
    """Mean step of each rank in each column of the whole frame, [rank, column]."""
    rows = list(ranks)

    def read(columns: Columns) -> Array:
        total, count = columns.of(training.STEP_SECONDS, "sum")[:, rows], columns.of(training.STEP_SECONDS, "count")
        return ratio(total, count[:, rows])

    return frame.trace(TableName.RANKS, ("steps", ranks), read).T


def job_slowdown(frame: Frame, row: int, since: float, *, own_ratio: float, own_method: str) -> Impact:
    """Cost of a slow device: of its whole job if the job's steps became longer with it, else of the device alone."""
    key = frame.device_job[row]
    job = frame.jobs.get(key) if key is not None else None
    seconds = frame.now - since
    if job is not None:
        longer = step_ratio_since(frame, job.ranks, since)
        if longer is not None and longer >= LEAST_RATIO:
            method = "step time of the job since the onset against before"
            return impact_of(longer, devices=len(job.devices), seconds=seconds, method=method)
    return impact_of(own_ratio, devices=1, seconds=seconds, method=own_method)
