"""Whether devices that look busy do anything: calculate with their pipes, or move data."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.detection.places import model_numbers
from warpgauge.analyzer.frame import channel
from warpgauge.analyzer.frame.rolling import Signal
from warpgauge.analyzer.frame.schema import TableName
from warpgauge.core.catalog import device

if TYPE_CHECKING:
    from warpgauge.analyzer.detection.windows import Array, Mask
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.rolling import Columns
    from warpgauge.analyzer.frame.table import Floats

__all__ = [
    "CALCULATING",
    "FULL_UTILIZATION",
    "LEAST_PIPE",
    "MOVED_OVER_LINKS",
    "MOVED_OVER_PCIE",
    "MOVED_SHARE",
    "PIPES",
    "USED",
    "moves_data",
    "power_roof",
]

FULL_UTILIZATION: Final = 0.99
LEAST_PIPE: Final = 0.02  # of the cycles: less is no calculating, and while the job steps it says nothing
MOVED_OVER_PCIE: Final = 0.5e9  # bytes a second: whoever spins only polls
MOVED_OVER_LINKS: Final = 20e9  # over all NVLinks, a twentieth of what Hopper's carry: peers poll there, too
MOVED_SHARE: Final = 0.05  # of the cycles, in device memory
CALCULATING: Final = ("tensor", "fp64", "fp32", "fp16")
USED: Final = channel(device.UTILIZATION, "compute")
_TRAFFIC: Final = (
    *((channel(one), MOVED_OVER_PCIE) for one in (device.PCIE_RECEIVE_RATE, device.PCIE_TRANSMIT_RATE)),
    *((channel(one), MOVED_OVER_PCIE) for one in (device.PCIE_RECEIVE, device.PCIE_TRANSMIT)),
    *((channel(one), MOVED_OVER_LINKS) for one in (device.LINK_RECEIVE_RATE, device.LINK_TRANSMIT_RATE)),
)
_BANDWIDTH: Final = channel(device.MEMORY_BANDWIDTH_ACTIVE)
_POWER: Final = channel(device.POWER)


def _calculating(columns: Columns) -> Floats:
    busiest: Floats = np.fmax.reduce([columns.of(device.PIPE_ACTIVE, pipe) for pipe in CALCULATING])
    return busiest


PIPES: Final = Signal("calculating pipes", TableName.DEVICES, _calculating)
"""Share of the cycles in which the busiest of a device's pipes worked."""


def moves_data(frame: Frame, seconds: float) -> Mask:
    """[device], whether data flow to, from or within it: then it works, if not with its SMs."""
    moves = frame.window(_BANDWIDTH, seconds).mean >= MOVED_SHARE
    for signal, least in _TRAFFIC:
        moves |= frame.window(signal, seconds).mean >= least
    return np.asarray(moves)


def power_roof(frame: Frame, seconds: float) -> Array:
    """[device], watts: its limit, else the most that a device of its model drew in the frame, which is no more.

    dcgm-exporter tells no limit by default.
    """
    limit = frame.latest(device.POWER_LIMIT, "enforced", seconds=seconds).astype(np.float64)
    is_unknown = np.isnan(limit)
    if not is_unknown.any():
        return limit
    models = model_numbers(frame)
    drawn = np.nan_to_num(frame.window(_POWER, frame.columns * frame.step_seconds).peak)
    most = np.zeros(models.max(initial=0) + 1)
    np.maximum.at(most, models, drawn)
    return np.where(is_unknown & (most[models] > 0), most[models], limit)
