"""Which alert of the generated rules tells the same as a kind of finding, so that one fault is told once.

Rules and detectors stand beside each other and know each other by this table alone; a test holds it to the rules.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from warpgauge.core.finding import FindingKind, Severity

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["TWINS", "WITHOUT_TWIN", "Twin", "alert_name", "twin_of"]


@dataclass(frozen=True, slots=True)
class Twin:
    """An alert by name, with the severity and scope that its rule gives it."""

    alert: str
    severity: Severity
    scope: str


_INFO, _WARNING, _CRITICAL = Severity.INFO, Severity.WARNING, Severity.CRITICAL

TWINS: Final[Mapping[FindingKind, tuple[Twin, ...]]] = {
    FindingKind.IDLE_ALLOCATED: (Twin("DeviceIdleAllocated", _INFO, "job"),),
    FindingKind.INPUT_BOUND: (Twin("JobInputBound", _INFO, "job"),),
    FindingKind.THERMAL_LIMITED: (
        Twin("DeviceThermalThrottling", _WARNING, "device"),
        Twin("DeviceNearThermalLimit", _WARNING, "device"),
    ),
    FindingKind.STRAGGLER: (
        Twin("JobStraggler", _WARNING, "job"),
        Twin("DeviceClockBehindPeers", _WARNING, "device"),
    ),
    FindingKind.HANG: (Twin("JobStalled", _WARNING, "job"),),
    FindingKind.MEMORY_PRESSURE: (
        Twin("HostMemoryPressure", _WARNING, "node"),
        Twin("HostMemoryStalls", _WARNING, "node"),
    ),
    FindingKind.HOST_SATURATED: (Twin("HostCpuSaturated", _WARNING, "node"),),
    FindingKind.TELEMETRY_GAP: (
        Twin("DeviceDataStale", _WARNING, "device"),
        Twin("CollectorFailing", _WARNING, "node"),
        Twin("AgentDown", _CRITICAL, "node"),
    ),
    FindingKind.DEVICE_LOST: (Twin("DeviceLost", _CRITICAL, "device"),),
    FindingKind.DEVICE_HUNG: (Twin("DeviceLost", _CRITICAL, "device"),),
    FindingKind.XID: (
        Twin("DeviceXidWarning", _WARNING, "device"),
        Twin("DeviceXidCritical", _CRITICAL, "device"),
        Twin("DeviceXidRepeated", _INFO, "device"),
    ),
    FindingKind.ECC_DEGRADATION: (
        Twin("DeviceEccStorm", _WARNING, "device"),
        Twin("DeviceUncorrectableEcc", _CRITICAL, "device"),
    ),
    FindingKind.ROW_REMAP: (
        Twin("DeviceRowRemapPending", _WARNING, "device"),
        Twin("DeviceSpareRowsLow", _WARNING, "device"),
        Twin("DeviceRowRemapFailed", _CRITICAL, "device"),
    ),
    FindingKind.LINK_ERRORS: (Twin("LinkErrors", _WARNING, "fabric"), Twin("LinkDown", _WARNING, "fabric")),
    FindingKind.PCIE_DOWNTRAINED: (Twin("DevicePcieDowntrained", _WARNING, "device"),),
    FindingKind.HARDWARE_THROTTLE: (Twin("DevicePowerBrake", _CRITICAL, "device"),),
    FindingKind.MEMORY_CAPACITY_BOUND: (Twin("DeviceMemoryFull", _INFO, "device"),),
}
"""The alert that a finding of the kind goes by is the first one of its severity, else the first one."""

WITHOUT_TWIN: Final = frozenset(set(FindingKind) - set(TWINS))
"""Kinds that only the analyzer can tell: they compare with peers or with a series' own past."""


def twin_of(kind: FindingKind, severity: Severity) -> Twin | None:
    """The alert that says the same; None where there is none."""
    twins = TWINS.get(kind, ())
    return next((twin for twin in twins if twin.severity is severity), twins[0] if twins else None)


def alert_name(kind: FindingKind, severity: Severity) -> str:
    """Name of the alert that a finding is pushed under: its twin's, else its own in camel case, as FindingDrift."""
    twin = twin_of(kind, severity)
    return twin.alert if twin else "Finding" + "".join(word.capitalize() for word in kind.value.split("_"))
