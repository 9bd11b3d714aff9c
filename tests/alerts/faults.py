"""Faults below the agent and the alert that each must lead to: what a board, a driver, a kernel or a fleet does.

`script` is what `faulty_child.py` reads, with the number of the fault's own GPU for @ and the present monotonic time
for NOW. No row writes a series.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import pynvml

__all__ = ["DEVICE_FAULTS", "HOST_FAULTS", "NOT_INJECTED", "DeviceFault"]

H100, T4 = "h100", "t4"
_RESET: Final = pynvml.NVML_GPU_RECOVERY_ACTION_GPU_RESET
_IN_PROGRESS: Final = pynvml.NVML_GPU_FABRIC_STATE_IN_PROGRESS
_COMPLETED: Final = pynvml.NVML_GPU_FABRIC_STATE_COMPLETED
_HEALTHY: Final = pynvml.NVML_GPU_FABRIC_HEALTH_SUMMARY_HEALTHY
_UNHEALTHY: Final = pynvml.NVML_GPU_FABRIC_HEALTH_SUMMARY_UNHEALTHY
_SECOND: Final = int(1e9)  # what the driver counts time in


@dataclass(frozen=True, slots=True, kw_only=True)
class DeviceFault:
    """One fault on a GPU of its own."""

    alert: str
    script: tuple[str, ...]
    profile: str = H100


DEVICE_FAULTS: Final = (
    DeviceFault(alert="DeviceLost", script=("lost @",)),
    DeviceFault(alert="DeviceXidCritical", script=("xid 48 @ once",)),
    DeviceFault(alert="DeviceXidWarning", script=("xid 94 @ once",)),
    DeviceFault(alert="DeviceXidRepeated", script=tuple(f"xid 13 @ time-{number}" for number in range(5))),
    DeviceFault(alert="DeviceRecoveryNeeded", script=(f"set @ recovery_action {_RESET}",)),
    DeviceFault(
        alert="DeviceThermalThrottling",
        script=(f"grow @ CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN {0.5 * _SECOND} NOW",),
    ),
    DeviceFault(
        alert="DevicePowerBrake",
        script=(f"grow @ CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN {0.3 * _SECOND} NOW",),
    ),
    DeviceFault(alert="DeviceClockBehindPeers", script=("slow @ 0.5",)),
    DeviceFault(alert="DeviceNearThermalLimit", script=("set @ temperature 88",)),
    DeviceFault(alert="DevicePcieDowntrained", script=("lanes @ 8",)),
    DeviceFault(alert="DevicePcieReplays", script=("grow @ PCIE_REPLAY_COUNTER 20 NOW",)),
    DeviceFault(alert="DeviceUncorrectableEcc", script=("field @ ECC_DBE_VOL_TOTAL 2",)),
    DeviceFault(alert="DeviceEccStorm", script=("grow @ ECC_SBE_VOL_TOTAL 40 NOW",)),
    DeviceFault(alert="DeviceRowRemapPending", script=("remapped @ 0 1 1 0",)),
    DeviceFault(alert="DeviceRowRemapFailed", script=("remapped @ 0 9 0 1",)),
    DeviceFault(alert="DeviceSpareRowsLow", script=("banks @ 2",)),
    DeviceFault(alert="DevicePageRetirementPending", script=("field @ RETIRED_PENDING 1",), profile=T4),
    DeviceFault(alert="DeviceMemoryFull", script=("set @ memory_used 84500000000",)),
    DeviceFault(alert="LinkDown", script=("field @ NVLINK_GET_STATE 0 7", "field @ NVLINK_GET_STATE 0 8")),
    DeviceFault(alert="LinkSlow", script=("field @ NVLINK_GET_SPEED 13281 5",)),
    DeviceFault(alert="LinkErrors", script=("grow @ NVLINK_ERROR_DL_RECOVERY 5 NOW",)),
    DeviceFault(alert="FabricNotRegistered", script=(f"fabric @ {_IN_PROGRESS} {_HEALTHY}",)),
    DeviceFault(alert="FabricUnhealthy", script=(f"fabric @ {_COMPLETED} {_UNHEALTHY}",)),
)

HOST_FAULTS: Final = (
    "HostMemoryPressure",
    "HostMemoryStalls",
    "HostIoStalls",
    "HostCpuSaturated",
    "NetworkErrors",
    "NodeRebooted",
    "AgentRestartNeeded",
    "CollectorFailing",
    "FleetAgentsDown",
    "AgentDown",
    "FleetDevicesUnhealthy",
    "HealthyDeviceHoursBurnFast",
    "TelemetryFreshnessBurnFast",
    "ServingDown",
    "ServingQueueStands",
    "ServingCacheFull",
    "ServingSlowFirstToken",
    "ServingPreempts",
    "SwitchErrors",
    "FleetOverheating",
    "InfinibandPortDown",
    "InfinibandPortSlow",
    "InfinibandLinkErrors",
    "DeviceHeldByLimit",
    "DeviceProgramsStuck",
    "DeviceRuntimeSilent",
    "DeviceFlapping",
    "DeviceIdleAllocated",
    "JobStraggler",
    "JobInputBound",
    "JobStalled",
    "JobRanksMissing",
    "StepMessagesDropped",
    "AgentMissesTicks",
    "AgentChildRestarts",
    "KernelLogUnreadable",
    "PushLosesBatches",
    "PushStalled",
    "AgentAbsent",
    "AnalyzerDown",
    "AnalyzerSourceDown",
    "OutboxStalled",
)
"""What the other nodes of the same run must lead to; how, is in `test_firing`."""

NOT_INJECTED: Final = {
    "HostFilesystemFilling": "its window is 6 h: promtool only",
    "NodeDevicesMissing": "its window is a day: promtool only",
    "FleetDriversMixed": "it must last a day: promtool only",
    "TelemetryFreshnessBurnSlow": "its windows are days: promtool only",
    "HealthyDeviceHoursBurnSlow": "its windows are days: promtool only",
    "PushQueueFilling": "it looks hours ahead: promtool only",
    "DeviceDataStale": "two minutes of silence do not hurry, and DeviceLost is told first: promtool only",
    "HostFilesystemFull": "it needs a file system of its own to fill, and root to mount one: promtool only",
    "AnalyzerStalled": "two minutes of silence do not hurry, and an analyzer that is stopped is down: promtool only",
    "AnalyzerRefusesSamples": "it takes more series than fit: promtool only; the refusal itself is tested",
    "OutboxFilling": "it looks hours ahead: promtool only",
    "OutboxLosesDocuments": "promtool only; the counts are tested with receivers that refuse",
}
"""Every other alert, and why its fault is not injected here."""
