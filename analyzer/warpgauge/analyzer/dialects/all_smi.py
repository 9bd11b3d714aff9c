"""all-smi (0.9 to 0.17; https://github.com/lablup/all-smi): devices of many vendors.

Names and units are those of its API.md and src/api/metrics; older releases call the identity labels `uuid` and `index`,
newer ones `gpu_uuid` and `gpu_index`. Its label `instance` is the host's name; Prometheus keeps it as
`exported_instance` unless honor_labels is set.

Can tell: memory, power and temperature of devices, utilization, and on Hopper occupancy and memory bandwidth; of the
node its memory, swap and file systems.
Cannot tell: which workload holds a device, so neither idle-but-allocated devices nor stragglers; throttle reasons, so
no device slowed down by heat; step phases, so no input-bound jobs; device states, so a lost device shows as silence;
CPU time by mode, so no saturated host (its CPU utilization is one percentage). Compute- and bandwidth-bound stay
undetermined.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.dialects.dialect import Mapped
from warpgauge.analyzer.dialects.rows import MEGA, PERCENT, Device, DeviceDialect, Readings, Row
from warpgauge.core.catalog import Metric, device, host

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["ALL_SMI", "HOST_ROWS"]

_PREFIX: Final = "all_smi_"
_VENDORS: Final = (
    ("nvidia", "nvidia"), ("geforce", "nvidia"), ("tesla", "nvidia"), ("amd", "amd"), ("radeon", "amd"),
    ("instinct", "amd"), ("gaudi", "intel"), ("intel", "intel"), ("tpu", "google"), ("apple", "apple"),
    ("tenstorrent", "tenstorrent"), ("rebellions", "rebellions"), ("furiosa", "furiosa"),
)  # fmt: skip


def _row(name: str, metric: Metric, factor: float = 1.0, **labels: str) -> Readings:
    return {f"{_PREFIX}gpu_{name}": (Row(metric, factor, labels),)}


_ROWS: Final[Readings] = {
    **_row("utilization", device.UTILIZATION, PERCENT, engine="compute"),
    **_row("memory_used_bytes", device.MEMORY_USED),
    **_row("memory_total_bytes", device.MEMORY_TOTAL),
    **_row("temperature_celsius", device.TEMPERATURE, sensor="core"),
    **_row("temperature_threshold_slowdown_celsius", device.TEMPERATURE_LIMIT, limit="slowdown"),
    **_row("temperature_threshold_shutdown_celsius", device.TEMPERATURE_LIMIT, limit="shutdown"),
    **_row("power_consumption_watts", device.POWER),
    **_row("power_limit_current_watts", device.POWER_LIMIT, limit="enforced"),
    **_row("power_limit_max_watts", device.POWER_LIMIT, limit="max"),
    **_row("frequency_mhz", device.CLOCK, MEGA, clock="graphics"),
    **_row("clock_graphics_max_mhz", device.CLOCK_MAX, MEGA, clock="graphics"),
    **_row("clock_memory_max_mhz", device.CLOCK_MAX, MEGA, clock="memory"),
    **_row("pcie_gen_current", device.PCIE_LINK_GENERATION),
    **_row("pcie_width_current", device.PCIE_LINK_WIDTH),
    **_row("sm_occupancy", device.COMPUTE_OCCUPANCY),
    **_row("memory_bandwidth_utilization", device.MEMORY_BANDWIDTH_ACTIVE),
    **_row("sm_active_ratio", device.COMPUTE_ACTIVE),
    **_row("graphics_active_ratio", device.GRAPHICS_ENGINE_ACTIVE),
    **_row("tensor_active_ratio", device.PIPE_ACTIVE, pipe="tensor"),
}

HOST_ROWS: Final[dict[str, Row]] = {
    f"{_PREFIX}memory_total_bytes": Row(host.MEMORY_TOTAL),
    f"{_PREFIX}memory_available_bytes": Row(host.MEMORY_AVAILABLE),
    f"{_PREFIX}memory_free_bytes": Row(host.MEMORY_FREE),
    f"{_PREFIX}swap_total_bytes": Row(host.SWAP_TOTAL),
    f"{_PREFIX}swap_free_bytes": Row(host.SWAP_FREE),
}


def _identity(labels: Mapping[str, str]) -> Device | None:
    uuid = labels.get("gpu_uuid") or labels.get("uuid", "")
    if not uuid:
        return None
    model = labels.get("gpu") or labels.get("npu", "")
    kind = labels.get("type", "GPU").lower()
    return Device(
        uuid=uuid,
        index=labels.get("gpu_index") or labels.get("index", ""),
        vendor=next((vendor for word, vendor in _VENDORS if word in model.lower()), ""),
        kind=kind if kind in {"gpu", "npu", "tpu"} else "gpu",
        model=model,
    )


class _AllSmi(DeviceDialect):
    """The devices' table, and a small one about the node."""

    def __init__(self) -> None:
        super().__init__(
            "all-smi",
            prefixes=(_PREFIX,),
            rows=_ROWS,
            carriers=frozenset({f"{_PREFIX}gpu_info", f"{_PREFIX}gpu_memory_total_bytes"}),
            identity=_identity,
        )
        self.names |= frozenset(HOST_ROWS)
        self.metrics |= frozenset(row.metric for row in HOST_ROWS.values())

    def map(self, name: str, labels: Mapping[str, str]) -> tuple[Mapped, ...]:
        row = HOST_ROWS.get(name)
        if row is None:
            return super().map(name, labels)
        return (Mapped(metric=row.metric, labels={**labels, **row.labels}, factor=row.factor),)


ALL_SMI: Final = _AllSmi()
