"""The same alerts over the series of dcgm-exporter, as far as it has the signal.

Names, severities, texts and runbooks are those of the rules in this package; only the expressions differ, and end in
the same labels: `uuid`, `index` and `node` from UUID, gpu and Hostname. Names and units: dcgm-exporter's
etc/default-counters.csv and dcp-metrics-included.csv, 4.6 to 4.8.
"""

from __future__ import annotations

from dataclasses import replace
from typing import Final

from warpgauge.alerts.groups import alerts
from warpgauge.alerts.rule import Group, RecordingRule, Rule
from warpgauge.alerts.xid import CRITICAL, WARNING

__all__ = ["GROUP", "NOT_GIVEN"]

_WHO: Final = "cluster, Hostname, UUID, gpu"
_NAMES: Final = {"node": "Hostname", "uuid": "UUID", "index": "gpu"}
_UP: Final = 'up{job=~"(.+/)?(nvidia-)?dcgm-exporter"}'
_BUSY: Final = f"max by ({_WHO}) (avg_over_time(DCGM_FI_DEV_GPU_UTIL[5m])) > 50"
_HEAT: Final = "max by (cluster, Hostname, UUID, gpu) (rate(DCGM_FI_DEV_THERMAL_VIOLATION[5m])) / 1e9"  # nanoseconds
_CLOCK: Final = f"(max by ({_WHO}) (avg_over_time(DCGM_FI_DEV_SM_CLOCK[5m])) and on ({_WHO}) {_BUSY})"

_COUNTED: Final = 'count by (cluster, Hostname) (DCGM_FI_DEV_GPU_TEMP{GPU_I_ID=""})'
DEVICES: Final = RecordingRule(
    record="node:dcgm_devices:count",
    expr=f'max by (cluster, node) (label_replace({_COUNTED}, "node", "$1", "Hostname", "(.+)"))',
)
# The number is a label here, so that lists of them can be asked for; the gauge keeps the last one for ever.
LAST_XID: Final = RecordingRule(
    record="device:dcgm_xid:count", expr=f'count_values by ({_WHO}) ("xid", DCGM_FI_DEV_XID_ERRORS)'
)


def _named(expression: str, **names: str) -> str:
    for ours, theirs in {**_NAMES, **names}.items():
        expression = f'label_replace({expression}, "{ours}", "$1", "{theirs}", "(.+)")'
    return expression


def _new_xid(numbers: tuple[str, ...]) -> str:
    chosen = f'{LAST_XID.record}{{xid=~"{"|".join(numbers)}"}}'
    return _named(f"max by ({_WHO}, xid) ({chosen} unless {chosen} offset 5m)")


def _idle() -> str:
    """The pod that holds a device, whatever honor_labels says; without a mapping the exporter's own pod is nobody's."""
    series = "max_over_time(DCGM_FI_DEV_GPU_UTIL{@}[15m])"
    renamed = series.replace("@", 'exported_pod!=""')
    honored = series.replace("@", 'exported_pod="",pod!="",container!~"(nvidia-)?dcgm-exporter"')
    pod = f'label_replace({renamed}, "pod", "$1", "exported_pod", "(.+)")'
    pod = f'label_replace({pod}, "namespace", "$1", "exported_namespace", "(.+)")'
    return _named(f"max by ({_WHO}, pod, namespace) ({pod} or {honored}) / 100 < 0.05", job_id="pod", user="namespace")


_EXPRESSIONS: Final = {
    "AgentDown": f"max by (cluster, node, instance) ({_UP}) == 0",
    "AgentAbsent": f"absent({_UP})",
    "FleetAgentsDown": f"1 - avg by (cluster) ({_UP}) > $threshold",
    "NodeDevicesMissing": f"max_over_time({DEVICES.record}[1d]) - {DEVICES.record} > 0",
    "DeviceThermalThrottling": _named(f"{_HEAT} > 0.1"),
    "FleetOverheating": f"count by (cluster) (max by (cluster, Hostname) ({_HEAT} > 0.1)) >= $threshold",
    "DeviceUncorrectableEcc": _named(f"sum by ({_WHO}) (increase(DCGM_FI_DEV_ECC_DBE_VOL_TOTAL[15m])) > 0"),
    "DeviceEccStorm": _named(f"sum by ({_WHO}) (increase(DCGM_FI_DEV_ECC_SBE_VOL_TOTAL[1h])) > $threshold"),
    "DeviceRowRemapFailed": _named(f"max by ({_WHO}) (DCGM_FI_DEV_ROW_REMAP_FAILURE) == 1"),
    "DevicePageRetirementPending": _named(f"max by ({_WHO}) (DCGM_FI_DEV_RETIRED_PENDING) >= 1"),
    "DeviceMemoryFull": _named(
        f"max by ({_WHO}) (DCGM_FI_DEV_FB_USED / (DCGM_FI_DEV_FB_USED + DCGM_FI_DEV_FB_FREE)) > $threshold"
    ),
    "DeviceXidCritical": _new_xid(CRITICAL),
    "DeviceXidWarning": _new_xid(WARNING),
    "DeviceClockBehindPeers": _named(
        f"{_CLOCK} / on (cluster, Hostname) group_left () quantile by (cluster, Hostname) (0.5, {_CLOCK}) < $threshold"
    ),
    "DevicePcieReplays": _named(f"sum by ({_WHO}) (rate(DCGM_FI_DEV_PCIE_REPLAY_COUNTER[10m])) > $threshold"),
    "LinkErrors": "label_replace("
    + _named(
        f"sum by ({_WHO}) (increase(DCGM_FI_DEV_NVLINK_REPLAY_ERROR_COUNT_TOTAL[15m]))"
        f" + sum by ({_WHO}) (increase(DCGM_FI_DEV_NVLINK_RECOVERY_ERROR_COUNT_TOTAL[15m])) > $threshold"
    )
    + ', "link", "all", "", "")',
    "DeviceIdleAllocated": _idle(),
    "FleetDriversMixed": 'label_replace(count by (cluster) (count by (cluster, DCGM_FI_DRIVER_VERSION) '
    '(DCGM_FI_DEV_GPU_TEMP)) > $threshold, "vendor", "nvidia", "", "")',
}  # fmt: skip

