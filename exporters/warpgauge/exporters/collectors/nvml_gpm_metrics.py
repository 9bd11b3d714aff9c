"""Which of GPM's metrics are asked for, what they are in the catalog, and which of them are asked for seldom."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final, NamedTuple

from warpgauge.core.catalog import Metric, Unit, detail, device
from warpgauge.exporters.collectors.nvml_api import constant

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ASKED", "Asked"]

PERCENT: Final = 0.01
MIB: Final = 1024.0 * 1024.0

_PIPES: Final = {
    "ANY_TENSOR": "tensor",
    "DFMA_TENSOR": "tensor_dfma",
    "HMMA_TENSOR": "tensor_hmma",
    "DMMA_TENSOR": "tensor_dmma",
    "IMMA_TENSOR": "tensor_imma",
    "FP64": "fp64",
    "FP32": "fp32",
    "FP16": "fp16",
    "INTEGER": "int",
}
_ENGINES: Final = {"NVDEC": ("decoder", 8), "NVENC": ("encoder", 4), "NVJPG": ("jpeg", 8), "NVOFA": ("ofa", 2)}


class Asked(NamedTuple):
    """One GPM metric: what it is in the catalog, and what turns its unit into a base unit."""

    id: int
    metric: Metric
    labels: tuple[str, ...]
    factor: float
    most: float  # in base units; shares stay within 0-1, for drivers were seen to overshoot both ends
    is_seldom: bool = False  # asked for once an interval, not at each reading
    is_shy: bool = False  # says nothing until it first was more than 0, for the driver says 0 of what a board lacks


def _asked(suffix: str, metric: Metric, *labels: str, factor: float = PERCENT) -> Asked:
    most = 1.0 if metric.unit is Unit.RATIO else math.inf
    return Asked(constant(f"NVML_GPM_METRIC_{suffix}"), metric, labels, factor, most)


def _engines() -> Iterator[Asked]:
    for word, (engine, count) in _ENGINES.items():
        for number in range(count):
            asked = _asked(f"{word}_{number}_UTIL", detail.ENGINE_ACTIVE, engine, str(number))
            yield asked._replace(is_seldom=True, is_shy=True)


ASKED: Final = (
    _asked("SM_UTIL", device.COMPUTE_ACTIVE),
    _asked("SM_OCCUPANCY", device.COMPUTE_OCCUPANCY),
    _asked("DRAM_BW_UTIL", device.MEMORY_BANDWIDTH_ACTIVE),
    *[_asked(f"{suffix}_UTIL", device.PIPE_ACTIVE, pipe) for suffix, pipe in _PIPES.items()],
    _asked("PCIE_TX_PER_SEC", device.PCIE_TRANSMIT_RATE, factor=MIB),
    _asked("PCIE_RX_PER_SEC", device.PCIE_RECEIVE_RATE, factor=MIB),
    _asked("NVLINK_TOTAL_TX_PER_SEC", device.LINK_TRANSMIT_RATE, factor=MIB),
    _asked("NVLINK_TOTAL_RX_PER_SEC", device.LINK_RECEIVE_RATE, factor=MIB),
    # 1.9 ms of CPU in the driver each time; all of the above together 0.07 (docs/benchmarks.md, "Real GPUs").
    _asked("GRAPHICS_UTIL", device.GRAPHICS_ENGINE_ACTIVE)._replace(is_seldom=True),
    *_engines(),
)
"""All of them exist since GPM does, but for the encoders'; nvml.h gives rates in MiB/s, shares in percent."""
