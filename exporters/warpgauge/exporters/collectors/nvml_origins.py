"""Which call of NVML gives which metric, read off the collector's own tables; for the reference page."""

from __future__ import annotations

from collections import defaultdict
from functools import cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import detail, device, link, own, process
from warpgauge.exporters.collectors.activity_time import ACTIVITIES
from warpgauge.exporters.collectors.nvml_api import PYNVML
from warpgauge.exporters.collectors.nvml_fields import FIELDS
from warpgauge.exporters.collectors.nvml_getters import GETTERS, fan_getter
from warpgauge.exporters.collectors.nvml_gpm_counters import COUNTERS, link_counters
from warpgauge.exporters.collectors.nvml_gpm_metrics import ASKED
from warpgauge.exporters.collectors.nvml_links import c2c_fields, link_fields
from warpgauge.exporters.collectors.nvml_samples import SOURCES

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from warpgauge.core.catalog import Metric
    from warpgauge.exporters.collectors.nvml_getters import Getter

__all__ = ["origins"]

_BY_ITSELF: Final[Mapping[Metric, tuple[str, ...]]] = {
    device.DEVICE_INFO: ("nvmlDeviceGetName", "nvmlDeviceGetUUID", "nvmlDeviceGetPciInfo", "nvmlDeviceGetArchitecture"),
    device.DRIVER_INFO: (
        "nvmlSystemGetDriverVersion",
        "nvmlSystemGetNVMLVersion",
        "nvmlSystemGetCudaDriverVersion",
    ),
    device.FIRMWARE_INFO: ("nvmlDeviceGetVbiosVersion", "nvmlDeviceGetInforomImageVersion"),
    device.INSTANCE_INFO: (
        "nvmlDeviceGetMigDeviceHandleByIndex",
        "nvmlDeviceGetGpuInstanceId",
        "nvmlDeviceGetComputeInstanceId",
        "nvmlDeviceGetAttributes_v2",
    ),
    device.XID_EVENTS: ("nvmlEventSetWait_v2", "kernel log"),
    device.XID_LAST: ("nvmlEventSetWait_v2", "kernel log"),
    device.DEVICE_EVENTS: ("nvmlEventSetWait_v2",),
    device.SXID_EVENTS: ("kernel log",),
    device.SAMPLE_PERIOD: ("nvmlDeviceGetSamples, time between stamps",),
    detail.MEMORY_POWER: ("field NVML_FI_DEV_POWER_AVERAGE, scope NVML_POWER_SCOPE_MEMORY",),
    link.FABRIC_STATE: ("nvmlDeviceGetGpuFabricInfoV",),
    link.FABRIC_REGISTERED: ("nvmlDeviceGetGpuFabricInfoV",),
    link.FABRIC_INFO: ("nvmlDeviceGetGpuFabricInfoV",),
    link.FABRIC_HEALTH: ("nvmlDeviceGetGpuFabricInfoV",),
    link.FABRIC_FAULT: ("nvmlDeviceGetGpuFabricInfoV",),
    process.PROCESS_MEMORY: ("nvmlDeviceGetComputeRunningProcesses",),
    process.PROCESS_UTILIZATION: ("nvmlDeviceGetProcessUtilization",),
    own.PROCESSES_LEFT_OUT: ("nvmlDeviceGetComputeRunningProcesses",),
}
"""Those that no table has: identities, events and what one file of its own reads."""


@cache
def origins() -> Mapping[Metric, tuple[str, ...]]:
    """Calls by metric, in the order in which they are tried; a field or GPM metric by its name in nvml.h."""
    found: dict[Metric, dict[str, None]] = defaultdict(dict)
    for metric, call in _calls():
        found[metric][call] = None
    return MappingProxyType({**{metric: tuple(calls) for metric, calls in found.items()}, **_BY_ITSELF})


def _calls() -> Iterator[tuple[Metric, str]]:
    for getter in (*GETTERS, fan_getter(0)):
        yield from _of_getter(getter)
    for field in (*FIELDS, *link_fields(1), *c2c_fields(1)):
        yield field.metric, f"field {_name('NVML_FI_DEV_', field.id)}"
    for asked in ASKED:
        yield asked.metric, f"GPM {_name('NVML_GPM_METRIC_', asked.id)}"
        if (asked.metric.name, asked.labels) in ACTIVITIES:
            yield detail.ACTIVITY_DISTRIBUTION, f"GPM {_name('NVML_GPM_METRIC_', asked.id)}"
    for counter in (*COUNTERS, *link_counters(1)):
        yield counter.metric, f"GPM {_name('NVML_GPM_METRIC_', counter.id)}"
    for source in SOURCES:
        yield source.metric, f"nvmlDeviceGetSamples, {source.name.replace('_', ' ')}"


def _of_getter(getter: Getter) -> Iterator[tuple[Metric, str]]:
    for metric in (getter.metric, *getter.beside):
        yield metric, getter.function
    if getter.instead is not None:
        yield from _of_getter(getter.instead)


def _name(prefix: str, number: int) -> str:
    """The shortest name that nvidia-ml-py has for an id: several are older names of the same."""
    names: list[str] = [name for name, value in vars(PYNVML).items() if name.startswith(prefix) and value == number]
    return min(names, key=lambda name: (len(name), name))
