"""Scores one series of any kind as it comes, without a setting: what `warpgauge detect` runs.

Around the self-history stand four things that a single long series needs. Missing values and gaps are stepped over,
and nothing alarms right after a gap. A series that only grows is a counter, and its increments are judged. Where a
daily, a weekly or a shorter period makes it more predictable, the residual of that profile is judged instead. And
whenever what is judged changes, a fresh history is trained on the last rows before it says anything.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.anomalies.season import KEPT_ROWS, Profile, found_period
from warpgauge.analyzer.anomalies.self_history import BLOCK_ROWS, WARM_UP_ROWS, SelfHistory

if TYPE_CHECKING:
    from collections.abc import Iterable

    from numpy.typing import NDArray

    from warpgauge.analyzer.anomalies.features import Array
    from warpgauge.analyzer.anomalies.self_history import Flags, Verdict

__all__ = ["SeriesScorer", "score_of"]

DAY_SECONDS: Final = 86_400.0
LONGEST_STEP_SECONDS: Final = 7200.0  # a day has at least twelve rows, or no daily profile
SHORTEST_STEP_SECONDS: Final = 60.0
BEFORE_A_DAY: Final = 1.7  # factor on thresholds of levels: the first morning of a series is no anomaly
DAY_PHASES: Final = 288
WEEK_PHASES: Final = 7 * DAY_PHASES
ENTER_RATIO: Final = 0.7  # of the error without the profile
LEAVE_RATIO: Final = 0.9
OWN_ENTER_RATIO: Final = 0.15  # a period that only the series itself suggests must be strict: edges that come a row
OWN_LEAVE_RATIO: Final = 0.3  # early would be false alarms
BETTER_RATIO: Final = 0.85
GAP_STEPS: Final = 20.0  # a longer pause is a gap; as many rows after it as it has steps do not alarm
CLOCK_ROWS: Final = 2 * BLOCK_ROWS  # after which the usual step is known
COUNTER_ROWS: Final = 4 * BLOCK_ROWS  # after which it is decided
COUNTER_GROWTH: Final = 0.3  # share of rows that must grow
LOOK_ROWS: Final = 256

_OWN: Final = "own"
_PERIODS: Final = (("day", DAY_SECONDS, DAY_PHASES), ("week", 7 * DAY_SECONDS, WEEK_PHASES))


def score_of(severity: Array) -> Array:
    """Severities as scores 0-1: 0.5 at the threshold."""
    squared = np.square(np.maximum(severity, 0.0))
    score: Array = squared / (1.0 + squared)
    return score


class SeriesScorer:
    """Judges blocks of `BLOCK_ROWS` present rows (times in seconds since the epoch, values finite) in their order."""

    def __init__(self) -> None:
        self._history = SelfHistory(1)
        self._rows = 0
        self._times: Array = np.zeros(0)
        self._values: Array = np.zeros(0)
        self._usual = 0.0
        self._step: float | None = None  # seconds between rows, 0 when the times do not tell
        self._origin = 0.0
        self._profiles: dict[str, Profile] = {}
        self._active: str | None = None
        self._counter: float | None = None  # last value of a series that only grows
        self._hush = 0  # rows left that do not alarm
        self._is_long_gap = False

    def take(self, times: Array, values: Array) -> Verdict:
        """Judge a block and learn from it; only the last block may be shorter."""
        hushed, adopts = self._hushed(times)
        if self._counter is not None:
            values = self._increments(values)
        verdict = self._history.take(
            self._judged(times, values)[None],
            hushed=hushed,
            adopts=adopts,
            magnitude=self._magnitude(),
            caution=1.0 if self._has_seen_a_day(times) else BEFORE_A_DAY,
        )
        if self._active is not None and self._history.adopted[0]:
            self._adopt(float(self._history.adopted[0]))
        self._remember(times, values)
        self._rows += len(values)
        if len(values) == BLOCK_ROWS:
            self._learn(times, values)
        return verdict

    # ---- what is judged

    def _judged(self, times: Array, values: Array) -> Array:
        if self._active is None:
            return values
        rest = self._profiles[self._active].residuals(self._phases(self._active, times), values)
        return np.where(np.isfinite(rest), rest, 0.0)

    def _magnitude(self) -> Array | None:
        return None if self._active is None else np.array([float(np.abs(self._values[-KEPT_ROWS // 8 :]).mean())])

    def _increments(self, values: Array) -> Array:
        """Growth of each row; a reset counts as usual growth."""
        growth = np.diff(np.concatenate([[self._counter or 0.0], values]))
        self._counter = float(values[-1])
        return np.where(growth < 0, self._usual, growth)

    def _hushed(self, times: Array) -> tuple[Flags, bool]:
        """Rows that follow a gap, as many as it has steps; whether a long gap's hush ends with this block.

        After a gap as long as a warm-up the hush goes on to the end of its block, where the present level is adopted.
        """
        hushed = np.zeros((1, len(times)), dtype=bool)
        hushed[0, : self._hush] = True
        left = self._hush - len(times)
        if self._step:
            before = self._times[-1:] if len(self._times) else times[:1]
            pauses = np.diff(np.concatenate([before, times])) / self._step
            for row in np.flatnonzero(pauses > GAP_STEPS):
                rows = int(min(pauses[row], WARM_UP_ROWS))
                self._is_long_gap |= rows == WARM_UP_ROWS
                hushed[0, row : row + rows] = True
                left = max(left, int(row) + rows - len(times))
        adopts = self._is_long_gap and left <= 0
        if adopts:
            hushed[0, int(np.argmax(hushed[0])) :] = True
            self._is_long_gap = False
        self._hush = max(left, 0)
        return hushed, adopts

    def _phases(self, name: str, times: Array) -> NDArray[np.int64]:
        count = self._profiles[name].phases
        for period, seconds, _ in _PERIODS:
            if period == name:
                return np.minimum((times % seconds / seconds * count + 1e-6).astype(np.int64), count - 1)
        return np.round((times - self._origin) / (self._step or 1.0)).astype(np.int64) % count

    def _has_seen_a_day(self, times: Array) -> bool:
        """Whether the usual hours are known, as far as a series with so many rows a day has any."""
        is_daily = self._step is not None and SHORTEST_STEP_SECONDS <= self._step <= LONGEST_STEP_SECONDS
        return not is_daily or float(times[0]) - self._origin >= DAY_SECONDS

    # ---- what is learnt from it

    def _adopt(self, offset: float) -> None:
        """What is normal moved: so did every profile, and what is judged is what is left of it."""
        for profile in self._profiles.values():
            profile.shift(offset)
        self._history.recenter(np.array([offset]))

    def _remember(self, times: Array, values: Array) -> None:
        most = KEPT_ROWS + BLOCK_ROWS
        self._times = np.concatenate([self._times, times])[-most:]
        self._values = np.concatenate([self._values, values])[-most:]

    def _learn(self, times: Array, values: Array) -> None:
        if self._rows % LOOK_ROWS == 0 or self._rows <= LOOK_ROWS:
            self._usual = float(np.median(self._values))
        if self._rows == CLOCK_ROWS:
            self._start_clock()
        elif self._rows > CLOCK_ROWS:
            self._feed(self._profiles, times, values)
        if self._rows == COUNTER_ROWS and self._only_grows():
            self._count()
        elif self._step:
            self._look_for_period()
            self._choose()

    def _start_clock(self) -> None:
        step = float(np.median(np.diff(self._times)))
        self._step, self._origin = max(step, 0.0), float(self._times[0])
        if not 0 < step <= LONGEST_STEP_SECONDS:
            return
        for name, seconds, most in _PERIODS:
            phases = int(min(seconds / max(step, 1.0), most))
            self._profiles[name] = Profile(phases, seconds / step)
        self._feed(self._profiles, self._times, self._values)

    def _feed(self, names: Iterable[str], times: Array, values: Array) -> None:
        """Let profiles learn, a block at a time, so that each block is judged by what came before it."""
        is_normal = self._active is None or not self._history.episodes.is_frozen(0)
        for start in range(0, len(values), BLOCK_ROWS):
            part = slice(start, start + BLOCK_ROWS)
            for name in names:
                phases = self._phases(name, times[part])
                self._profiles[name].learn(phases, values[part], self._usual, is_normal=is_normal)

    def _only_grows(self) -> bool:
        growth = np.diff(self._values)
        return bool((growth >= 0).all() and (growth > 0).mean() > COUNTER_GROWTH and len(np.unique(growth)) > 1)

    def _count(self) -> None:
        """From here on the increments are judged."""
        self._counter = float(self._values[-1])
        self._times, self._values = self._times[1:], np.diff(self._values)
        self._profiles, self._active = {}, None
        self._usual = float(np.median(self._values))
        if self._step:
            self._start_clock()
        self._retrain(self._values)

    def _look_for_period(self) -> None:
        """At 256, 512, 1024 rows and then every 1024: does the series repeat itself faster than daily?"""
        is_time = self._rows % (4 * LOOK_ROWS) == 0 or self._rows in {LOOK_ROWS, 2 * LOOK_ROWS}
        if not is_time or self._active is not None:
            return
        period = found_period(self._values[-KEPT_ROWS:])
        known = self._profiles.get(_OWN)
        if period is None or (known is not None and abs(known.phases - period) <= 1):
            return
        self._profiles[_OWN] = Profile(period, float(period))
        self._feed((_OWN,), self._times[-KEPT_ROWS:], self._values[-KEPT_ROWS:])

    def _choose(self) -> None:
        """Take the profile that predicts best, if it is worth it; with hysteresis."""
        if not self._profiles:
            return
        best = min(self._profiles, key=lambda name: self._profiles[name].error_ratio)
        ratio = self._profiles[best].error_ratio
        if self._active is None:
            if ratio < (OWN_ENTER_RATIO if best == _OWN else ENTER_RATIO):
                self._switch(best)
            return
        present = self._profiles[self._active].error_ratio
        if present > (OWN_LEAVE_RATIO if self._active == _OWN else LEAVE_RATIO):
            self._switch(None)
        elif ratio < BETTER_RATIO * present:
            self._switch(best)

    def _switch(self, name: str | None) -> None:
        self._active = name
        errors = self._values if name is None else self._profiles[name].errors
        self._retrain(errors[np.isfinite(errors)])

    def _retrain(self, values: Array) -> None:
        """Start a history anew from what would have been judged; whole blocks, so that the next one stays aligned."""
        history = SelfHistory(1)
        values = values[len(values) % BLOCK_ROWS :]
        magnitude = self._magnitude()
        for start in range(0, len(values), BLOCK_ROWS):
            history.take(values[None, start : start + BLOCK_ROWS], magnitude=magnitude)
        history.episodes.calm(self._history.episodes)
        self._history = history
