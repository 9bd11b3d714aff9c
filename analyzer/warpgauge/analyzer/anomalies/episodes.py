"""From severities to alarms: one at the onset, none while it lasts, none for the way back."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

from warpgauge.analyzer.anomalies.features import ROUGH

if TYPE_CHECKING:
    from warpgauge.analyzer.anomalies.features import Array

__all__ = ["QUIET_SEVERITY", "Episodes", "Walk"]

FREEZE_ROWS: Final = 160  # then what began with the alarm is the new normal
REFRACTORY_ROWS: Final = 64
CLEAR_SEVERITY: Final = 0.7
RETURN_ROWS: Final = 1500  # so long the old normal is remembered
RETURN_SCALES: Final = 4.0
QUIET_SEVERITY: Final = 0.95
"""Severities after an onset stay below 1, so that whatever threshold is put on them finds onsets."""

FATIGUE_PER_ALARM: Final = 0.4
FATIGUE_ROWS: Final = 2500.0
"""A series that alarmed more than once lately must do more for the next one; this is what it forgets in."""

Flags = NDArray[np.bool_]


class Walk:
    """What became of one block."""

    def __init__(self, severity: Array) -> None:
        self.severity = severity.copy()
        self.alarm: Flags = np.zeros(severity.shape, dtype=bool)
        self.learns: Flags = np.ones(severity.shape, dtype=bool)
        self.onsets: list[tuple[int, int]] = []  # (series, row)
        self.adopts: list[int] = []  # series whose present level is normal from now on
        self.returns: list[int] = []  # series that are back at their old level


class Episodes:
    """Where each series stands: quiet after an alarm, learning stopped, the level it had before."""

    def __init__(self, series: int) -> None:
        self._frozen = np.zeros(series, dtype=np.int64)  # rows left
        self._quiet = np.zeros(series, dtype=np.int64)
        self._old_left = np.zeros(series, dtype=np.int64)
        self._old_spread = np.zeros(series)
        self._fatigue = np.zeros(series)
        self.old_level = np.zeros(series)

    @property
    def reluctance(self) -> Array:
        """Factor [series] on the thresholds, 1 for a series with no more than one alarm lately."""
        factor: Array = 1.0 + FATIGUE_PER_ALARM * np.maximum(self._fatigue - 1.0, 0.0)
        return factor

    def walk(self, severity: Array, feature: NDArray[np.intp], values: Array, level: Array, spread: Array) -> Walk:
        """Go through a block [series, row]; `level` and `spread` [series] are what the series has as normal."""
        rows = severity.shape[1]
        self._fatigue *= np.exp(-rows / FATIGUE_ROWS)
        walk = Walk(severity)
        is_eventful = (severity >= 1).any(axis=1) | (self._frozen > 0) | (self._quiet > 0)
        for series in np.flatnonzero(is_eventful).tolist():
            for row in range(rows):
                if self._is_onset(walk, series, row):
                    self._begin(walk, (series, row), int(feature[series, row]), values, (level, spread))
        self._old_left = np.maximum(self._old_left - rows, 0)
        return walk

    def is_frozen(self, series: int) -> bool:
        """Whether learning stands still."""
        return bool(self._frozen[series] > 0)

    def calm(self, before: Episodes) -> None:
        """Be between episodes, as tired as the episodes of `before`."""
        self._frozen[:] = self._quiet[:] = self._old_left[:] = 0
        self._fatigue[:] = before._fatigue

    def _is_onset(self, walk: Walk, series: int, row: int) -> bool:
        severity = float(walk.severity[series, row])
        if self._frozen[series] <= 0 and self._quiet[series] <= 0:
            return severity >= 1
        walk.severity[series, row] = min(severity, QUIET_SEVERITY)
        self._quiet[series] = max(self._quiet[series] - 1, 0)
        if self._frozen[series] > 0:
            walk.learns[series, row] = False
            self._frozen[series] -= 1
            if self._quiet[series] == 0 and severity < CLEAR_SEVERITY:
                self._frozen[series] = 0
            elif self._frozen[series] == 0:
                walk.adopts.append(series)
                self._quiet[series] = REFRACTORY_ROWS
        return False

    def _begin(self, walk: Walk, at: tuple[int, int], feature: int, values: Array, normal: tuple[Array, Array]) -> None:
        series, row = at
        level, spread = (float(one[series]) for one in normal)
        walk.learns[at] = False
        remembers = self._old_left[series] > row
        away = abs(float(values[at]) - float(self.old_level[series]))
        if remembers and feature != ROUGH and away <= RETURN_SCALES * self._old_spread[series]:
            walk.severity[at] = QUIET_SEVERITY
            walk.returns.append(series)
            self._quiet[series] = REFRACTORY_ROWS
            return
        walk.alarm[at] = True
        walk.onsets.append(at)
        self._fatigue[series] += 1
        self._frozen[series], self._quiet[series] = FREEZE_ROWS, REFRACTORY_ROWS
        if not remembers:
            self.old_level[series], self._old_spread[series] = level, spread
        self._old_left[series] = RETURN_ROWS
