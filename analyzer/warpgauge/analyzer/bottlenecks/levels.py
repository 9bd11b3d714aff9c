"""What the counters of devices say, as shares of what each device could do: the signals that the class rules read."""

from __future__ import annotations

from dataclasses import dataclass, fields
from functools import reduce
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.frame import channel
from warpgauge.analyzer.frame.rolling import Picked, Signal
from warpgauge.analyzer.frame.schema import TableName
from warpgauge.core.catalog import device

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from warpgauge.analyzer.detection.windows import Array
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.rolling import Columns
    from warpgauge.analyzer.frame.table import Floats
    from warpgauge.core.catalog import Metric

__all__ = ["METRICS", "PIPES", "Levels", "column_levels", "growth_bound", "latest_busy", "mean_levels", "pcie_capacity"]

PIPES: Final = ("tensor", "fp64", "fp32", "fp16", "int")
LINKS: Final = 18
"""NVLinks of one device: 4 (P100) to 18 (Hopper, Blackwell)."""

_LANE_BYTES: Final = np.array([np.nan, 0.25e9, 0.5e9, 0.985e9, 1.969e9, 3.938e9, 7.563e9], dtype=np.float32)
"""Bytes per second and direction of one PCIe lane by generation, after line coding (PCI-SIG)."""

_CAPACITY_SECONDS: Final = 600.0  # links are not trained anew more often than that
_SLOW_SECONDS: Final = 300.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """Arrays of one shape, [device] or [..., device]; NaN where not measured. All shares are 0-1."""

    engine: Array  # share of time in which any kernel ran
    busy: Array  # share of time in which a kernel ran or a copy was under way
    compute: Array  # share of SMs with a resident warp
    pipe: Array  # the busiest arithmetic pipe
    bandwidth: Array  # share of cycles in which device memory moved data
    link: Array  # NVLink traffic of the busier direction, of what the links can carry
    pcie: Array  # PCIe traffic of the busier direction, of what the slot can carry
    fill: Array  # device memory in use, of what workloads can take
    capped: Array  # share of time in which the power cap held the clocks down
    clock: Array  # SM clock, of the highest
    power: Array  # of the limit in force

    def map(self, change: Callable[[Array], Array]) -> Levels:
        """The same with every array changed."""
        return Levels(**{field.name: change(getattr(self, field.name)) for field in fields(self)})


METRICS: Final[dict[str, Metric]] = {
    "engine": device.GRAPHICS_ENGINE_ACTIVE,
    "busy": device.UTILIZATION,
    "compute": device.COMPUTE_ACTIVE,
    "pipe": device.PIPE_ACTIVE,
    "bandwidth": device.MEMORY_BANDWIDTH_ACTIVE,
    "link": device.LINK_TRANSMIT_RATE,
    "pcie": device.PCIE_RECEIVE_RATE,
    "fill": device.MEMORY_USED,
    "capped": device.THROTTLE_ACTIVE,
    "clock": device.CLOCK,
    "power": device.POWER,
}
"""What each level is mainly measured by: named in evidence, and where it is missing."""


def mean_levels(frame: Frame, seconds: float) -> Levels:
    """[device], means of the newest `seconds` of all devices, from standing windows."""
    means: dict[str, Array] = {name: frame.window(one, seconds).mean for name, one in _SIGNALS.items()}
    return Levels(**means | {"link": _quotient(means["link"], _link_capacity(frame))})


def latest_busy(frame: Frame, seconds: float) -> Array:
    """[device], the newest `busy` of the last seconds; NaN where not measured."""
    kernels, used = ((device.GRAPHICS_ENGINE_ACTIVE,), (device.UTILIZATION, "compute"))
    return np.fmax(frame.latest(*kernels, seconds=seconds), frame.latest(*used, seconds=seconds))


def growth_bound(frame: Frame, seconds: float) -> Array:
    """[device], how much the fill can have grown within the window at most; NaN where not measured."""
    fill = frame.window(_SIGNALS["fill"], seconds)
    return np.asarray(fill.peak - fill.least)


def column_levels(frame: Frame, columns: Columns, rows: Sequence[int]) -> Levels:
    """[column, device], of some devices."""
    own = Picked(columns, list(rows))
    read: dict[str, Array] = {name: one.read(own) for name, one in _SIGNALS.items()}
    return Levels(**read | {"link": _quotient(read["link"], _link_capacity(frame)[list(rows)])})


def _engine(columns: Columns) -> Floats:
    best = columns.of(device.GRAPHICS_ENGINE_ACTIVE)
    return _filled(best, columns.of(device.UTILIZATION, "compute"))


def _busy(columns: Columns) -> Floats:
    """GPM's share is of kernels alone; the driver's utilization was seen at 99 % during copies (H100, H200)."""
    return np.fmax(columns.of(device.GRAPHICS_ENGINE_ACTIVE), columns.of(device.UTILIZATION, "compute"))


