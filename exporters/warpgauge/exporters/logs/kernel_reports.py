"""What the kernel reports on hardware and memory: XIDs, SXIDs, AER, machine checks, OOM kills and failing buses.

Forms are those of the kernel's sources, drivers/pci/pcie/aer.c and dpc.c, drivers/pci/hotplug/pciehp_ctrl.c,
arch/x86/kernel/cpu/mce/core.c, drivers/acpi/apei/ghes.c, drivers/edac/edac_mc.c, mm/oom_kill.c and
mm/memory-failure.c; both spellings where a release changed one.
"""

from __future__ import annotations

import re
from collections import OrderedDict
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from warpgauge.core.finding import Severity
from warpgauge.core.xid import entry_of
from warpgauge.exporters.logs.nvrm import DriverMessage, DriverMessages, PciAddress, pci_address

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["KernelReport", "KernelReports"]

_MOST_CHARACTERS: Final = 1024  # of a line, as in nvrm.py
_MOST_KILLS: Final = 64  # announced by one line, told by a later one
_PCI: Final = r"(?P<address>[0-9a-f]{4,8}:[0-9a-f]{2}:[0-9a-f]{2})\.[0-7]"
_AER_RECEIVED: Final = re.compile(
    r"AER: (?:Multiple )?(?P<severity>Corrected|Correctable|Uncorrect(?:ed|able) \((?:Non-Fatal|Fatal)\)) error "
    rf"(?:message )?received(?: from)?:? {_PCI}"
)
_AER_DEVICE: Final = re.compile(
    rf"{_PCI}: (?:AER: )?PCIe Bus Error: severity=(?P<severity>[A-Za-z]+(?: \([A-Za-z-]+\))?), "
    r"type=(?P<layer>[^,]{1,40}),"
)
_MCE: Final = re.compile(r"\bmce: |\[Hardware Error\]|\bEDAC \S+: \d+ [CU]E |^Memory failure: 0x|^MCE: Killing ")
_MCE_CRITICAL: Final = re.compile(
    r"Machine Check Exception|Machine check: |[Uu]ncorrected|Fatal|\bUE\b|: fatal|recoverable|Memory failure|Killing "
)
_MCE_CONTINUED: Final = re.compile(r"(?:\{\d+\})?\[Hardware Error\]: {2,}")  # details of the report before
_OOM_ABOUT: Final = re.compile(r"^oom-kill:.*?\btask_memcg=(?P<cgroup>[^,]{1,512}),.*?\bpid=(?P<pid>\d{1,10})\b")
_OOM_KILL: Final = re.compile(
    r"^(?P<scope>Out of memory|Memory cgroup out of memory)[^:]{0,40}: Killed process (?P<pid>\d{1,10}),? "
    r"\((?P<name>.{1,64}?)\)"
)
_BUS: Final = (
    re.compile(rf"{_PCI}: (?:DPC|pciehp): .*(?P<what>containment event|Link Down|Card not present)"),
    re.compile(rf"{_PCI}: .*(?P<what>config space inaccessible|device is disconnected|not responding)"),
)
_SLURM_JOB: Final = re.compile(r"slurm[^\n]*/job_(\d{1,20})(?:/|$)")


@dataclass(frozen=True, slots=True, kw_only=True)
class KernelReport:
    """One report; `address` is of the device or port that it is about."""

    kind: str  # of record.KINDS
    severity: Severity
    message: str
    address: PciAddress | None = None
    job_id: str = ""
    attributes: Mapping[str, str | int] = field(default_factory=dict)

    @property
    def pci_bus_id(self) -> str:
        """`0000:3b:00.0`, empty if it is about no PCI device."""
        if self.address is None:
            return ""
        domain, bus, slot = self.address
        return f"{domain:04x}:{bus:02x}:{slot:02x}.0"


class KernelReports:
    """Finds reports in lines of the kernel log, one after the other; some take several lines."""

    def __init__(self) -> None:
        self._driver = DriverMessages()
        self._cgroups: OrderedDict[str, str] = OrderedDict()  # pid about to be killed -> its memory cgroup

    def read(self, line: str) -> KernelReport | None:
        """The report that this line completes, None for any other line."""
        line = line[:_MOST_CHARACTERS].rstrip()
        message = self._driver.read(line)
        if message is not None:
            return _of_driver(message, line)
        return _aer(line) or self._oom(line) or _bus(line) or _mce(line)

    def _oom(self, line: str) -> KernelReport | None:
        about = _OOM_ABOUT.search(line)
        if about:
            self._cgroups[about["pid"]] = about["cgroup"]
            while len(self._cgroups) > _MOST_KILLS:
                self._cgroups.popitem(last=False)
            return None
        kill = _OOM_KILL.search(line)
        if not kill:
            return None
        cgroup = self._cgroups.pop(kill["pid"], "")
        job = _SLURM_JOB.search(cgroup)
        attributes = {"pid": int(kill["pid"]), "process": kill["name"], "cgroup": cgroup}
        return KernelReport(
            kind="oom_kill",
            severity=Severity.CRITICAL if kill["scope"] == "Out of memory" else Severity.WARNING,
            message=line,
            job_id=job[1] if job else "",
            attributes={name: value for name, value in attributes.items() if value != ""},
        )


def _of_driver(message: DriverMessage, line: str) -> KernelReport:
    if message.kind == "xid":
        severity = entry_of(message.number).severity
    else:
        severity = Severity.WARNING if message.detail.startswith("Non-fatal") else Severity.CRITICAL
    return KernelReport(
        kind=message.kind,
        severity=severity,
        message=line,
        address=message.address,
        attributes={message.kind: message.number},
    )


def _aer(line: str) -> KernelReport | None:
    match = _AER_RECEIVED.search(line) or _AER_DEVICE.search(line)
    if not match:
        return None
    layer = match.groupdict().get("layer")
    return KernelReport(
        kind="aer",
        severity=_pcie_severity(match["severity"]),
        message=line,
        address=pci_address(match["address"]),
        attributes={"aer_severity": match["severity"], **({"layer": layer} if layer else {})},
    )


def _pcie_severity(words: str) -> Severity:
    if words.startswith("Correct"):
        return Severity.INFO
    return Severity.WARNING if "Non-Fatal" in words else Severity.CRITICAL


def _bus(line: str) -> KernelReport | None:
    match = next((found for pattern in _BUS if (found := pattern.search(line))), None)
    if not match:
        return None
    return KernelReport(
        kind="bus_error",
        severity=Severity.CRITICAL,
        message=line,
        address=pci_address(match["address"]),
        attributes={"what": match["what"]},
    )


def _mce(line: str) -> KernelReport | None:
    if not _MCE.search(line) or _MCE_CONTINUED.search(line):
        return None
    severity = Severity.CRITICAL if _MCE_CRITICAL.search(line) else Severity.WARNING
    return KernelReport(kind="mce", severity=severity, message=line)
