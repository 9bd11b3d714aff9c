"""How much a device works, by the best signal that there is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.core.catalog import device

if TYPE_CHECKING:
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.windows import Array
    from warpgauge.core.catalog import Metric

__all__ = ["SIGNALS", "Activity", "read_activity"]

SIGNALS: Final[tuple[tuple[Metric, tuple[str, ...]], ...]] = (
    (device.GRAPHICS_ENGINE_ACTIVE, ()),
    (device.COMPUTE_ACTIVE, ()),
    (device.UTILIZATION, ("compute",)),
)
"""Best first: any engine at work, then any SM, then the driver's own coarse utilization."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Activity:
    """Per device the share of time it worked, and which of `SIGNALS` said so."""

    values: Array  # [device, column], 0-1
    signal: tuple[int, ...]  # [device], index into SIGNALS; -1 if none was ever measured

    def metric(self, row: int) -> Metric:
        """The metric that the values of a device come from."""
        return SIGNALS[self.signal[row]][0]


def read_activity(frame: Frame, seconds: float) -> Activity:
    """Take for each device the best signal that was measured in the window."""
    readings = [frame.values(metric, *extra, seconds=seconds) for metric, extra in SIGNALS]
    values = readings[-1].copy()
    signal = np.where(np.isfinite(values).any(axis=1), len(SIGNALS) - 1, -1)
    for number in reversed(range(len(SIGNALS) - 1)):
        is_there = np.isfinite(readings[number]).any(axis=1)
        values[is_there] = readings[number][is_there]
        signal[is_there] = number
    return Activity(values=values, signal=tuple(int(number) for number in signal))