_NEAREST: Final = {"job": "node", "host": "node", "telemetry": "fleet"}
"""Where the pods on the devices stand, whether the machine's devices tell anything, and whether any do."""

_STATE: Final = "dcgm-exporter has no state of a device: one that is lost only loses its series (NodeDevicesMissing)"
_NOT_DEFAULT: Final = "its field is in none of dcgm-exporter's lists of counters"
_ELSEWHERE: Final = "it is not about accelerators: node_exporter's own rules cover it"
_JOBS: Final = "it needs the step timer, which reports to our agent"
_OURS: Final = "it is about our own agent or analyzer"

NOT_GIVEN: Final = {
    "DeviceLost": _STATE,
    "DeviceDataStale": "dcgm-exporter does not say when it read a device",
    "DeviceFlapping": _STATE,
    "DeviceRecoveryNeeded": _NOT_DEFAULT,
    "DeviceRowRemapPending": _NOT_DEFAULT,
    "DeviceSpareRowsLow": _NOT_DEFAULT,
    "DeviceXidRepeated": "DCGM keeps the last XID only, so equal ones in a row cannot be counted",
    "DevicePowerBrake": _NOT_DEFAULT,
    "DeviceNearThermalLimit": _NOT_DEFAULT,
    "DevicePcieDowntrained": _NOT_DEFAULT,
    "LinkDown": _NOT_DEFAULT,
    "LinkSlow": _NOT_DEFAULT,
    "FabricNotRegistered": _NOT_DEFAULT,
    "FabricUnhealthy": _NOT_DEFAULT,
    "SwitchErrors": "SXIDs stand in the kernel log",
    "FleetDevicesUnhealthy": _STATE,
    "HealthyDeviceHoursBurnFast": _STATE,
    "HealthyDeviceHoursBurnSlow": _STATE,
    "TelemetryFreshnessBurnFast": "dcgm-exporter does not say when it read a device",
    "TelemetryFreshnessBurnSlow": "dcgm-exporter does not say when it read a device",
    **dict.fromkeys(
        ("NetworkErrors", "NodeRebooted", "HostCpuSaturated", "HostMemoryPressure", "HostFilesystemFull",
         "HostFilesystemFilling", "HostMemoryStalls", "HostIoStalls"),
        _ELSEWHERE,
    ),
    **dict.fromkeys(("InfinibandPortDown", "InfinibandPortSlow", "InfinibandLinkErrors"), _ELSEWHERE),
    **dict.fromkeys(
        ("ServingDown", "ServingQueueStands", "ServingCacheFull", "ServingPreempts", "ServingSlowFirstToken"),
        "DCGM knows devices and no requests",
    ),
    **dict.fromkeys(
        ("DeviceHeldByLimit", "DeviceRuntimeSilent", "DeviceProgramsStuck"), "it is about a device of another vendor"
    ),
    **dict.fromkeys(("JobStraggler", "JobStalled", "JobRanksMissing", "JobInputBound"), _JOBS),
    **dict.fromkeys(
        ("CollectorFailing", "AgentMissesTicks", "AgentChildRestarts", "AgentRestartNeeded", "KernelLogUnreadable",
         "StepMessagesDropped", "AnalyzerDown", "AnalyzerStalled", "AnalyzerSourceDown", "AnalyzerRefusesSamples",
         "PushQueueFilling", "PushStalled", "PushLosesBatches", "OutboxStalled", "OutboxFilling",
         "OutboxLosesDocuments"),
        _OURS,
    ),
}  # fmt: skip
"""Every other alert, and why there is none over DCGM's series."""


def _translated(rule: Rule) -> Rule:
    """The rule over DCGM's series; its texts name dcgm-exporter, and no age of an XID, which DCGM does not give."""
    texts = (" ".join(text.split()) for text in (rule.summary, rule.description))
    summary, description = (
        text.replace("warpgauge-agent", "dcgm-exporter")
        .replace("warpgauge agent", "dcgm-exporter")
        .replace("{{ $value | humanizeDuration }} ago", "within the last 5 minutes")
        .replace(
            "the drivers on the fleet dashboard, where the rarest stand first", "DCGM_FI_DRIVER_VERSION by Hostname"
        )
        for text in texts
    )
    expr = _EXPRESSIONS[rule.alert]
    if "label_replace" in expr:  # what only had another name is dropped
        expr = f"max by ({', '.join(rule.labels)}) ({expr})"
    return replace(rule, expr=expr, summary=summary, description=description, dashboard=_dashboard(rule))


def _dashboard(rule: Rule) -> str:
    """The dashboard over the same series; of jobs, agents and hosts there is none."""
    return f"dcgm-{_NEAREST.get(rule.dashboard, rule.dashboard)}"


GROUP: Final = Group(
    name="dcgm",
    rules=(DEVICES, LAST_XID, *(_translated(rule) for rule in alerts() if rule.alert in _EXPRESSIONS)),
)
