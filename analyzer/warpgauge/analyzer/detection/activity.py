"""How much a device works, by the best signal that there is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.detection.windows import columns_in
from warpgauge.analyzer.frame import channel
from warpgauge.analyzer.frame.rolling import Picked, Signal
from warpgauge.analyzer.frame.schema import TableName
from warpgauge.core.catalog import device

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.analyzer.detection.windows import Array, Mask
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.rolling import Columns
    from warpgauge.analyzer.frame.table import Floats, Ints
    from warpgauge.core.catalog import Metric

__all__ = ["SIGNALS", "Activity", "read_activity"]

SIGNALS: Final[tuple[tuple[Metric, tuple[str, ...]], ...]] = (
    (device.GRAPHICS_ENGINE_ACTIVE, ()),
    (device.COMPUTE_ACTIVE, ()),
    (device.UTILIZATION, ("compute",)),
)
"""Best first: any engine at work, then any SM, then the driver's own coarse utilization."""


FEW_SHARE: Final = 0.05  # of all devices: below, reading their columns takes less time than a standing window of all


def _any_engine(columns: Columns) -> Floats:
    """GPM's graphics share leaves out the copy engines, which the driver's utilization has."""
    kernels, used = columns.of(device.GRAPHICS_ENGINE_ACTIVE), columns.of(device.UTILIZATION, "compute")
    either: Floats = np.where(np.isnan(kernels), kernels, np.fmax(kernels, used))
    return either


_CHANNELS: Final = (
    Signal("any engine at work", TableName.DEVICES, _any_engine),
    *(channel(metric, *extra) for metric, extra in SIGNALS[1:]),
)


def _is_at_most(level: float, number: int) -> Signal:
    """1 where the signal is at most so much, 0 above, NaN in a gap: its mean is the share of time at rest."""
    one = _CHANNELS[number]

    def read(columns: Columns) -> Floats:
        values = one.read(columns)
        at_rest = (values <= level).astype(np.float32)
        at_rest[np.isnan(values)] = np.nan
        return at_rest

    return Signal(f"{one.name} at most {level:g}", one.table, read)


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """How much each device worked in the newest `seconds`, by the best signal that was measured in them."""

    frame: Frame
    seconds: float
    signal: Ints  # [device], index into SIGNALS; -1 if none was measured

    @property
    def mean(self) -> Array:
        """[device], 0-1, NaN where nothing was measured."""
        return self._best([self.frame.window(one, self.seconds).mean for one in self._used])

    @property
    def coverage(self) -> Array:
        """[device], share of the time that was measured, 0-1."""
        return np.nan_to_num(self._best([self.frame.window(one, self.seconds).coverage for one in self._used]))

    @property
    def peak(self) -> Array:
        """[device], the greatest activity of a column, NaN where nothing was measured."""
        return self._best([self.frame.window(one, self.seconds).peak for one in self._used])

    def share_at_most(self, level: float) -> Array:
        """[device], share of the measured time at or below a level, NaN where nothing was measured."""
        used = range(len(self._used))
        return self._best([self.frame.window(_is_at_most(level, number), self.seconds).mean for number in used])

    def metric(self, row: int) -> Metric:
        """The metric that the values of a device come from."""
        return SIGNALS[int(self.signal[row])][0]

    def values(self, rows: Sequence[int], seconds: float | None = None) -> Array:
        """[device, column] of some, by the best signal of that time; of the whole window without `seconds`."""
        values = self._read(0, rows, seconds)
        for number in range(1, len(SIGNALS)):
            is_blank = np.asarray(~np.isfinite(values).any(axis=1))
            if not is_blank.any():
                break
            values = np.where(is_blank[:, None], self._read(number, rows, seconds), values)
        return values

    def _read(self, number: int, rows: Sequence[int], seconds: float | None) -> Array:
        """Of half of the window or less these columns; of more what is kept of the whole, to which little is added."""
        own, signal, whole = list(rows), _CHANNELS[number], self.frame.columns
        width = whole if seconds is None else columns_in(self.frame, seconds)
        if 2 * width <= whole:
            newest = self.frame.columns_of(TableName.DEVICES, whole - width)
            return np.asarray(signal.read(Picked(newest, own)).T)
        key = ("activity", number, tuple(rows))
        kept = self.frame.trace(TableName.DEVICES, key, lambda columns: signal.read(Picked(columns, own)))
        return kept[whole - width :].T

    @property
    def _used(self) -> tuple[Signal, ...]:
        """The signals up to the worst that some device needs."""
        return _CHANNELS[: int(self.signal.max(initial=0)) + 1]

    def _best(self, readings: list[Array]) -> Array:
        best = np.array(readings[0], dtype=np.float64)
        for number, reading in enumerate(readings[1:], start=1):
            np.copyto(best, reading, where=self.signal == number)
        best[self.signal < 0] = np.nan
        return best


def read_activity(frame: Frame, seconds: float) -> Activity:
    """Take for each device the best signal that was measured in the window."""

    def build() -> Activity:
        signal = np.full(len(frame.devices), -1, dtype=np.int64)
        for number, one in enumerate(_CHANNELS):
            rows = np.flatnonzero(signal < 0)
            if not len(rows):
                break
            signal[rows[_is_measured(frame, one, seconds, rows)]] = number
        return Activity(frame=frame, seconds=seconds, signal=signal)

    return frame.once(("activity", seconds), build)


def _is_measured(frame: Frame, signal: Signal, seconds: float, rows: Ints) -> Mask:
    """Which of some devices have a value of the signal; of a few only these are read."""
    if len(rows) > FEW_SHARE * len(frame.devices):
        return np.asarray(frame.window(signal, seconds).count[rows] > 0)
    newest = frame.columns_of(TableName.DEVICES, frame.columns - columns_in(frame, seconds))
    return np.asarray(np.isfinite(signal.read(Picked(newest, rows))).any(axis=0))
