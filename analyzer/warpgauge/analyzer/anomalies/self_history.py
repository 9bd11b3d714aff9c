"""How unusual each value is against the past of its own series: spikes, shifts, drifts, storms and stuck values.

Works on blocks [series, row], oldest first, of any number of series at once. What was learnt stands still within a
block, and a row is judged by it and by the rows before it alone, so nothing that follows changes a score. Each of the
five features has a location and a scale of its own: exponentially weighted, in steps clipped at four scales (Huber
1964), so that a fault does not train itself, and with a longer memory the further the feature looks back. Its
threshold is the larger of five scales, of what the tail of its past gives (`tails.py`), and of a least effect.
"""

from __future__ import annotations

from typing import Final, NamedTuple

import numpy as np
from numpy.typing import NDArray

from warpgauge.analyzer.anomalies.episodes import QUIET_SEVERITY, Episodes, Walk
from warpgauge.analyzer.anomalies.features import FEATURES, ROUGH, ROUGH_ROWS, TAIL_ROWS, Array, read_features
from warpgauge.analyzer.anomalies.tails import Tails

__all__ = ["BLOCK_ROWS", "LEAST_EFFECT", "WARM_UP_ROWS", "SelfHistory", "Verdict"]

BLOCK_ROWS: Final = 64
WARM_UP_ROWS: Final = 96
WARM_UP_OF: Final = np.array([96, 96, 160, 640, 256])  # rows before a feature judges
LOCATION_ROWS: Final = np.array([1000.0, 600.0, 600.0, 2000.0, 1000.0])
SCALE_ROWS: Final = 1500.0
RAISE_SCALES: Final = 5.0
CLIP_SCALES: Final = 4.0
LEAST_EFFECT: Final = 0.03  # of the usual magnitude
LEAST_ROUGHENING: Final = 0.5  # of a natural logarithm: 1.65 times the usual step, or 0.6 of it
LEARNS_OF_ALARM: Final = 3.0  # thresholds: the most that an alarm adds to the tail
SEVEREST: Final = 1e6
_TO_SIGMA: Final = 1.2533  # mean absolute deviation of a normal distribution
LEAST_GRAINS: Final = 0.9
GRAIN_MOVES: Final = 6
STILL_SHARE: Final = 0.05  # of the usual step
_ROUNDING: Final = 12.0**-0.5  # standard deviation of a rounding error, in grains
_ROWS_IN_MEAN: Final = np.array([1.0, 1.0, 8.0, 64.0, np.inf])
_UP: Final = np.arange(len(FEATURES)) != 0  # a jump is a difference already: its location is 0

Flags = NDArray[np.bool_]


class Verdict(NamedTuple):
    """What a block was found to be, [series, row]."""

    severity: Array  # 1 at the threshold, below 1 while an episode lasts
    alarm: Flags  # at the onset only
    feature: NDArray[np.intp]  # the one that says so, index into FEATURES


