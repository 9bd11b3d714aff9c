"""A catalog row as OpenTelemetry names it: the convention where there is one (`hw.*`, `system.*`), else our own name.

Conventions: https://opentelemetry.io/docs/specs/semconv/hardware/ and /system/, of which most are in development; what
they call otherwise than we do stands here, the names of metrics stand in the catalog.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import device, host

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.core.catalog import Metric

__all__ = ["attributes_of", "is_up_down", "name_of"]

_RENAMED: Final[dict[Metric, Mapping[str, str]]] = {
    device.DEVICE_STATE: {"state": "hw.state"},
    device.UTILIZATION: {"engine": "hw.gpu.task"},
    device.TEMPERATURE: {"sensor": "hw.sensor_location"},
    device.TEMPERATURE_LIMIT: {"limit": "hw.limit_type"},
    device.ECC_ERRORS: {"severity": "error.type"},
    host.CPU_SECONDS: {"cpu": "cpu.logical_number", "mode": "cpu.mode"},
    host.CPU_FREQUENCY: {"cpu": "cpu.logical_number"},
    host.DISK_READ: {"device": "system.device"},
    host.DISK_WRITTEN: {"device": "system.device"},
    host.DISK_IO_TIME: {"device": "system.device"},
    host.FILESYSTEM_SIZE: {
        "device": "system.device",
        "mountpoint": "system.filesystem.mountpoint",
        "fstype": "system.filesystem.type",
    },
    host.NETWORK_RECEIVE: {"device": "network.interface.name"},
    host.NETWORK_TRANSMIT: {"device": "network.interface.name"},
    host.NETWORK_RECEIVE_ERRORS: {"device": "network.interface.name"},
    host.NETWORK_TRANSMIT_ERRORS: {"device": "network.interface.name"},
}
_ADDED: Final[dict[Metric, Mapping[str, str]]] = {  # what we say in the name
    host.DISK_READ: {"disk.io.direction": "read"},
    host.DISK_WRITTEN: {"disk.io.direction": "write"},
    host.NETWORK_RECEIVE: {"network.io.direction": "receive"},
    host.NETWORK_TRANSMIT: {"network.io.direction": "transmit"},
    host.NETWORK_RECEIVE_ERRORS: {"network.io.direction": "receive"},
    host.NETWORK_TRANSMIT_ERRORS: {"network.io.direction": "transmit"},
}
_UP_DOWN: Final = frozenset(
    {device.DEVICE_STATE, device.MEMORY_TOTAL, device.MEMORY_USED, host.CPU_COUNT, host.MEMORY_TOTAL}
    | {host.MEMORY_AVAILABLE, host.FILESYSTEM_SIZE}
)


def name_of(metric: Metric) -> str:
    """The metric's name there; `_total` is Prometheus' word and not part of it."""
    return metric.otel.name if metric.otel else metric.name.removesuffix("_total")


def is_up_down(metric: Metric) -> bool:
    """Whether the convention counts it up and down (a sum that is not monotonic) where we have a gauge."""
    return metric in _UP_DOWN


def attributes_of(metric: Metric, values: tuple[str, ...]) -> dict[str, str]:
    """Attributes of a series with these label values; our own labels keep their names where no convention has one."""
    renamed = _RENAMED.get(metric, {})
    labels = dict(zip(metric.label_names(values), values, strict=True))
    attributes = {renamed.get(name, name): value for name, value in labels.items()}
    if metric.otel and "uuid" in labels:
        attributes |= {"hw.id": labels["uuid"], "hw.type": "gpu"}
    return {**attributes, **_ADDED.get(metric, {})}
