"""Which field of dcgm-exporter is which of our metrics, in its type and its unit.

Names, types and units: etc/default-counters.csv of NVIDIA/dcgm-exporter, 4.6 to 4.8; of what that leaves out (engines
one by one, power at the moment, time below the base clocks) DCGM's own field identifiers.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import Kind, detail, device

if TYPE_CHECKING:
    from warpgauge.core.catalog import Metric

__all__ = ["FIELDS", "NOT_GIVEN", "Field"]

PER_MEGAHERTZ: Final = 1e-6
PER_MIB: Final = 1.0 / (1 << 20)
PERCENT: Final = 100.0
MILLI: Final = 1e3
NANO: Final = 1e9


@dataclass(frozen=True, slots=True, kw_only=True)
class Field:
    """One DCGM field: theirs = ours x `factor`, summed over the series whose labels match (None matches any)."""

    name: str
    kind: Kind
    help: str
    metric: Metric
    labels: tuple[str | None, ...] = ()
    factor: float = 1.0
    is_default: bool = True  # on in dcgm-exporter unless told otherwise


def _gauge(
    name: str, text: str, metric: Metric, *labels: str | None, factor: float = 1.0, extra: bool = False
) -> Field:
    return Field(
        name=name, kind=Kind.GAUGE, help=text, metric=metric, labels=labels, factor=factor, is_default=not extra
    )


def _counter(
    name: str, text: str, metric: Metric, *labels: str | None, factor: float = 1.0, extra: bool = False
) -> Field:
    return Field(
        name=name, kind=Kind.COUNTER, help=text, metric=metric, labels=labels, factor=factor, is_default=not extra
    )


_ECC: Final = {
    "SBE_VOL": ("corrected", "volatile"),
    "DBE_VOL": ("uncorrected", "volatile"),
    "SBE_AGG": ("corrected", "aggregate"),
    "DBE_AGG": ("uncorrected", "aggregate"),
}

_VIOLATIONS: Final = {
    "POWER": "sw_power_cap",
    "THERMAL": "sw_thermal",
    "SYNC_BOOST": "sync_boost",
    "BOARD_LIMIT": "board_limit",
    "LOW_UTIL": "low_utilization",
    "RELIABILITY": "reliability",
}
_ENGINES: Final = {"NVDEC": ("decoder", 8), "NVJPG": ("jpeg", 8), "NVOFA": ("ofa", 2)}
FIELDS: Final[tuple[Field, ...]] = (
    _gauge("DCGM_FI_DEV_SM_CLOCK", "SM clock (in MHz).", device.CLOCK, "sm", factor=PER_MEGAHERTZ),
    _gauge("DCGM_FI_DEV_MEM_CLOCK", "Memory clock (in MHz).", device.CLOCK, "memory", factor=PER_MEGAHERTZ),
    _gauge("DCGM_FI_DEV_MEMORY_TEMP", "Memory temperature (in C).", device.TEMPERATURE, "memory"),
    _gauge("DCGM_FI_DEV_GPU_TEMP", "GPU temperature (in C).", device.TEMPERATURE, "core"),
    _gauge("DCGM_FI_DEV_POWER_USAGE", "Power draw (in W).", device.POWER),
    _counter(
        "DCGM_FI_DEV_TOTAL_ENERGY_CONSUMPTION",
        "Energy since the driver was loaded (in mJ).",
        device.ENERGY,
        factor=MILLI,
    ),
    _counter("DCGM_FI_DEV_PCIE_REPLAY_COUNTER", "PCIe retries.", device.PCIE_REPLAY),
    _gauge("DCGM_FI_DEV_GPU_UTIL", "GPU utilization (in %).", device.UTILIZATION, "compute", factor=PERCENT),
    _gauge("DCGM_FI_DEV_MEM_COPY_UTIL", "Memory access (in % of time).", device.MEMORY_ACCESS, factor=PERCENT),
    _gauge("DCGM_FI_DEV_ENC_UTIL", "Encoder utilization (in %).", device.UTILIZATION, "encoder", factor=PERCENT),
    _gauge("DCGM_FI_DEV_DEC_UTIL", "Decoder utilization (in %).", device.UTILIZATION, "decoder", factor=PERCENT),
    _gauge("DCGM_FI_DEV_FB_FREE", "Free framebuffer memory (in MiB).", device.MEMORY_FREE, factor=PER_MIB),
    _gauge("DCGM_FI_DEV_FB_USED", "Used framebuffer memory (in MiB).", device.MEMORY_USED, factor=PER_MIB),
    _gauge("DCGM_FI_DEV_FB_RESERVED", "Reserved framebuffer memory (in MiB).", device.MEMORY_RESERVED, factor=PER_MIB),
    _counter(
        "DCGM_FI_DEV_UNCORRECTABLE_REMAPPED_ROWS",
        "Rows remapped for uncorrectable errors.",
        device.ROWS_REMAPPED,
        "uncorrected",
    ),
    _counter(
        "DCGM_FI_DEV_CORRECTABLE_REMAPPED_ROWS",
        "Rows remapped for correctable errors.",
        device.ROWS_REMAPPED,
        "corrected",
    ),
    _gauge("DCGM_FI_DEV_ROW_REMAP_FAILURE", "1 if a row remap failed.", device.ROW_REMAP_FAILED),
    _gauge("DCGM_FI_PROF_GR_ENGINE_ACTIVE", "Share of time the engine was active.", device.GRAPHICS_ENGINE_ACTIVE),
    _gauge("DCGM_FI_PROF_PIPE_TENSOR_ACTIVE", "Share of cycles of the tensor pipes.", device.PIPE_ACTIVE, "tensor"),
    _gauge("DCGM_FI_PROF_DRAM_ACTIVE", "Share of cycles with memory traffic.", device.MEMORY_BANDWIDTH_ACTIVE),
    _gauge("DCGM_FI_PROF_PCIE_TX_BYTES", "PCIe bytes sent (per second).", device.PCIE_TRANSMIT_RATE),
    _gauge("DCGM_FI_PROF_PCIE_RX_BYTES", "PCIe bytes received (per second).", device.PCIE_RECEIVE_RATE),
    _gauge("DCGM_FI_PROF_NVLINK_TX_BYTES", "NVLink bytes sent (per second).", device.LINK_TRANSMIT_RATE, extra=True),
    _gauge("DCGM_FI_PROF_NVLINK_RX_BYTES", "NVLink bytes received (per second).", device.LINK_RECEIVE_RATE, extra=True),
    _gauge("DCGM_FI_PROF_SM_ACTIVE", "Share of SMs with a resident warp.", device.COMPUTE_ACTIVE, extra=True),
    _gauge("DCGM_FI_PROF_SM_OCCUPANCY", "Resident warps as a share of the most.", device.COMPUTE_OCCUPANCY, extra=True),
    *[
        _gauge(
            f"DCGM_FI_PROF_PIPE_{pipe.upper()}_ACTIVE",
            f"Share of cycles of the {pipe} pipe.",
            device.PIPE_ACTIVE,
            pipe,
            extra=True,
        )
        for pipe in ("fp64", "fp32", "fp16")
    ],
    *[
        _gauge(
            f"DCGM_FI_PROF_{word}{number}_ACTIVE",
            f"Share of time {engine} engine {number} worked.",
            detail.ENGINE_ACTIVE,
            engine,
            str(number),
            extra=True,
        )
        for word, (engine, count) in _ENGINES.items()
        for number in range(count)
    ],
    _gauge("DCGM_FI_DEV_POWER_USAGE_INSTANT", "Power draw at the moment (in W).", device.POWER_INSTANT, extra=True),
    *[
        _counter(
            f"DCGM_FI_DEV_{name}_VIOLATION",
            f"Time the clocks were held down: {reason} (in ns).",
            device.THROTTLE_SECONDS,
            reason,
            factor=NANO,
            extra=True,
        )
        for name, reason in _VIOLATIONS.items()
    ],
    _counter(
        "DCGM_FI_DEV_TOTAL_BASE_CLOCKS_VIOLATION",
        "Time below the base clocks (in ns).",
        detail.CLOCKS_BELOW_BASE,
        factor=NANO,
        extra=True,
    ),
    *[
        _counter(
            f"DCGM_FI_DEV_ECC_{name}_TOTAL", f"ECC errors: {', '.join(labels)}.", device.ECC_ERRORS, *labels, extra=True
        )
        for name, labels in _ECC.items()
    ],
    _counter(
        "DCGM_FI_DEV_RETIRED_SBE", "Pages retired for single-bit errors.", device.PAGES_RETIRED, "corrected", extra=True
    ),
    _counter(
        "DCGM_FI_DEV_RETIRED_DBE",
        "Pages retired for double-bit errors.",
        device.PAGES_RETIRED,
        "uncorrected",
        extra=True,
    ),
    _counter(
        "DCGM_FI_DEV_RETIRED_PENDING", "Pages that wait to be retired.", device.PAGE_RETIREMENT_PENDING, extra=True
    ),
    _counter(
        "DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL",
        "NVLink replays, all links.",
        device.LINK_ERRORS,
        None,
        "replay",
        extra=True,
    ),
    _counter(
        "DCGM_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL",
        "NVLink recoveries, all links.",
        device.LINK_ERRORS,
        None,
        "recovery",
        extra=True,
    ),
)
"""Every field of a number that NVML can give; the last XID is `DCGM_FI_DEV_XID_ERRORS`, which carries more labels."""

_CRC: Final = (
    "CRC errors are counted link by link, flit and data together: an H100 and an H200 do not support the fields of NVML"
    " that tell them apart"
)
NOT_GIVEN: Final = {
    "DCGM_FI_DEV_NVLINK_BANDWIDTH_TOTAL": "no source states its unit, nor that of NVLINK_THROUGHPUT_TOTAL, DCGM's newer"
    " name for it; DCGM_FI_PROF_NVLINK_TX_BYTES has one",
    "DCGM_FI_DEV_VGPU_LICENSE_STATUS": "is about guests with a vGPU",
    "DCGM_FI_DEV_NVLINK_CRC_FLIT_ERROR_COUNT_TOTAL": _CRC,
    "DCGM_FI_DEV_NVLINK_CRC_DATA_ERROR_COUNT_TOTAL": _CRC,
    "DCGM_FI_DEV_NVLINK_BANDWIDTH_L0": "no source states its unit",
    "DCGM_EXP_CLOCK_EVENTS_COUNT": "a window of DCGM's own; accel_throttle_seconds_total counts without one",
    "DCGM_EXP_XID_ERRORS_COUNT": "a window of DCGM's own; accel_xid_events_total counts without one",
    "DCGM_EXP_GPU_HEALTH_STATUS": "DCGM's own judgement",
    "DCGM_EXP_P2P_STATUS": "not read by this agent",
}
"""Fields of the same list that are absent here, and why; never a 0 in their place."""
