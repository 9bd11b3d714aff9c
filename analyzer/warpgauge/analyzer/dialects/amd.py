"""AMD Device Metrics Exporter (1.0 to 1.5; https://github.com/ROCm/device-metrics-exporter): AMD Instinct devices.

Names, units and labels are those of its docs/configuration/metricslist.md; names may carry the prefix `amd_` that its
configuration can set. Labels name the device by `gpu_id`, `serial_number` and, where enabled, `gpu_uuid`; a partition
(CPX and the like) counts as an instance of its device. The violation percentages are shares of time, the accumulated
ones have no stated unit and are left out, as is the voltage regulator's, which is no reason of its own here.

Can tell: idle devices that a pod or a Slurm job holds (by default labels), heat and power limits that slow devices on
MI300 and newer (percentages enabled by default), memory, ECC and PCIe replays; with the profiler fields also how the
time is spent. GPU_GFX_ACTIVITY reads 100 % while a collective hangs (ROCm/device-metrics-exporter#34).
Cannot tell: step phases, so no input-bound jobs, and a straggler only where its clock is low; device states, so a lost
device shows as silence.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.dialects.rows import (
    MEGA,
    MIB,
    MICRO,
    PERCENT,
    Device,
    DeviceDialect,
    Readings,
    Row,
    Workload,
)
from warpgauge.core.catalog import Metric, device

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["AMD"]

_PREFIXES: Final = ("", "amd_")
_OWN_POD: Final = re.compile(r"(?:.*-)?metrics-exporter(?:-.*)?")
_WHOLE: Final = frozenset({"", "spx", "none", "na", "n/a"})  # partition types of a device that is not partitioned
_FIRST: Final = frozenset({"", "0"})


def _rows(name: str, *rows: Row) -> Readings:
    return {f"{prefix}{name}": rows for prefix in _PREFIXES}


def _row(name: str, metric: Metric, factor: float = 1.0, **labels: str) -> Readings:
    return _rows(name, Row(metric, factor, labels))


def _violation(name: str, reason: str) -> Readings:
    return _row(f"gpu_violation_{name}_percentage", device.THROTTLE_ACTIVE, PERCENT, reason=reason)


def _clock_types(word: str) -> tuple[str, frozenset[str]]:
    """Newer releases say `system`, older ones GPU_CLOCK_TYPE_SYSTEM."""
    return ("clock_type", frozenset({word, f"GPU_CLOCK_TYPE_{word.upper()}"}))


def _clocks() -> Readings:
    """One clock for each accelerator die: the first stands for the device."""
    system = Row(device.CLOCK, MEGA, {"clock": "sm"}, only=(_clock_types("system"), ("clock_index", _FIRST)))
    memory = Row(device.CLOCK, MEGA, {"clock": "memory"}, only=(_clock_types("memory"),))
    fastest = Row(device.CLOCK_MAX, MEGA, {"clock": "sm"}, only=(_clock_types("system"), ("clock_index", _FIRST)))
    return _rows("gpu_clock", system, memory) | _rows("gpu_max_clock", fastest)


_ROWS: Final[Readings] = {
    **_clocks(),
    **_row("gpu_gfx_activity", device.UTILIZATION, PERCENT, engine="compute"),
    **_row("gpu_umc_activity", device.MEMORY_ACCESS, PERCENT),
    **_row("gpu_prof_sm_active", device.COMPUTE_ACTIVE, PERCENT),
    **_row("gpu_prof_gui_util_percent", device.GRAPHICS_ENGINE_ACTIVE, PERCENT),
    **_row("gpu_prof_occupancy_percent", device.COMPUTE_OCCUPANCY, PERCENT),
    **_row("gpu_prof_tensor_active_percent", device.PIPE_ACTIVE, PERCENT, pipe="tensor"),
    **_row("gpu_edge_temperature", device.TEMPERATURE, sensor="core"),
    **_row("gpu_junction_temperature", device.TEMPERATURE, sensor="core"),
    **_row("gpu_memory_temperature", device.TEMPERATURE, sensor="memory"),
    **_row("gpu_power_usage", device.POWER),
    **_row("gpu_energy_consumed", device.ENERGY, MICRO),
    **_row("gpu_total_vram", device.MEMORY_TOTAL, MIB),
    **_row("gpu_used_vram", device.MEMORY_USED, MIB),
    **_row("gpu_free_vram", device.MEMORY_FREE, MIB),
    **_row("gpu_ecc_correct_total", device.ECC_ERRORS, severity="corrected", persistence="volatile"),
    **_row("gpu_ecc_uncorrect_total", device.ECC_ERRORS, severity="uncorrected", persistence="volatile"),
    **_row("pcie_replay_count", device.PCIE_REPLAY),
    **_row("pcie_replay_rollover_count", device.PCIE_REPLAY_ROLLOVER),
    **_violation("ppt_residency", "sw_power_cap"),
    **_violation("socket_thermal_residency", "sw_thermal"),
    **_violation("hbm_thermal_residency", "hw_thermal"),
    **_violation("processor_hot_residency", "hw_slowdown"),
}

_CARRIERS: Final = frozenset(
    f"{prefix}{name}" for prefix in _PREFIXES for name in ("gpu_gfx_activity", "gpu_total_vram", "gpu_power_usage")
)


def _identity(labels: Mapping[str, str]) -> Device | None:
    number, serial = labels.get("gpu_id", ""), labels.get("serial_number", "")
    uuid = labels.get("gpu_uuid") or serial
    if not number and not uuid:
        return None
    is_whole = labels.get("gpu_compute_partition_type", "").lower() in _WHOLE
    return Device(
        uuid=uuid or f"gpu{number}",
        index=number,
        instance_id="" if is_whole else labels.get("gpu_partition_id", ""),
        vendor="amd",
        model=labels.get("card_series") or labels.get("card_model", ""),
    )


def _workload(labels: Mapping[str, str]) -> Workload:
    """Slurm's job or Kubernetes' pod; both stand empty on the series of a free device."""
    if job := labels.get("exported_job_id") or labels.get("job_id"):
        return Workload(scheduler="slurm", job_id=job, user=labels.get("job_user", ""))
    exported = labels.get("exported_pod", "")
    pod = exported or labels.get("pod", "")
    if not pod or (not exported and _OWN_POD.fullmatch(pod)):
        return Workload()
    return Workload(
        scheduler="kubernetes",
        namespace=labels.get("exported_namespace") or labels.get("namespace", ""),
        pod=pod,
        container=labels.get("exported_container") or labels.get("container", ""),
    )


AMD: Final = DeviceDialect(
    "AMD Device Metrics Exporter",
    prefixes=("gpu_prof_", "gpu_ecc_", "gpu_violation_", "gpu_xgmi_", "amd_gpu_", "amd_pcie_", "gpu_nodes_total"),
    rows=_ROWS,
    carriers=_CARRIERS,
    identity=_identity,
    workload=_workload,
)
