"""What the NVIDIA driver says in the kernel log: XIDs, SXIDs and GPUs that fell off the bus.

Not every XID reaches NVML's event sets, and none does once the library hangs. Forms seen in bug reports of the driver,
gpud and NVSentinel; the lines about a lost GPU come with and without an XID line, and over several lines.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Final

__all__ = ["FALLEN_OFF_THE_BUS", "DriverMessage", "DriverMessages", "PciAddress", "pci_address"]

FALLEN_OFF_THE_BUS: Final = 79  # the XID for it, https://docs.nvidia.com/deploy/xid-errors/

_MOST_CHARACTERS: Final = 1024  # of a line; the kernel's own limit is near it
_ADDRESS: Final = r"(?P<address>[0-9a-fA-F]{4,8}:[0-9a-fA-F]{2}:[0-9a-fA-F]{2})(?:\.[0-7])?"
_XID: Final = re.compile(rf"NVRM: Xid \((?:PCI:)?{_ADDRESS}\): (?P<number>[0-9]{{1,5}})(?:, ?(?P<detail>.*))?$")
_SXID: Final = re.compile(
    rf"nvidia-nvswitch[0-9]+: SXid \(PCI:{_ADDRESS}\): (?P<number>[0-9]{{1,5}})(?:, ?(?P<detail>.*))?$"
)
_GPU: Final = re.compile(rf"NVRM: .*\bGPU (?:at )?(?:PCI:)?{_ADDRESS}")
_FALLEN: Final = re.compile(r"NVRM: .*fallen off the bus")
_LINES_OF_ONE_REPORT: Final = 4

PciAddress = tuple[int, int, int]
"""Domain, bus and device."""


@dataclass(frozen=True, slots=True)
class DriverMessage:
    """One thing that the driver reported."""

    kind: str  # xid or sxid
    address: PciAddress
    number: int
    detail: str


def pci_address(text: str) -> PciAddress | None:
    """The address in `0000:3b:00.0`, `00000000:3B:00` or `PCI:0000:3b:00`, whatever its width and case."""
    match = re.fullmatch(rf"(?:PCI:)?{_ADDRESS}", text)
    return _parsed(match["address"]) if match else None


class DriverMessages:
    """Finds reports in lines of the kernel log, one after the other; some take several lines."""

    def __init__(self) -> None:
        self._last_gpu: PciAddress | None = None  # whom a report names before it says what happened
        self._lines_left = 0

    def read(self, line: str) -> DriverMessage | None:
        """The report that this line completes, None for any other line."""
        line = line[:_MOST_CHARACTERS]
        for kind, pattern in (("xid", _XID), ("sxid", _SXID)):
            match = pattern.search(line)
            if match:
                return DriverMessage(kind, _parsed(match["address"]), int(match["number"]), match["detail"] or "")
        return self._fallen(line)

    def _fallen(self, line: str) -> DriverMessage | None:
        named = _GPU.search(line)
        if named:
            self._last_gpu, self._lines_left = _parsed(named["address"]), _LINES_OF_ONE_REPORT
        self._lines_left -= 1
        if not _FALLEN.search(line) or self._last_gpu is None or self._lines_left < 0:
            return None
        gpu, self._last_gpu = self._last_gpu, None
        return DriverMessage("xid", gpu, FALLEN_OFF_THE_BUS, "GPU has fallen off the bus")


def _parsed(text: str) -> PciAddress:
    domain, bus, device = (int(part, 16) for part in text.split(":"))
    return domain, bus, device
