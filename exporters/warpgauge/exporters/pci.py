"""What is plugged into this machine, from /sys/bus/pci/devices: no driver, no privilege, nothing that can hang.

Source: Documentation/ABI/testing/sysfs-bus-pci of the kernel.
"""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ACCELERATOR", "DISPLAY", "Hardware", "PciDevice", "numa_node", "pci_devices"]

DISPLAY: Final = 0x03
ACCELERATOR: Final = 0x12  # "processing accelerator"; both are base classes of the PCI code and id assignment
_MOST: Final = 4096  # functions looked at; the largest machines have some hundreds


@dataclass(frozen=True, slots=True, kw_only=True)
class PciDevice:
    """One PCI function; numbers as the kernel tells them, 0 where it does not."""

    address: str  # domain:bus:device.function
    vendor: int
    device: int
    subsystem: int
    base_class: int  # DISPLAY, ACCELERATOR ...
    numa_node: int | None
    folder: Path


@dataclass(frozen=True, slots=True)
class Hardware:
    """What a collector needs to be plugged in: a vendor's functions with one of these ids or base classes."""

    vendor: int
    devices: frozenset[int] = frozenset()
    base_classes: frozenset[int] = frozenset()

    def find(self, sys_root: str | Path) -> list[PciDevice]:
        """Those of this machine by address; empty where there are none or the kernel tells of no PCI."""
        found = [one for one in pci_devices(sys_root, self.vendor) if self._takes(one)]
        return sorted(found, key=lambda one: one.address)

    def _takes(self, one: PciDevice) -> bool:
        return one.device in self.devices or one.base_class in self.base_classes


def pci_devices(sys_root: str | Path, vendor: int) -> Iterator[PciDevice]:
    """Every function of a vendor."""
    folder = Path(sys_root) / "bus/pci/devices"
    try:
        paths = sorted(folder.iterdir())[:_MOST]
    except OSError:
        return
    for path in paths:
        if _number(path / "vendor") == vendor:
            yield PciDevice(
                address=path.name,
                vendor=vendor,
                device=_number(path / "device"),
                subsystem=_number(path / "subsystem_device"),
                base_class=_number(path / "class") >> 16,
                numa_node=numa_node(path),
                folder=path,
            )


def numa_node(folder: Path) -> int | None:
    """Node whose memory is nearest; None where the firmware does not tell (the kernel says -1)."""
    try:
        node = int((folder / "numa_node").read_text(encoding="ascii"))
    except (OSError, ValueError):
        return None
    return node if node >= 0 else None


def _number(path: Path) -> int:
    try:
        return int(path.read_text(encoding="ascii"), 16)
    except (OSError, ValueError):
        return 0