def _compute(columns: Columns) -> Floats:
    """Clamped: parts of a partitioned device were seen at 1.3 (NVIDIA/DCGM#152)."""
    clamped: Floats = np.minimum(columns.of(device.COMPUTE_ACTIVE), np.float32(1))
    return clamped


def _pipe(columns: Columns) -> Floats:
    busiest: Floats = np.fmax.reduce(columns.told(device.PIPE_ACTIVE, PIPES))
    return busiest


def _link(columns: Columns) -> Floats:
    """Bytes per second; what the links can carry is known apart."""
    rate = np.fmax(columns.of(device.LINK_TRANSMIT_RATE), columns.of(device.LINK_RECEIVE_RATE))
    counted = np.fmax(columns.of(device.LINK_TRANSMIT), columns.of(device.LINK_RECEIVE))
    return _filled(rate, counted)


def _pcie(columns: Columns) -> Floats:
    rate = np.fmax(columns.of(device.PCIE_TRANSMIT_RATE), columns.of(device.PCIE_RECEIVE_RATE))
    counted = np.fmax(columns.of(device.PCIE_TRANSMIT), columns.of(device.PCIE_RECEIVE))
    capacity = pcie_capacity(columns.of(device.PCIE_LINK_GENERATION), columns.of(device.PCIE_LINK_WIDTH))
    return _quotient(_filled(rate, counted), capacity)


def pcie_capacity(generation: Array, width: Array) -> Array:
    """Bytes per second and direction of a slot; NaN for what is unknown or no generation of PCIe."""
    known = (generation >= 1) & (generation < len(_LANE_BYTES)) & (width > 0)
    lanes = _LANE_BYTES[np.where(known, generation, 0).astype(np.int64)]
    return np.asarray(lanes * width)


def _fill(columns: Columns) -> Floats:
    used, total = columns.of(device.MEMORY_USED), columns.of(device.MEMORY_TOTAL)
    if columns.has(device.MEMORY_RESERVED):
        reserved = columns.of(device.MEMORY_RESERVED)
        total = total - np.where(np.isnan(reserved), np.float32(0), reserved)
    if columns.has(device.MEMORY_FREE):
        total = _filled(used + columns.of(device.MEMORY_FREE), total)
    return _quotient(used, total)


def _capped(columns: Columns) -> Floats:
    """The counter misses nothing between two samples, the bit is there without it."""
    counted = np.minimum(columns.of(device.THROTTLE_SECONDS, "sw_power_cap"), np.float32(1))
    return _filled(counted, columns.of(device.THROTTLE_ACTIVE, "sw_power_cap"))


def _clock(columns: Columns) -> Floats:
    clock, highest = (
        reduce(_filled, columns.told(one, ("sm", "graphics"))) for one in (device.CLOCK, device.CLOCK_MAX)
    )
    return _quotient(clock, highest)


def _power(columns: Columns) -> Floats:
    return _quotient(columns.of(device.POWER), columns.of(device.POWER_LIMIT, "enforced"))


def _filled(first: Floats, second: Floats) -> Floats:
    filled: Floats = np.where(np.isnan(first), second, first)
    return filled


def _quotient(part: Array, whole: Array) -> Floats:
    with np.errstate(divide="ignore", invalid="ignore", over="ignore"):
        share: Floats = np.where(whole > 0, part / whole, np.float32(np.nan)).astype(np.float32)
    return share


def _signal(name: str, read: Callable[[Columns], Floats]) -> Signal:
    return Signal(f"level {name}", TableName.DEVICES, read)


_SIGNALS: Final[dict[str, Signal]] = {
    "engine": _signal("engine", _engine),
    "busy": _signal("busy", _busy),
    "compute": _signal("compute", _compute),
    "pipe": _signal("pipe", _pipe),
    "bandwidth": channel(device.MEMORY_BANDWIDTH_ACTIVE),
    "link": _signal("link", _link),
    "pcie": _signal("pcie", _pcie),
    "fill": _signal("fill", _fill),
    "capped": _signal("capped", _capped),
    "clock": _signal("clock", _clock),
    "power": _signal("power", _power),
}


def _link_capacity(frame: Frame) -> Array:
    """[device], bytes per second and direction of all NVLinks together, NaN without any."""

    def build() -> Array:
        total = np.full(len(frame.devices), np.nan)
        for link in frame.channels(device.LINK_SPEED)[:LINKS]:
            total = np.nansum([total, frame.latest(device.LINK_SPEED, *link, seconds=_SLOW_SECONDS)], axis=0)
        return np.asarray(np.where(total > 0, total, np.nan))

    depends = (len(frame.devices), len(frame.channels(device.LINK_SPEED)), frame.now // _CAPACITY_SECONDS)
    return frame.once("link capacity", build, depends)
