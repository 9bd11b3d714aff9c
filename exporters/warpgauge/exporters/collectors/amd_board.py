"""One AMD GPU: which calls belong to which tier, and what each became."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.catalog import Tier, process, vendor
from warpgauge.core.catalog import device as rows
from warpgauge.core.sample import ReadError, Sample, Unavailable
from warpgauge.exporters.collectors import amd_rows
from warpgauge.exporters.collectors.amd_api import AmdApi, CallRefusedError
from warpgauge.exporters.collectors.amd_energy import EnergyCheck, Trust
from warpgauge.exporters.collectors.identity import device_info

if TYPE_CHECKING:
    from warpgauge.core.clock import Clock
    from warpgauge.core.device import Device
    from warpgauge.exporters.collectors.amd_rows import Row

__all__ = ["AmdBoard"]

_Ask = Callable[[], Iterable["Row"]]
_CLOCKS: Final = {"graphics": "GFX", "memory": "MEM", "video": "VCLK0"}
_CORE_SENSORS: Final = ("HOTSPOT", "JUNCTION", "EDGE")  # the first that the board has
_NO_BLOCK: Final = frozenset({"INVALID", "RESERVED"})


class AmdBoard:
    """Reads one GPU; a call that it does not support is not made again."""

    def __init__(self, api: AmdApi, handle: Any, device: Device, clock: Clock, partition_id: str) -> None:  # noqa: ANN401 - an opaque pointer
        self.device = device
        self.most_processes = 0
        self._api = api
        self._handle = handle
        self._clock = clock
        self._partition_id = partition_id
        self._unsupported: set[tuple[str, ...]] = set()
        self._energy = EnergyCheck()
        self._asks: dict[Tier, tuple[_Ask, ...]] = {
            Tier.FAST: (self._activity, self._power, self._core, self._memory_sensor, self._clocks),
            Tier.NORMAL: (self._memory, self._pcie, self._ecc, self._links, self._violations, self._each_process),
            Tier.SLOW: (self._limits, self._clocks_max, self._pages, self._blocks, self._processes),
        }
        self._errors: list[ReadError] = []

    def read(self, tier: Tier) -> tuple[list[Sample], list[ReadError]]:
        """Samples of one tier; a fault costs its own call."""
        self._errors = []
        identity = self.device.labels
        found = [
            Sample(row, (*identity, *labels), value) for ask in self._asks.get(tier, ()) for row, labels, value in ask()
        ]
        if tier is Tier.FAST and not found and {error.reason for error in self._errors} - {"permission"}:
            self._errors.append(ReadError("lost", "no call of the fast tier is answered any more", self.device.uuid))
        if tier is Tier.SLOW:
            found += [device_info(self.device), *self._partition()]
        if tier is Tier.FAST and self._energy.trust is Trust.BAD:
            reason = f"the counter runs at {self._energy.ratio:.2f} x the board's power"
            found.append(Sample(rows.ENERGY, identity, Unavailable(reason)))
        return found, self._errors

    def versions(self) -> tuple[str, str, str]:
        """Of the kernel's driver and the library; what runs on top of them tells nobody."""
        driver = self._call("amdsmi_get_gpu_driver_info") or {}
        try:
            library = self._api.call("amdsmi_get_lib_version")
        except CallRefusedError:
            library = {}
        words = [str(library[key]) for key in ("major", "minor", "release") if key in library]
        return str(driver.get("driver_version", "")).replace("N/A", ""), ".".join(words), ""

    def _call(self, function: str, *arguments: Any) -> Any:  # noqa: ANN401 - what amdsmi gives; None without an answer
        key = (function, *(str(argument) for argument in arguments))
        if key in self._unsupported or None in arguments:
            return None
        try:
            return self._api.call(function, self._handle, *arguments)
        except CallRefusedError as failure:
            if failure.reason == "unsupported":
                self._unsupported.add(key)
            else:
                self._errors.append(ReadError(failure.reason, failure.detail, self.device.uuid))
            return None

    def _activity(self) -> Iterable[Row]:
        return amd_rows.activity(self._call("amdsmi_get_gpu_activity") or {})

    def _power(self) -> Iterable[Row]:
        watts = amd_rows.power_watts(self._call("amdsmi_get_power_info") or {})
        if watts is None:
            return
        yield rows.POWER, (), watts
        if self._energy.trust is Trust.BAD:
            return
        joules = amd_rows.energy_joules(self._call("amdsmi_get_energy_count") or {})
        if joules is not None and self._energy.observe(self._clock.monotonic(), watts, joules) is Trust.GOOD:
            yield rows.ENERGY, (), joules

    def _core(self) -> Iterable[Row]:
        for sensor in _CORE_SENSORS:
            value = self._temperature(sensor)
            if value is not None:
                return [(rows.TEMPERATURE, ("core",), value)]
        return []

    def _memory_sensor(self) -> Iterable[Row]:
        value = self._temperature("VRAM")
        return [] if value is None else [(rows.TEMPERATURE, ("memory",), value)]

    def _temperature(self, sensor: str) -> float | None:
        kind = self._api.named("AmdSmiTemperatureType", sensor)
        now = self._api.named("AmdSmiTemperatureMetric", "CURRENT")
        return amd_rows.number(self._call("amdsmi_get_temp_metric", kind, now)) or None  # 0: there is no such sensor

    def _clocks(self) -> Iterable[Row]:
        return [row for row in self._every_clock() if row[0] is rows.CLOCK]

    def _clocks_max(self) -> Iterable[Row]:
        return [row for row in self._every_clock() if row[0] is rows.CLOCK_MAX]

    def _every_clock(self) -> Iterable[Row]:
        for ours, theirs in _CLOCKS.items():
            yield from amd_rows.clock(
                ours, self._call("amdsmi_get_clock_info", self._api.named("AmdSmiClkType", theirs)) or {}
            )

    def _memory(self) -> Iterable[Row]:
        kind = self._api.named("AmdSmiMemoryType", "VRAM")
        total = amd_rows.number(self._call("amdsmi_get_gpu_memory_total", kind))
        used = amd_rows.number(self._call("amdsmi_get_gpu_memory_usage", kind))
        if total:
            yield rows.MEMORY_TOTAL, (), total
        if used is not None:
            yield rows.MEMORY_USED, (), used
        if total and used is not None:
            yield rows.MEMORY_FREE, (), max(total - used, 0.0)

    def _pcie(self) -> Iterable[Row]:
        return amd_rows.pcie(self._call("amdsmi_get_pcie_info") or {})

    def _ecc(self) -> Iterable[Row]:
        return amd_rows.ecc_total(self._call("amdsmi_get_gpu_total_ecc_count") or {})

    def _links(self) -> Iterable[Row]:
        xgmi = self._api.named("AmdSmiLinkType", "AMDSMI_LINK_TYPE_XGMI")
        return amd_rows.links(self._call("amdsmi_get_link_metrics") or {}, xgmi)

    def _violations(self) -> Iterable[Row]:
        return amd_rows.violations(self._call("amdsmi_get_violation_status") or {})

    def _limits(self) -> Iterable[Row]:
        return amd_rows.power_limits(self._call("amdsmi_get_power_cap_info") or {})

    def _pages(self) -> Iterable[Row]:
        pages = self._call("amdsmi_get_gpu_bad_page_info")
        pending = self._api.named("AmdSmiMemoryPageStatus", "PENDING")
        return [] if pages is None else amd_rows.bad_pages(pages, pending)

    def _blocks(self) -> Iterable[Row]:
        for block in self._api.members("AmdSmiGpuBlock"):
            if block.name not in _NO_BLOCK:
                counts = self._call("amdsmi_get_gpu_ecc_count", block) or {}
                for _, (severity, persistence), value in amd_rows.ecc_total(counts):
                    yield rows.ECC_LOCATION_ERRORS, (severity, persistence, block.name.lower()), value

    def _processes(self) -> Iterable[Row]:
        found = self._call("amdsmi_get_gpu_process_list")
        return [] if found is None else [(rows.PROCESSES, (), float(len(found)))]

    def _each_process(self) -> Iterable[Row]:
        if not self.most_processes:
            return
        found = self._call("amdsmi_get_gpu_process_list") or []
        held = [(amd_rows.number(one.get("mem")) or 0.0, one) for one in found]
        for used, one in sorted(held, key=lambda pair: -pair[0])[: self.most_processes]:
            yield process.PROCESS_MEMORY, (str(one.get("pid", "")), str(one.get("name", ""))[:15]), used

    def _partition(self) -> list[Sample]:
        modes = [self._call(f"amdsmi_get_gpu_{what}_partition") for what in ("compute", "memory")]
        if not any(modes):
            return []
        labels = (*self.device.labels, *(str(mode or "") for mode in modes), self._partition_id)
        return [Sample(vendor.PARTITION_INFO, labels, 1.0)]
