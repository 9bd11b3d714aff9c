"""The exporter that everybody writes first: a custom collector that reads the driver in the scrape."""

from __future__ import annotations

import sys
import time
from typing import TYPE_CHECKING, Any

import pynvml
from prometheus_client import CollectorRegistry, start_http_server
from prometheus_client.core import GaugeMetricFamily

if TYPE_CHECKING:
    from collections.abc import Iterator

FIELDS = [3, 4, 5, 6, 74, 76, 82, 83, 94, 138, 139, 197, 198, 269, 270, 271]  # by number, as everybody writes them
GETTERS: dict[str, Any] = {
    "power_watts": lambda gpu: pynvml.nvmlDeviceGetPowerUsage(gpu) / 1000,
    "power_limit_watts": lambda gpu: pynvml.nvmlDeviceGetEnforcedPowerLimit(gpu) / 1000,
    "utilization": lambda gpu: pynvml.nvmlDeviceGetUtilizationRates(gpu).gpu,
    "memory_used_bytes": lambda gpu: pynvml.nvmlDeviceGetMemoryInfo(gpu).used,
    "memory_free_bytes": lambda gpu: pynvml.nvmlDeviceGetMemoryInfo(gpu).free,
    "temperature_celsius": lambda gpu: pynvml.nvmlDeviceGetTemperatureV(gpu, 0),
    "fan_percent": lambda gpu: pynvml.nvmlDeviceGetFanSpeed_v2(gpu, 0),
    "processes": lambda gpu: len(pynvml.nvmlDeviceGetComputeRunningProcesses(gpu)),
    "reasons": pynvml.nvmlDeviceGetCurrentClocksEventReasons,
    "pcie_generation": pynvml.nvmlDeviceGetCurrPcieLinkGeneration,
    "pcie_width": pynvml.nvmlDeviceGetCurrPcieLinkWidth,
}
for kind in range(4):
    GETTERS[f"clock_{kind}_mhz"] = lambda gpu, kind=kind: pynvml.nvmlDeviceGetClockInfo(gpu, kind)
    GETTERS[f"clock_max_{kind}_mhz"] = lambda gpu, kind=kind: pynvml.nvmlDeviceGetMaxClockInfo(gpu, kind)


class Textbook:
    """Reads every GPU whenever somebody asks."""

    def __init__(self) -> None:
        pynvml.nvmlInit()
        self._gpus = [pynvml.nvmlDeviceGetHandleByIndex(index) for index in range(pynvml.nvmlDeviceGetCount())]
        self._uuids = [pynvml.nvmlDeviceGetUUID(gpu) for gpu in self._gpus]

    def collect(self) -> Iterator[GaugeMetricFamily]:
        """Every family, fresh from the driver."""
        for name, get in GETTERS.items():
            family = GaugeMetricFamily(f"textbook_{name}", name, labels=["uuid"])
            for uuid, gpu in zip(self._uuids, self._gpus, strict=True):
                family.add_metric([uuid], get(gpu))
            yield family
        family = GaugeMetricFamily("textbook_field", "field values", labels=["uuid", "field"])
        for uuid, gpu in zip(self._uuids, self._gpus, strict=True):
            for value in pynvml.nvmlDeviceGetFieldValues(gpu, FIELDS):
                family.add_metric([uuid, str(value.fieldId)], value.value.ullVal)
        yield family


if __name__ == "__main__":
    registry = CollectorRegistry(auto_describe=False)
    registry.register(Textbook())  # type: ignore[arg-type]  # it collects, which is all that is asked
    start_http_server(int(sys.argv[1]), "127.0.0.1", registry)
    while True:
        time.sleep(3600)
