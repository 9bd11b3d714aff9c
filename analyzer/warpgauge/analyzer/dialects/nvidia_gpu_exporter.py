"""nvidia_gpu_exporter (https://github.com/utkuozdemir/nvidia_gpu_exporter): NVIDIA devices by nvidia-smi or NVML.

Names and units are those of its docs/METRICS.md and of the pages under internal/integration/testdata. UUIDs stand there
without "GPU-"; it is put back, so that a device read by two exporters is one device.

Can tell: heat that slows devices, memory, power, PCIe links, ECC and remapped rows, XIDs (NVML backend).
Cannot tell: which workload holds a device, so neither idle-but-allocated devices nor stragglers unless another source
names the workload; step phases, so no input-bound jobs; device states, so a lost device shows as silence. Whole
devices have utilization only, not which pipe works: compute- and bandwidth-bound stay undetermined.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.dialects.rows import Device, DeviceDialect, Readings, Row
from warpgauge.core.catalog import Metric, device

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["NVIDIA_GPU_EXPORTER"]

_PREFIX: Final = "nvidia_smi_"
_REASONS: Final = {
    "gpu_idle": "idle",
    "applications_clocks_setting": "app_clocks",
    "sw_power_cap": "sw_power_cap",
    "hw_slowdown": "hw_slowdown",
    "sync_boost": "sync_boost",
    "sw_thermal_slowdown": "sw_thermal",
    "hw_thermal_slowdown": "hw_thermal",
    "hw_power_brake_slowdown": "hw_power_brake",
}
_COUNTED_REASONS: Final = ("sw_power_cap", "sync_boost", "sw_thermal_slowdown", "hw_thermal_slowdown",
                           "hw_power_brake_slowdown")  # fmt: skip


def _row(name: str, metric: Metric, **labels: str) -> Readings:
    return {_PREFIX + name: (Row(metric, labels=labels),)}


def _clocks() -> Readings:
    rows: Readings = {}
    for clock in ("graphics", "sm", "memory", "video"):
        rows |= _row(f"clocks_current_{clock}_clock_hz", device.CLOCK, clock=clock)
        rows |= _row(f"clocks_max_{clock}_clock_hz", device.CLOCK_MAX, clock=clock)
    return rows


def _throttled() -> Readings:
    """Drivers before 535 say clocks_throttle_reasons."""
    rows: Readings = {}
    for theirs, reason in _REASONS.items():
        for word in ("event", "throttle"):
            rows |= _row(f"clocks_{word}_reasons_{theirs}", device.THROTTLE_ACTIVE, reason=reason)
    for theirs in _COUNTED_REASONS:
        name = f"clocks_event_reasons_counters_{theirs}_seconds"
        rows |= _row(name, device.THROTTLE_SECONDS, reason=_REASONS[theirs])
    return rows


def _ecc() -> Readings:
    rows: Readings = {}
    for severity in ("corrected", "uncorrected"):
        for persistence in ("volatile", "aggregate"):
            name = f"ecc_errors_{severity}_{persistence}"
            rows |= _row(f"{name}_total", device.ECC_ERRORS, severity=severity, persistence=persistence)
            for location in ("device_memory", "sram"):
                labels = {"severity": severity, "persistence": persistence, "location": location}
                rows |= _row(f"{name}_{location}", device.ECC_LOCATION_ERRORS, **labels)
    return rows


def _mig() -> Readings:
    """A MIG instance has series of its own, with the parent's uuid and the number of the GPU instance."""
    return {
        **_row("mig_memory_total_bytes", device.MEMORY_TOTAL),
        **_row("mig_memory_used_bytes", device.MEMORY_USED),
        **_row("mig_memory_free_bytes", device.MEMORY_FREE),
        **_row("mig_memory_reserved_bytes", device.MEMORY_RESERVED),
        **_row("mig_graphics_activity_ratio", device.GRAPHICS_ENGINE_ACTIVE),
        **_row("mig_sm_activity_ratio", device.COMPUTE_ACTIVE),
        **_row("mig_sm_occupancy_ratio", device.COMPUTE_OCCUPANCY),
        **_row("mig_tensor_activity_ratio", device.PIPE_ACTIVE, pipe="tensor"),
        **_row("mig_pcie_throughput_tx_bytes_per_second", device.PCIE_TRANSMIT_RATE),
        **_row("mig_pcie_throughput_rx_bytes_per_second", device.PCIE_RECEIVE_RATE),
    }


