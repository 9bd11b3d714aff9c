"""Compute time and steps of all ranks as standing windows, and which groups of peers report them."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.frame.rolling import Signal
from warpgauge.analyzer.frame.schema import TableName
from warpgauge.core.catalog import training

if TYPE_CHECKING:
    from warpgauge.analyzer.anomalies.peers import Groups
    from warpgauge.analyzer.detection.windows import Mask
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.rolling import Columns
    from warpgauge.analyzer.frame.table import Floats

__all__ = ["COMPUTE", "STEPS", "TOTAL", "compute_and_steps", "stage_of", "timed_groups"]

LEAST_COVERAGE: Final = 0.8
COMPUTE: Final = (training.PHASE_SECONDS, "compute")


def timed_groups(frame: Frame, groups: Groups, seconds: float) -> Mask:
    """[group], whether every rank reports compute phases that may be trusted, for most of the window."""
    is_trusted = groups.are_on_cpus | groups.every_rank(frame.has_device_clock)
    return is_trusted & groups.every_rank(frame.window(BOTH_KNOWN, seconds).coverage >= LEAST_COVERAGE)


def compute_and_steps(columns: Columns) -> tuple[Floats, Floats]:
    """Seconds per second computing, and steps per second where there are any."""
    spent, steps = columns.of(*COMPUTE), columns.of(training.STEP_SECONDS, "count")
    return spent, np.where(steps > 0, steps, np.float32(np.nan))


def _both_known(columns: Columns) -> Floats:
    return columns.of(*COMPUTE) + columns.of(training.STEP_SECONDS, "count")


def _steps(columns: Columns) -> Floats:
    return compute_and_steps(columns)[1]


def _total(columns: Columns) -> Floats:
    return columns.of(training.STEP_SECONDS, "sum")


BOTH_KNOWN: Final = Signal("compute and steps known", TableName.RANKS, _both_known)
STEPS: Final = Signal("steps where there are any", TableName.RANKS, _steps)
TOTAL: Final = Signal("seconds of steps", TableName.RANKS, _total)


def stage_of(frame: Frame, row: int) -> int | None:
    """The pipeline stage of a rank."""
    return frame.ranks.entities[row].stage
