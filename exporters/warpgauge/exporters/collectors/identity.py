"""Who the devices are: those that can be opened, and the series that everything else about one is joined with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from warpgauge.core.catalog import device as rows
from warpgauge.core.sample import Sample
from warpgauge.exporters.collectors.collector import DeviceRefusedError

if TYPE_CHECKING:
    from warpgauge.core.device import Device
    from warpgauge.exporters.collectors.collector import IsolatedCollector

__all__ = ["device_info", "openable"]


def device_info(device: Device) -> Sample:
    """Labels of a real device; what is not known of it stays empty."""
    numa = "" if device.numa_node is None else str(device.numa_node)
    about = (device.vendor, device.kind.value, device.model, device.pci_bus_id, device.architecture, numa, "false")
    return Sample(rows.DEVICE_INFO, (*device.labels, *about), 1.0)


def openable(collector: IsolatedCollector) -> list[Device]:
    """Every device that lets itself be identified; the others are left out."""
    found = []
    for position in collector.positions():
        try:
            found.append(collector.identify(position))
        except DeviceRefusedError:
            continue
    return found
