"""Intel Gaudi through `hl-smi`, its command line, in CSV: one run tells all devices, once per normal tick.

Columns: docs.habana.ai, System Management Interface Tool (hl-smi -Q ... -f csv). Tested on a program that prints what
that page shows; no Gaudi was at hand.
"""

from __future__ import annotations

import threading
from pathlib import Path
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import Metric, Tier
from warpgauge.core.catalog import device as rows
from warpgauge.core.clock import Clock, SystemClock
from warpgauge.core.device import Device, DeviceKind
from warpgauge.core.errors import InputError
from warpgauge.core.sample import ReadError, Sample
from warpgauge.exporters.calls import CallTimes
from warpgauge.exporters.collectors.collector import DeviceRefusedError, DriverError
from warpgauge.exporters.collectors.command_csv import CommandFailedError, number, run, table
from warpgauge.exporters.collectors.identity import device_info
from warpgauge.exporters.pci import numa_node

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from warpgauge.exporters.collectors.collector import Settings

__all__ = ["COLUMNS", "GaudiCollector"]

COLUMNS: Final = (
    "index", "uuid", "bus_id", "name", "driver_version", "temperature.aip", "utilization.aip", "memory.total",
    "memory.used", "memory.free", "power.draw", "ecc.errors.corrected.volatile.total",
    "ecc.errors.uncorrected.volatile.total",
)  # fmt: skip
_TIMEOUT_SECONDS: Final = 1.5  # within the deadline of a reading, so that its own complaint is heard
_FRESH_SECONDS: Final = 1.0
_MIB: Final = 1024.0 * 1024.0

# column -> unit as printed, factor to ours, row, further labels
_VALUES: Final[dict[str, tuple[str, float, Metric, tuple[str, ...]]]] = {
    "temperature.aip": ("C", 1.0, rows.TEMPERATURE, ("core",)),
    "utilization.aip": ("%", 0.01, rows.UTILIZATION, ("compute",)),
    "memory.total": ("MiB", _MIB, rows.MEMORY_TOTAL, ()),
    "memory.used": ("MiB", _MIB, rows.MEMORY_USED, ()),
    "memory.free": ("MiB", _MIB, rows.MEMORY_FREE, ()),
    "power.draw": ("W", 1.0, rows.POWER, ()),
    "ecc.errors.corrected.volatile.total": ("", 1.0, rows.ECC_ERRORS, ("corrected", "volatile")),
    "ecc.errors.uncorrected.volatile.total": ("", 1.0, rows.ECC_ERRORS, ("uncorrected", "volatile")),
}


class GaudiCollector:
    """Reads every Gaudi of this machine. The lock guards the last table: readers of several devices ask at once."""

    name = "gaudi"
    isolated = True

    def __init__(
        self,
        *,
        program: str = "hl-smi",
        sys_root: str = "/sys",
        execute: Callable[[Sequence[str], float], str] = run,
        clock: Clock | None = None,
    ) -> None:
        self.calls = CallTimes()
        self._command = (program, "-Q", ",".join(COLUMNS), "-f", "csv")
        self._sys_root = sys_root
        self._execute = execute
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()
        self._table: tuple[float, list[dict[str, str]]] | None = None

    def adjust(self, settings: Settings) -> None:
        """Obey `sys_root` from now on."""
        self._sys_root = str(settings.get("sys_root", self._sys_root))

    def check(self) -> str | None:
        """None when the program answers, else why there is nothing to read."""
        try:
            self._ask()
        except CommandFailedError as failure:
            if failure.reason == "library_missing":
                return f"{failure.detail}: it comes with Intel's Gaudi software"
            raise DriverError(failure.reason, failure.detail) from failure
        return None

    def positions(self) -> Sequence[int]:
        """Places in the program's list."""
        found = self._ask_or_fail()
        if not found:
            reason = "no_devices"
            raise DriverError(reason, "hl-smi answers but lists no device")
        return range(len(found))

    def identify(self, position: int) -> Device:
        """What the device at a place is."""
        found = self._ask_or_fail()
        if position >= len(found):
            reason = "lost"
            raise DeviceRefusedError(reason, f"hl-smi lists no device at {position} any more")
        row = found[position]
        address = row["bus_id"].lower()
        return Device(
            uuid=row["uuid"] or f"gaudi-{address}",
            index=position,
            kind=DeviceKind.NPU,
            vendor="intel",
            model=row["name"],
            pci_bus_id=address,
            numa_node=numa_node(Path(self._sys_root) / "bus/pci/devices" / address),
            architecture="gaudi",
        )

    def devices(self) -> Sequence[Device]:
        """Every device."""
        return [self.identify(position) for position in self.positions()]

    def read(self, tier: Tier, device: Device | None) -> tuple[list[Sample], list[ReadError]]:
        """Samples of one device, or of the driver when no device is given; a program per second would be dear."""
        if tier is Tier.FAST:
            return [], []
        if device is not None and tier is Tier.SLOW:
            return [device_info(device)], []
        try:
            found = self._ask()
        except CommandFailedError as failure:
            return [], [ReadError(failure.reason, failure.detail, device.uuid if device else None)]
        if device is None:
            version = found[0]["driver_version"] if found and tier is Tier.SLOW else ""
            return [Sample(rows.DRIVER_INFO, ("intel", version, "", ""), 1.0)] if version else [], []
        own = [row for row in found if row["uuid"] == device.uuid or row["bus_id"].lower() == device.pci_bus_id]
        if not own:
            return [], [ReadError("lost", f"hl-smi lists no {device.uuid} any more", device.uuid)]
        return _samples(device, own[0])

    def close(self) -> None:
        """Nothing is held open."""

    def _ask_or_fail(self) -> list[dict[str, str]]:
        try:
            return self._ask()
        except CommandFailedError as failure:
            raise DriverError(failure.reason, failure.detail) from failure

    def _ask(self) -> list[dict[str, str]]:
        with self._lock:
            begun = self._clock.monotonic()
            if self._table is not None and begun - self._table[0] < _FRESH_SECONDS:
                return self._table[1]
            try:
                found = table(self._execute(self._command, _TIMEOUT_SECONDS), COLUMNS, place=self._command[0])
            except InputError as error:
                reason = "malformed"
                raise CommandFailedError(reason, str(error)) from error
            finally:
                self.calls.add(Path(self._command[0]).name, self._clock.monotonic() - begun)
            self._table = (self._clock.monotonic(), found)
            return found


def _samples(device: Device, row: dict[str, str]) -> tuple[list[Sample], list[ReadError]]:
    """One line of the table; a cell that makes no sense costs its own sample."""
    samples, errors = [], []
    for column, (unit, factor, metric, labels) in _VALUES.items():
        try:
            value = number(row, column, unit=unit)
        except InputError as error:
            errors.append(ReadError("malformed", str(error), device.uuid))
            continue
        if value is not None and value >= 0:
            samples.append(Sample(metric, (*device.labels, *labels), value * factor))
    return samples, errors