class SelfHistory:
    """The past of some series. Blocks have `BLOCK_ROWS` rows, the last one may have fewer; nothing is NaN."""

    def __init__(self, series: int, *, judges_roughness: bool = True) -> None:
        self.rows = 0
        self._judges = np.arange(len(FEATURES)) != (-1 if judges_roughness else ROUGH)
        self.location = np.zeros((series, len(FEATURES)))
        self.scale = np.zeros((series, len(FEATURES)))
        self.magnitude = np.zeros(series)
        self.episodes = Episodes(series)
        self._step = np.zeros(series)
        self._resolution = np.full(series, np.inf)  # smallest step other than 0
        self._moves = np.zeros(series)  # steps other than 0
        self._learnt = np.zeros(series)
        self.adopted = np.zeros(series)  # how far the last block moved what is normal by decision
        self._tail = np.zeros((series, 0))
        self._tails = Tails(series)

    def take(
        self,
        values: Array,
        *,
        hushed: Flags | None = None,
        adopts: bool = False,
        magnitude: Array | None = None,
        caution: float = 1.0,
    ) -> Verdict:
        """Judge a block, then learn from it.

        `hushed` rows are learnt from and never alarm (they follow a gap); with `adopts` the level at the end of the
        block becomes the normal one; `magnitude` [series] is what the least effect is a share of, where `values` are
        residuals; `caution` is a factor on the thresholds of the features that look at the level.
        """
        whole = np.concatenate([self._tail, values], axis=1)
        behind = self._tail.shape[1]
        if not behind:
            verdict = self._first(values)
        else:
            usual = self.magnitude if magnitude is None else magnitude
            deviations = read_features(whole, behind, self._still(usual)) - self.location[:, :, None]
            limits = self._limits(usual)
            limits[:, :, 1:ROUGH] *= caution
            severity, feature = self._severity(deviations, limits, hushed)
            level, spread = self.location[:, 1], np.maximum(self.scale[:, 1], LEAST_EFFECT * usual / 4.0)
            walk = self.episodes.walk(severity, feature, values, level, spread)
            if adopts:
                walk.adopts.extend(range(len(values)))
            self._learn(whole, behind, deviations, limits, walk)
            verdict = Verdict(walk.severity, walk.alarm, feature)
        self._tail = whole[:, -TAIL_ROWS:]
        self.rows += values.shape[1]
        return verdict

    def recenter(self, offset: Array) -> None:
        """Count from `offset` [series] on: what is judged from now on is smaller by so much."""
        self.location[:, 1:ROUGH] -= offset[:, None]
        self.episodes.old_level -= offset
        self._tail = self._tail - offset[:, None]

    def _first(self, values: Array) -> Verdict:
        """Start from the first block: nothing can be said about it."""
        steps = np.abs(np.diff(values, axis=1))
        center = np.median(values, axis=1)
        spread = _TO_SIGMA * np.abs(values - center[:, None]).mean(axis=1)
        self._step = steps.mean(axis=1) if steps.shape[1] else np.zeros(len(values))
        self.magnitude = np.abs(values).mean(axis=1)
        self.location[:, 1:ROUGH] = center[:, None]
        for at, size in enumerate((self._step, spread, 0.6 * spread, 0.4 * spread, np.full(len(values), 0.5))):
            self.scale[:, at] = size
        self._learnt += values.shape[1]
        self._note_resolution(steps)
        self.location[:, ROUGH] = np.log(self._step + self._still(self.magnitude))
        shape = values.shape
        return Verdict(np.zeros(shape), np.zeros(shape, dtype=bool), np.zeros(shape, dtype=np.intp))

    def _limits(self, magnitude: Array) -> Array:
        """Deviation [series, side, feature] at which the severity is 1."""
        floors = np.repeat(LEAST_EFFECT * magnitude[:, None], len(FEATURES), axis=1)
        floors[:, :2] = np.maximum(floors[:, :2], LEAST_GRAINS * self._grain[:, None])
        floors[:, ROUGH] = LEAST_ROUGHENING
        rounding = self._grain[:, None] * _ROUNDING / np.sqrt(_ROWS_IN_MEAN)
        floors = np.maximum(floors, RAISE_SCALES * np.hypot(self.scale, rounding))
        limits = np.maximum(self._tails.limits(), floors[:, None, :]) * self.episodes.reluctance[:, None, None]
        return np.asarray(np.maximum(limits, np.finfo(np.float64).tiny))

    @property
    def _grain(self) -> Array:
        """Smallest step seen, 0 before enough of them: the steps of a series that is rounded or counts."""
        return np.where(self._moves >= GRAIN_MOVES, self._resolution, 0.0)

    def _still(self, magnitude: Array) -> Array:
        """Mean step [series] of a series that stands still: two grains in all rows looked at, or next to nothing."""
        least = 1e-9 * magnitude + np.finfo(np.float64).tiny
        return np.asarray(STILL_SHARE * self._step + 2.0 * self._grain / ROUGH_ROWS + least)

    def _severity(self, deviations: Array, limits: Array, hushed: Flags | None) -> tuple[Array, NDArray[np.intp]]:
        with np.errstate(over="ignore"):
            parts = np.maximum(deviations / limits[:, 0, :, None], -deviations / limits[:, 1, :, None])
        is_judged = self._judges & (self._learnt[:, None] >= WARM_UP_OF)
        parts = np.where(is_judged[:, :, None], np.minimum(parts, SEVEREST), 0.0)
        severity = parts.max(axis=1)
        if hushed is not None:
            severity = np.where(hushed, np.minimum(severity, QUIET_SEVERITY), severity)
        level = parts[:, :ROUGH]  # a jump is rough as well: what moved the level names it
        feature = np.where((level.max(axis=1) < 1) & (parts[:, ROUGH] >= 1), ROUGH, level.argmax(axis=1))
        return severity, feature

    def _learn(self, whole: Array, behind: int, deviations: Array, limits: Array, walk: Walk) -> None:
        rows = whole.shape[1] - behind
        learns = walk.learns[:, None, :]
        count = walk.learns.sum(axis=1)
        is_young = (self._learnt < WARM_UP_ROWS)[:, None, None]
        most = CLIP_SCALES * self.scale[:, :, None]
        clipped = np.where(learns, np.where(is_young, deviations, np.clip(deviations, -most, most)), 0.0)
        known, seen = np.maximum(count, 1)[:, None], (self._learnt + rows)[:, None]
        self.location += _UP * count[:, None] / np.minimum(seen, LOCATION_ROWS) * clipped.sum(axis=2) / known
        keep = count[:, None] / np.minimum(seen, SCALE_ROWS)
        self.scale += keep * (_TO_SIGMA * np.abs(clipped).sum(axis=2) / known - self.scale)
        self._learn_sizes(whole, behind, walk.learns, keep[:, 0])
        self._tails.learn(self._largest(deviations, limits, walk, is_young), rows)
        self._learnt += count
        before = self.location[:, 1].copy()
        for series in walk.adopts:
            self.location[series, 1:ROUGH] = whole[series, -TAIL_ROWS:].mean()
        for series in walk.returns:
            self.location[series, 1:ROUGH] = self.episodes.old_level[series]
        self.adopted = self.location[:, 1] - before

    def _learn_sizes(self, whole: Array, behind: int, learns: Flags, keep: Array) -> None:
        steps = np.abs(whole[:, behind:] - whole[:, behind - 1 : -1])
        known = np.maximum(learns.sum(axis=1), 1)
        size = np.where(learns, np.abs(whole[:, behind:]), 0.0).sum(axis=1) / known
        step = np.where(learns, steps, 0.0).sum(axis=1) / known
        is_young = self._learnt < WARM_UP_ROWS
        step = np.where(is_young, step, np.minimum(step, CLIP_SCALES * self._step + np.finfo(np.float64).tiny))
        self.magnitude += keep * (size - self.magnitude)
        self._step += keep * (step - self._step)
        self._note_resolution(steps)

    def _note_resolution(self, steps: Array) -> None:
        if steps.shape[1]:
            smallest = np.where(steps > 0, steps, np.inf).min(axis=1)
            self._resolution = np.minimum(self._resolution, smallest)
            self._moves += (steps > 0).sum(axis=1)

    def _largest(self, deviations: Array, limits: Array, walk: Walk, is_young: Flags) -> Array:
        """Largest deviation [series, side, feature] of the block, as far as it is let into the tail."""
        learns = walk.learns[:, None, :]
        up, down = (np.where(learns, side, 0.0).max(axis=2) for side in (deviations, -deviations))
        largest = np.maximum(np.stack([up, down], axis=1), 0.0)
        largest = np.where(is_young, largest, np.minimum(largest, limits))
        for series, row in walk.onsets:
            own = np.stack([deviations[series, :, row], -deviations[series, :, row]])
            largest[series] = np.maximum(largest[series], np.minimum(own, LEARNS_OF_ALARM * limits[series]))
        return np.asarray(largest)
