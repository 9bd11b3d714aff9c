"""A device's identity as a sample: the series that everything else about it is joined with."""

from __future__ import annotations

from typing import TYPE_CHECKING

from warpgauge.core.catalog import device as rows
from warpgauge.core.sample import Sample

if TYPE_CHECKING:
    from warpgauge.core.device import Device

__all__ = ["device_info"]


def device_info(device: Device) -> Sample:
    """Labels of a real device; what is not known of it stays empty."""
    numa = "" if device.numa_node is None else str(device.numa_node)
    about = (device.vendor, device.kind.value, device.model, device.pci_bus_id, device.architecture, numa, "false")
    return Sample(rows.DEVICE_INFO, (*device.labels, *about), 1.0)
