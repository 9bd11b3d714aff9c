"""What the console shows each second: hosts and devices as the last two scrapes saw them."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from warpgauge.core.catalog import device, host

if TYPE_CHECKING:
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.entities import DeviceEntity
    from warpgauge.analyzer.frame.states import Doubles
    from warpgauge.core.catalog import Metric

__all__ = ["live_document"]

_IDLE_MODES: Final = ("idle", "iowait")
_GUEST_MODES: Final = ("guest", "guest_nice")  # part of user and nice already
_HOST_RATES: Final = {
    "disk_read_bytes_per_second": host.DISK_READ,
    "disk_written_bytes_per_second": host.DISK_WRITTEN,
    "network_receive_bytes_per_second": host.NETWORK_RECEIVE,
    "network_transmit_bytes_per_second": host.NETWORK_TRANSMIT,
}
_DEVICE_VALUES: Final[dict[str, tuple[Metric, tuple[str, ...]]]] = {
    "utilization_ratio": (device.UTILIZATION, ("compute",)),
    "compute_active_ratio": (device.COMPUTE_ACTIVE, ()),
    "memory_used_bytes": (device.MEMORY_USED, ()),
    "memory_total_bytes": (device.MEMORY_TOTAL, ()),
    "temperature_celsius": (device.TEMPERATURE, ("core",)),
    "power_watts": (device.POWER, ()),
}


def live_document(frame: Frame, now: float) -> dict[str, Any]:
    """Hosts and devices with their newest values; what is unknown is absent."""
    return {"time": now, "hosts": _hosts(frame), "devices": _devices(frame)}


def _hosts(frame: Frame) -> list[dict[str, Any]]:
    total, available = frame.instant(host.MEMORY_TOTAL), frame.instant(host.MEMORY_AVAILABLE)
    busy, count = _cpus(frame)
    columns = {
        "cpu_ratio": busy,
        "cpu_count": count,
        "memory_used_bytes": total - available,
        "memory_total_bytes": total,
        **{name: frame.instant(metric) for name, metric in _HOST_RATES.items()},
        "load1": frame.instant(host.LOAD1),
    }
    return [
        {"cluster": node.cluster, "node": node.node, "simulated": node.simulated, **_known(columns, row)}
        for row, node in enumerate(frame.nodes.entities)
    ]


def _cpus(frame: Frame) -> tuple[Doubles, Doubles]:
    """Busy share of all CPUs, and how many there are."""
    modes = [extra for extra in frame.channels(host.CPU_SECONDS) if extra[0] not in _GUEST_MODES]
    spent = {extra[0]: np.nan_to_num(frame.instant(host.CPU_SECONDS, *extra)) for extra in modes}
    total = np.sum(list(spent.values()), axis=0) if spent else np.zeros(len(frame.nodes))
    idle = np.sum([values for mode, values in spent.items() if mode in _IDLE_MODES], axis=0)
    with np.errstate(divide="ignore", invalid="ignore"):
        busy = np.where(total > 0, np.clip(1.0 - idle / total, 0.0, 1.0), np.nan)
    counted = np.where(total > 0, np.rint(total), np.nan)
    stated = frame.instant(host.CPU_COUNT)
    return busy, np.where(np.isnan(stated), counted, stated)


def _devices(frame: Frame) -> list[dict[str, Any]]:
    columns = {name: frame.instant(metric, *extra) for name, (metric, extra) in _DEVICE_VALUES.items()}
    states = {extra[0]: frame.instant(device.DEVICE_STATE, *extra) for extra in frame.channels(device.DEVICE_STATE)}
    jobs = frame.device_job
    return [
        {
            **device_identity(entity),
            **({"job_id": job[1]} if (job := jobs[row]) is not None else {}),
            **_known(columns, row),
            **_state(states, row),
        }
        for row, entity in enumerate(frame.devices.entities)
    ]


def device_identity(entity: DeviceEntity) -> dict[str, Any]:
    """Who a device is, as JSON; what is unknown is absent."""
    words = {name: getattr(entity, name) for name in ("instance_id", "vendor", "kind", "model")}
    return {
        "cluster": entity.cluster,
        "node": entity.node,
        "uuid": entity.uuid,
        **({"index": entity.index} if entity.index >= 0 else {}),
        **{name: word for name, word in words.items() if word},
        "simulated": entity.simulated,
    }


def _known(columns: dict[str, Doubles], row: int) -> dict[str, float | int]:
    found = {name: float(values[row]) for name, values in columns.items()}
    return {name: int(value) if name == "cpu_count" else value for name, value in found.items() if math.isfinite(value)}


def _state(states: dict[str, Doubles], row: int) -> dict[str, str]:
    holding = [state for state, values in states.items() if values[row] == 1.0]
    return {"state": holding[0]} if holding else {}