_ROWS: Final[Readings] = {
    **_clocks(),
    **_throttled(),
    **_ecc(),
    **_mig(),
    **_row("temperature_gpu", device.TEMPERATURE, sensor="core"),
    **_row("temperature_memory", device.TEMPERATURE, sensor="memory"),
    **_row("temperature_gpu_tlimit", device.TEMPERATURE_MARGIN),
    **_row("power_draw_watts", device.POWER),
    **_row("power_draw_instant_watts", device.POWER_INSTANT),
    **_row("enforced_power_limit_watts", device.POWER_LIMIT, limit="enforced"),
    **_row("power_default_limit_watts", device.POWER_LIMIT, limit="default"),
    **_row("power_min_limit_watts", device.POWER_LIMIT, limit="min"),
    **_row("power_max_limit_watts", device.POWER_LIMIT, limit="max"),
    **_row("energy_joules_total", device.ENERGY),
    **_row("utilization_gpu_ratio", device.UTILIZATION, engine="compute"),
    **_row("utilization_encoder_ratio", device.UTILIZATION, engine="encoder"),
    **_row("utilization_decoder_ratio", device.UTILIZATION, engine="decoder"),
    **_row("utilization_memory_ratio", device.MEMORY_ACCESS),
    **_row("memory_total_bytes", device.MEMORY_TOTAL),
    **_row("memory_used_bytes", device.MEMORY_USED),
    **_row("memory_free_bytes", device.MEMORY_FREE),
    **_row("memory_reserved_bytes", device.MEMORY_RESERVED),
    **_row("pcie_throughput_tx_bytes_per_second", device.PCIE_TRANSMIT_RATE),
    **_row("pcie_throughput_rx_bytes_per_second", device.PCIE_RECEIVE_RATE),
    **_row("pcie_link_gen_gpucurrent", device.PCIE_LINK_GENERATION),
    **_row("pcie_link_gen_max", device.PCIE_LINK_GENERATION_MAX),
    **_row("pcie_link_width_current", device.PCIE_LINK_WIDTH),
    **_row("pcie_link_width_max", device.PCIE_LINK_WIDTH_MAX),
    **_row("remapped_rows_correctable", device.ROWS_REMAPPED, cause="corrected"),
    **_row("remapped_rows_uncorrectable", device.ROWS_REMAPPED, cause="uncorrected"),
    **_row("remapped_rows_pending", device.ROW_REMAP_PENDING),
    **_row("remapped_rows_failure", device.ROW_REMAP_FAILED),
    **_row("persistence_mode", device.PERSISTENCE_MODE),
    **_row("ecc_mode_current", device.ECC_MODE, when="current"),
    **_row("ecc_mode_pending", device.ECC_MODE, when="pending"),
    **_row("mig_mode_current", device.MIG_MODE, when="current"),
    **_row("mig_mode_pending", device.MIG_MODE, when="pending"),
    **_row("compute_apps", device.PROCESSES),
    f"{_PREFIX}xid_errors_total": (Row(device.XID_EVENTS, copied=("xid",)),),
    f"{_PREFIX}xid_last_timestamp_seconds": (Row(device.XID_LAST, copied=("xid",)),),
}


def _identity(labels: Mapping[str, str]) -> Device | None:
    uuid = labels.get("uuid", "")
    if not uuid:
        return None
    return Device(
        uuid=uuid if uuid.startswith(("GPU-", "MIG-")) else f"GPU-{uuid}",
        index=labels.get("index", ""),
        instance_id=labels.get("gpu_instance_id", ""),
        vendor="nvidia",
        model=labels.get("name", ""),
    )


NVIDIA_GPU_EXPORTER: Final = DeviceDialect(
    "nvidia_gpu_exporter",
    prefixes=(_PREFIX,),
    rows=_ROWS,
    carriers=frozenset({f"{_PREFIX}gpu_info"}),
    identity=_identity,
)
