"""What a series usually shows at this point of its period, and whether it has one: day, week, or a shorter one."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from warpgauge.analyzer.anomalies.features import Array

__all__ = ["KEPT_ROWS", "Profile", "found_period"]

KEPT_ROWS: Final = 2048
LEAST_CORRELATION: Final = 0.7  # Greyhound's code (ATC'25) asks for as much
SHORTEST_PERIOD_ROWS: Final = 8
LEAST_JUDGED_ROWS: Final = 256.0
LEAST_RATE: Final = 0.2  # of a new visit: a phase forgets within a handful of periods
CLIP_ERRORS: Final = 4.0


class Profile:
    """Mean value per phase of a period, and how much better it predicts than the usual value does."""

    def __init__(self, phases: int, rows_per_period: float) -> None:
        self.errors: Array = np.zeros(0)  # of the last rows, each made before its row was learnt; NaN when unknown
        self._mean = np.full(phases, np.nan)
        self._visits = np.zeros(phases)
        self._rows_per_period = rows_per_period
        self._error = self._plain_error = 0.0
        self._judged = 0.0

    @property
    def phases(self) -> int:
        """Phases of a period."""
        return len(self._mean)

    @property
    def error_ratio(self) -> float:
        """Error with the profile as a share of the error without; 1 until one period was judged."""
        if self._judged < max(self._rows_per_period, LEAST_JUDGED_ROWS) or not self._plain_error > 0:
            return 1.0
        return self._error / self._plain_error

    def residuals(self, phases: NDArray[np.int64], values: Array) -> Array:
        """What the profile does not explain; NaN for a phase never seen."""
        rest: Array = values - self._mean[phases]
        return rest

    def shift(self, offset: float) -> None:
        """Move the whole profile: the level changed, its course did not."""
        self._mean += offset

    def learn(self, phases: NDArray[np.int64], values: Array, usual: float, *, is_normal: bool = True) -> None:
        """Judge the profile by some rows, then take them in if they are normal.

        `usual` is the prediction without a profile.
        """
        errors = self.residuals(phases, values)
        self.errors = np.concatenate([self.errors, errors])[-KEPT_ROWS:]
        known = np.isfinite(errors)
        if known.any():
            self._judge(errors[known], values[known] - usual)
        if not is_normal:
            return
        step = np.where(known, errors, 0.0)
        if self._judged >= self._rows_per_period:
            step = np.clip(step, -CLIP_ERRORS * self._error, CLIP_ERRORS * self._error)
        self._mean[phases[~known]] = values[~known]
        self._visits[phases] += 1
        rate = np.maximum(1.0 / self._visits[phases], LEAST_RATE)
        np.add.at(self._mean, phases, rate * step)

    def _judge(self, errors: Array, plain: Array) -> None:
        before, count = self._judged, len(errors)
        most = CLIP_ERRORS * self._plain_error if before else np.inf
        keep = count / min(before + count, max(self._rows_per_period, LEAST_JUDGED_ROWS))
        self._error += keep * (float(np.minimum(np.abs(errors), most).mean()) - self._error)
        self._plain_error += keep * (float(np.minimum(np.abs(plain), most).mean()) - self._plain_error)
        self._judged += count


def found_period(values: Array) -> int | None:
    """Rows after which the values repeat, by their autocorrelation; None unless four periods are there and alike."""
    center = np.median(values)
    spread = 1.4826 * float(np.median(np.abs(values - center))) or float(values.std())
    if not spread > 0 or not np.isfinite(spread):
        return None
    bounded = np.clip((values - center) / spread, -CLIP_ERRORS, CLIP_ERRORS)
    rows = len(values)
    power = np.abs(np.fft.rfft(bounded - bounded.mean(), 2 * rows)) ** 2
    products = np.fft.irfft(power)[: rows // 4]
    if not products[0] > 0:
        return None
    correlation = products / products[0] * rows / (rows - np.arange(len(products)))
    return _first_peak(correlation)


def _first_peak(correlation: Array) -> int | None:
    """The shortest lag that is about as good as the best one, past the decay of lag 0."""
    decayed = np.flatnonzero(correlation < LEAST_CORRELATION / 2)
    first = max(int(decayed[0]), SHORTEST_PERIOD_ROWS) if len(decayed) else len(correlation)
    if first >= len(correlation) - 1:
        return None
    best = float(correlation[first:].max())
    if best < LEAST_CORRELATION:
        return None
    peak = first + int(np.argmax(correlation[first:] >= 0.9 * best))
    while peak + 1 < len(correlation) and correlation[peak + 1] > correlation[peak]:
        peak += 1
    return peak
