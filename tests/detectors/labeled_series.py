"""Univariate series of many kinds with labeled anomalies of many sizes; half of the seeds are free of any.

Tuned on seeds 0-199, reported on seeds 1000-1199 (`benchmarks/detect.py`). A window is what NAB makes of a label: a
tenth of the series shared by its anomalies, centered on the onset, and as long as the anomaly at least.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["ANOMALIES", "KINDS", "Labeled", "labeled_series"]

Values = NDArray[np.float64]
Random = np.random.Generator

START: Final = 1_750_000_000.0
PROBATION: Final = 0.15  # of the series: no anomaly there, and no alarm there counts (as NAB has it)
WINDOW_SHARE: Final = 0.10
DAY_SECONDS: Final = 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Labeled:
    """One series; `windows` are [first, last) row numbers, `onsets` the rows where the anomalies begin."""

    kind: str
    anomalies: tuple[str, ...]
    times: Values
    values: Values  # NaN where the value is empty
    windows: tuple[tuple[int, int], ...]
    onsets: tuple[int, ...]

    @property
    def probation(self) -> int:
        """Rows at the start that are not judged."""
        return int(PROBATION * len(self.values))


# ---- what is normal


def _noise(random: Random, rows: int, kept: float) -> Values:
    """Autoregressive noise of unit variance."""
    shocks = random.normal(0.0, np.sqrt(1 - kept**2), rows)
    out = np.empty(rows)
    level = random.normal()
    for row in range(rows):
        level = kept * level + shocks[row]
        out[row] = level
    return out


def _server(random: Random, rows: int, _step: float) -> Values:
    level, spread = random.uniform(5, 80), random.uniform(0.02, 0.12)
    return level * (1 + spread * _noise(random, rows, random.uniform(0.0, 0.9)))


def _daily(random: Random, rows: int, step: float) -> Values:
    at = np.arange(rows) * step / DAY_SECONDS
    base, depth = random.uniform(20, 200), random.uniform(0.2, 0.7)
    wave = np.sin(2 * np.pi * at + random.uniform(0, 6)) + 0.3 * np.sin(4 * np.pi * at + random.uniform(0, 6))
    weekend = np.where((at % 7) >= 5, random.choice([1.0, 0.7]), 1.0)
    return base * (1 + depth * wave) * weekend + base * random.uniform(0.02, 0.08) * _noise(random, rows, 0.5)


def _office_hours(random: Random, rows: int, step: float) -> Values:
    at = (np.arange(rows) * step / DAY_SECONDS) % 1
    low, high = random.uniform(10, 30), random.uniform(60, 100)
    return np.where((at > 0.37) & (at < 0.75), high, low) + random.uniform(1, 4) * _noise(random, rows, 0.2)


def _sawtooth(random: Random, rows: int, _step: float) -> Values:
    """A training loop: busy, with a dip at every checkpoint."""
    period, dip = int(random.integers(15, 70)), int(random.integers(1, 5))
    at = (np.arange(rows) + int(random.integers(period))) % period
    busy = np.where(at < dip, random.uniform(0.0, 0.3), random.uniform(0.85, 0.97))
    return np.clip(busy + 0.015 * _noise(random, rows, 0.3), 0, 1)


def _ramps(random: Random, rows: int, _step: float) -> Values:
    """Garbage collection: memory climbs and falls back."""
    period = int(random.integers(20, 120))
    slack = np.cumsum(1 + 0.08 * random.normal(size=rows)) / period
    return random.uniform(2e9, 6e10) * (1 + 0.4 * (slack % 1) + 0.01 * random.normal(size=rows))


def _bursty(random: Random, rows: int, _step: float) -> Values:
    out = random.gamma(2.0, 1.0, rows)
    for _ in range(random.poisson(rows / random.uniform(60, 200))):
        at, width = int(random.integers(rows)), int(random.integers(1, 9))
        out[at : at + width] += random.gamma(4.0, 5.0)
    return out * random.uniform(0.5, 50)


def _heavy_tail(random: Random, rows: int, _step: float) -> Values:
    return random.uniform(1, 100) * np.exp(random.uniform(0.3, 0.9) * _noise(random, rows, random.uniform(0, 0.6)))


def _walk(random: Random, rows: int, _step: float) -> Values:
    return random.uniform(50, 500) + np.cumsum(random.normal(0, random.uniform(0.2, 1.0), rows))


def _plateaus(random: Random, rows: int, _step: float) -> Values:
    """Memory in use: jobs come and go, each with a level of its own."""
    out, at = np.empty(rows), 0
    while at < rows:
        width = int(random.exponential(random.uniform(40, 120))) + 10
        out[at : at + width] = random.choice([0.1, 0.2, 0.35, 0.5, 0.6, 0.75]) * random.uniform(0.95, 1.05)
        at += width
    return 8e10 * (out + 0.002 * random.normal(size=rows))


def _counts(random: Random, rows: int, _step: float) -> Values:
    return random.poisson(random.uniform(0.3, 20), rows).astype(float)


def _mostly_constant(random: Random, rows: int, _step: float) -> Values:
    level = random.choice([0.0, 1.0, 16.0, 100.0])
    out = np.full(rows, level)
    for at in random.integers(0, rows, random.poisson(rows / 150)):
        out[at] = level + random.integers(1, 4)
    return out


def _constant(random: Random, rows: int, _step: float) -> Values:
    return np.full(rows, random.choice([0.0, 1.0, 5.0, 1980.0]))


def _counter(random: Random, rows: int, _step: float) -> Values:
    return np.cumsum(random.poisson(random.uniform(1, 100), rows)).astype(float)


def _celsius(random: Random, rows: int, step: float) -> Values:
    inlet = 2.0 * np.sin(2 * np.pi * np.arange(rows) * step / DAY_SECONDS)
    return np.round(random.uniform(35, 70) + inlet + 1.2 * _noise(random, rows, 0.9))


def _saturated(random: Random, rows: int, _step: float) -> Values:
    return np.minimum(1.0, 0.97 + 0.04 * _noise(random, rows, 0.4))


KINDS: Final[Mapping[str, Callable[[Random, int, float], Values]]] = {
    "server": _server,
    "daily": _daily,
    "office_hours": _office_hours,
    "sawtooth": _sawtooth,
    "ramps": _ramps,
    "bursty": _bursty,
    "heavy_tail": _heavy_tail,
    "walk": _walk,
    "plateaus": _plateaus,
    "counts": _counts,
    "mostly_constant": _mostly_constant,
    "constant": _constant,
    "counter": _counter,
    "celsius": _celsius,
    "saturated": _saturated,
}

# ---- what is not normal; sizes are in robust spreads of the series itself


def _spread(values: Values) -> float:
    middle = np.median(values)
    around = np.abs(values - middle)
    wide = 1.4826 * float(np.median(around))
    return max(wide, 0.5 * float(np.quantile(around, 0.95)), 0.02 * abs(float(middle))) or 1.0


def _sign(random: Random, values: Values) -> float:
    """Upward mostly; where the series is at its top, down."""
    if np.median(values) > np.min(values) + 0.9 * (np.max(values) - np.min(values)):
        return -1.0
    return float(random.choice([1.0, 1.0, -1.0]))


def _spike(random: Random, values: Values, at: int) -> int:
    width = int(random.integers(1, 5))
    values[at : at + width] += _sign(random, values) * _spread(values) * random.uniform(6, 20)
    return width


def _shift(random: Random, values: Values, at: int) -> int:
    width = int(random.integers(120, 600))
    values[at : at + width] += _sign(random, values) * _spread(values) * random.uniform(3.5, 10)
    return 1  # whoever sees it only at its end was too late


def _drift(random: Random, values: Values, at: int) -> int:
    width = int(random.integers(150, 400))
    stop = min(at + width, len(values))
    ramp = np.linspace(0, 1, width)[: stop - at]
    values[at:stop] += _sign(random, values) * _spread(values) * random.uniform(5, 12) * ramp
    return width


def _stuck(random: Random, values: Values, at: int) -> int:
    width = int(random.integers(60, 250))
    values[at : at + width] = values[at]
    return width


def _storm(random: Random, values: Values, at: int) -> int:
    width = len(values[at : at + int(random.integers(30, 150))])
    values[at : at + width] += _spread(values) * random.uniform(3, 8) * random.normal(size=width)
    return width


def _drop_to_zero(random: Random, values: Values, at: int) -> int:
    width = int(random.integers(5, 80))
    values[at : at + width] = 0.0
    return width


ANOMALIES: Final[Mapping[str, Callable[[Random, Values, int], int]]] = {
    "spike": _spike,
    "shift": _shift,
    "drift": _drift,
    "stuck": _stuck,
    "storm": _storm,
    "drop_to_zero": _drop_to_zero,
}
_MAKES_NO_SENSE: Final = {  # the anomaly looks like what is normal for the kind
    "stuck": {
        "mostly_constant",
        "constant",
        "plateaus",
        "counts",
        "celsius",
        "saturated",
        "heavy_tail",
        "bursty",
        "walk",
    },
    "drop_to_zero": {"mostly_constant", "constant", "counts", "bursty", "heavy_tail"},
    "shift": {"plateaus", "counter", "walk"},
    "drift": {"plateaus", "counter", "walk", "mostly_constant", "constant"},
    "storm": {"plateaus", "counter", "mostly_constant", "constant"},
    "spike": {"counter"},
}


def labeled_series(seed: int) -> Labeled:
    """The series of a seed; odd seeds have no anomaly."""
    random = np.random.default_rng(seed)
    kind = str(random.choice(list(KINDS)))
    rows, step = int(random.integers(1200, 5000)), float(random.choice([60.0, 300.0, 300.0, 300.0, 600.0]))
    values = np.array(KINDS[kind](random, rows, step), dtype=np.float64)
    possible = [name for name in ANOMALIES if kind not in _MAKES_NO_SENSE.get(name, ())]
    number = 0 if seed % 2 or not possible else int(random.integers(1, 4))
    names, onsets, widths = [], [], []
    first, room = int(0.2 * rows), int(0.78 * rows)
    for position in range(number):
        at = first + int((position + random.uniform(0.1, 0.6)) * room / number)
        name = str(random.choice(possible))
        widths.append(ANOMALIES[name](random, values, at))
        names.append(name)
        onsets.append(at)
    half = int(WINDOW_SHARE * rows / max(number, 1) / 2)
    windows = tuple(
        (max(at - half, 0), min(at + max(half, width), rows)) for at, width in zip(onsets, widths, strict=True)
    )
    times = START + step * np.arange(rows)
    values = _with_holes(random, values)
    return Labeled(
        kind=kind, anomalies=tuple(names), times=_with_gap(random, times), values=values, windows=windows,
        onsets=tuple(onsets),
    )  # fmt: skip


def _with_holes(random: Random, values: Values) -> Values:
    """A quarter of the series lack some values."""
    if random.random() < 0.25:
        values = np.where(random.random(len(values)) < 0.05, np.nan, values)
    return values


def _with_gap(random: Random, times: Values) -> Values:
    """An eighth of the series have a hole in time."""
    if random.random() < 0.125:
        times = times.copy()
        times[int(random.uniform(0.3, 0.9) * len(times)) :] += random.uniform(3600, 40_000)
    return times
