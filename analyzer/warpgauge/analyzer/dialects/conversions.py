"""From the values of foreign series to ours: factors, bits of a set, and markers that mean "not available"."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.core.catalog import Kind, Unit, device

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from warpgauge.analyzer.dialects import Mapped
    from warpgauge.analyzer.frame.states import Doubles
    from warpgauge.analyzer.frame.table import Ints

__all__ = ["Conversions"]

_FIRST_CAPACITY: Final = 256
_EXACT: Final = float(1 << 53)  # a set of bits in a larger number has lost its lowest ones


class Conversions:
    """What to do with the values of each series, as arrays indexed by its id in the frame."""

    def __init__(self) -> None:
        self._factor: Doubles = np.ones(_FIRST_CAPACITY)
        self._mask: Ints = np.zeros(_FIRST_CAPACITY, dtype=np.int64)
        self._least: Doubles = np.full(_FIRST_CAPACITY, -math.inf)
        self._most: Doubles = np.full(_FIRST_CAPACITY, math.inf)
        self._top: Doubles = np.full(_FIRST_CAPACITY, math.inf)  # what is a little above is rounding
        self._is_presence: NDArray[np.bool_] = np.zeros(_FIRST_CAPACITY, dtype=bool)  # any value says "it is there"

    def remember(self, number: int, mapped: Mapped) -> None:
        """Say how the values of a series become ours."""
        while number >= len(self._factor):
            self._grow()
        unit = mapped.metric.unit
        is_bounded = mapped.most < math.inf
        self._factor[number], self._mask[number], self._most[number] = mapped.factor, mapped.mask, mapped.most
        self._least[number] = 0.0 if is_bounded and unit is not Unit.CELSIUS else -math.inf
        may_pass_one = unit is not Unit.RATIO or mapped.metric is device.FAN_SPEED
        self._top[number] = math.inf if may_pass_one or not is_bounded else 1.0
        self._is_presence[number] = mapped.is_shared and mapped.metric.kind is Kind.INFO

    def ours(self, ids: Ints, values: Doubles) -> tuple[Doubles, NDArray[np.bool_]]:
        """Our values, and which of them are values at all; NaN (a series that ended) stays NaN."""
        found = values * self._factor[ids]
        masks = self._mask[ids]
        if masks.any():
            bits = np.where(np.abs(values) < _EXACT, values, 0.0).astype(np.int64)
            found = np.where(masks > 0, ((bits & masks) != 0).astype(np.float64), found)
            found[(masks > 0) & ~(np.abs(values) < _EXACT)] = np.nan
        is_presence = self._is_presence[ids]
        if is_presence.any():
            found = np.where(is_presence & ~np.isnan(values), 1.0, found)
        with np.errstate(invalid="ignore"):
            is_marker = (found > self._most[ids]) | (found < self._least[ids])
        return np.minimum(found, self._top[ids]), ~is_marker

    def _grow(self) -> None:
        for name, filler in _FILLERS.items():
            array = getattr(self, name)
            setattr(self, name, np.concatenate([array, np.full_like(array, filler)]))


_FILLERS: Final = {
    "_factor": 1.0,
    "_mask": 0,
    "_least": -math.inf,
    "_most": math.inf,
    "_top": math.inf,
    "_is_presence": False,
}
