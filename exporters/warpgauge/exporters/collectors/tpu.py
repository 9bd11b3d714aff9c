"""Google TPUs: inventory and owners from the machine, the rest from the runtime of whatever workload runs.

Without a workload there is no runtime: the chips stay on the page with `accel_runtime_up` 0 and their identity.
Neither tells temperature or power.
"""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Final
from uuid import NAMESPACE_DNS, uuid5

from warpgauge.core.catalog import Metric, Tier, runtime
from warpgauge.core.catalog import device as rows
from warpgauge.core.clock import Clock, SystemClock
from warpgauge.core.device import Device, DeviceKind
from warpgauge.core.sample import ReadError, Sample, Unavailable
from warpgauge.exporters.calls import CallTimes
from warpgauge.exporters.collectors.collector import DeviceRefusedError
from warpgauge.exporters.collectors.identity import device_info
from warpgauge.exporters.collectors.rebucket import Distribution, histogram
from warpgauge.exporters.collectors.tpu_answers import by_chip
from warpgauge.exporters.tpu_inventory import Chip, find_chips, holders

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from warpgauge.exporters.collectors.collector import Settings
    from warpgauge.exporters.collectors.tpu_answers import Point
    from warpgauge.exporters.collectors.tpu_runtime import RuntimeAnswer, TpuRuntime

__all__ = ["TpuCollector"]

DEFAULT_ADDRESS: Final = "localhost:8431"
_MICRO: Final = 1e-6
_MEMORY_TOTAL: Final = "tpu.runtime.hbm.memory.total.bytes"
_MEMORY_USED: Final = "tpu.runtime.hbm.memory.usage.bytes"
_DUTY_CYCLE: Final = "tpu.runtime.tensorcore.dutycycle.percent"
_PROGRAMS: Final = "hlo.execution.timing.distribution.microseconds"


def _mean(values: Sequence[float]) -> float:
    return sum(values) / len(values)


# name of the runtime -> row, further labels, our value from the values of a chip's cores
_FAST: Final[tuple[tuple[str, Metric, tuple[str, ...], Callable[[Sequence[float]], float]], ...]] = (
    (_DUTY_CYCLE, rows.UTILIZATION, ("compute",), lambda cores: _mean(cores) / 100),
    ("tpu.runtime.hbm.utilization.percent", rows.MEMORY_BANDWIDTH_ACTIVE, (), lambda cores: _mean(cores) / 100),
    ("tpu.runtime.tensorcore.idle_duration.seconds", runtime.IDLE_SECONDS, (), min),
    ("hlo.queue.size.gauge", runtime.QUEUED_PROGRAMS, (), sum),
)
_PATHS: Final = {
    "dcn": "dcn_transfer_latencies",
    "dcn_inbound": "dcn_inbound_transfer_latencies",
    "host_to_device": "host_to_device_transfer_latencies",
    "device_to_host": "device_to_host_transfer_latencies",
    "collective": "collective_end_to_end_latencies",
    "host_compute": "mxla_compute_latencies",
    "grpc_tcp_min_rtt": "grpc_tcp_min_rtt",
}


class TpuCollector:
    """Reads every TPU chip of this machine."""

    name = "tpu"
    isolated = True

    def __init__(
        self,
        *,
        sys_root: str = "/sys",
        proc_root: str = "/proc",
        address: str = DEFAULT_ADDRESS,
        clock: Clock | None = None,
    ) -> None:
        self.calls = CallTimes()
        self._clock = clock or SystemClock()
        self._sys_root, self._proc_root, self._addresses = sys_root, proc_root, address
        self._chips: list[Chip] = []
        self._runtime: TpuRuntime | None = None

    def adjust(self, settings: Settings) -> None:
        """Obey these from now on: `tpu_addresses`, comma separated, `sys_root` and `proc_root`."""
        addresses = str(settings.get("tpu_addresses", self._addresses))
        if addresses != self._addresses and self._runtime is not None:
            self._runtime.close()
            self._runtime = None
        self._addresses = addresses
        self._sys_root = str(settings.get("sys_root", self._sys_root))
        self._proc_root = str(settings.get("proc_root", self._proc_root))

    def check(self) -> str | None:
        """None if a chip is plugged in, else why there is nothing to read."""
        self._chips = find_chips(self._sys_root)
        return None if self._chips else "no TPU on this machine's PCI bus"

    def positions(self) -> Sequence[int]:
        """Chips in the order of the runtime."""
        self._chips = find_chips(self._sys_root)
        return range(len(self._chips))

    def identify(self, position: int) -> Device:
        """What the chip is; the machine tells, so this cannot hang.

        Raises:
            DeviceRefusedError: it was taken away meanwhile.

        """
        if position >= len(self._chips):
            reason = "lost"
            raise DeviceRefusedError(reason, f"no TPU at position {position} any more")
        chip = self._chips[position]
        return Device(
            uuid=f"TPU-{uuid5(NAMESPACE_DNS, f'{platform.node()}/{chip.address}')}",
            index=position,
            kind=DeviceKind.TPU,
            vendor="google",
            model=f"TPU {chip.generation}",
            pci_bus_id=chip.address,
            numa_node=chip.numa_node,
            architecture=chip.generation,
        )

    def devices(self) -> Sequence[Device]:
        """Every chip."""
        return [self.identify(position) for position in self.positions()]

    def read(self, tier: Tier, device: Device | None) -> tuple[list[Sample], list[ReadError]]:
        """Samples of one chip, or of the node's runtime when no device is given."""
        if device is None:
            return self._common(tier), []
        reading = _Reading(self._chips, device, self._ask)
        if tier is Tier.FAST:
            return reading.fast(), reading.errors
        if tier is Tier.NORMAL:
            return reading.normal(), reading.errors
        return self._slow(device)

    def close(self) -> None:
        """Close the connections."""
        if self._runtime is not None:
            self._runtime.close()
            self._runtime = None

    def _common(self, tier: Tier) -> list[Sample]:
        if tier is not Tier.SLOW:
            return []
        found = []
        for path, name in _PATHS.items():
            answer = self._ask(f"megascale.{name}.microsecond.cumulative.distribution")
            known = [point.value for point in answer.points if isinstance(point.value, Distribution)]
            if known:
                value = histogram(known, runtime.TRANSFER_SECONDS.buckets, _MICRO)
                found.append(Sample(runtime.TRANSFER_SECONDS, ("google", path), value))
        return found

    def _slow(self, device: Device) -> tuple[list[Sample], list[ReadError]]:
        samples = [device_info(device)]
        node = self._chips[device.index].node
        if not node:
            return samples, []
        try:
            count = float(len(holders(Path(self._proc_root), {node})[node]))
        except PermissionError as error:
            reason = f"{self._proc_root}: {error}"
            return [*samples, Sample(rows.PROCESSES, device.labels, Unavailable(reason))], []
        return [*samples, Sample(rows.PROCESSES, device.labels, count)], []

    def _ask(self, name: str) -> RuntimeAnswer:
        if self._runtime is None:
            # grpcio takes 40 ms and 20 MB: only where a TPU is.
            from warpgauge.exporters.collectors.tpu_runtime import TpuRuntime  # noqa: PLC0415

            self._runtime = TpuRuntime(self._addresses.split(","), self.calls, self._clock)
        return self._runtime.get(name)


class _Reading:
    """One chip in one tier: points of its cores become rows, and what could not be read an error."""

    def __init__(self, chips: Sequence[Chip], device: Device, ask: Callable[[str], RuntimeAnswer]) -> None:
        self.errors: list[ReadError] = []
        self._chips = chips
        self._device = device
        self._ask = ask

    def fast(self) -> list[Sample]:
        """Whether the runtime answers, and what the chip does."""
        try:
            duty = self._ask(_DUTY_CYCLE)
        except ImportError as error:
            detail = f"the TPU runtime needs grpcio and protobuf: pip install '.[tpu]' ({error})"
            self.errors.append(ReadError("library_missing", detail, self._device.uuid))
            return [Sample(runtime.RUNTIME_UP, self._device.labels, Unavailable(detail))]
        is_up = bool(duty.points) or duty.reason in {"", "unsupported"}
        samples = [Sample(runtime.RUNTIME_UP, self._device.labels, float(is_up))]
        if not is_up:
            if duty.reason != "absent":
                self.errors.append(ReadError(duty.reason, duty.detail, self._device.uuid))
            return samples
        for name, row, labels, combine in _FAST:
            values = self._values(name)
            if values:
                samples.append(Sample(row, (*self._device.labels, *labels), combine(values)))
        return samples

    def normal(self) -> list[Sample]:
        """Memory and programs."""
        try:
            total, used = self._values(_MEMORY_TOTAL), self._values(_MEMORY_USED)
        except ImportError:
            return []  # told in the fast tier
        identity = self._device.labels
        samples = [Sample(row, identity, sum(values)) for row, values in (
            (rows.MEMORY_TOTAL, total), (rows.MEMORY_USED, used)) if values]  # fmt: skip
        if total and used:
            samples.append(Sample(rows.MEMORY_FREE, identity, max(sum(total) - sum(used), 0.0)))
        programs = [one.value for one in self._points(_PROGRAMS) if isinstance(one.value, Distribution)]
        if programs:
            value = histogram(programs, runtime.PROGRAM_SECONDS.buckets, _MICRO)
            samples.append(Sample(runtime.PROGRAM_SECONDS, identity, value))
        return samples

    def _values(self, name: str) -> list[float]:
        return [one.value for one in self._points(name) if isinstance(one.value, float)]

    def _points(self, name: str) -> list[Point]:
        answer = self._ask(name)
        if answer.reason in {"timeout", "failed"}:
            self.errors.append(ReadError(answer.reason, answer.detail, self._device.uuid))
        if not answer.points:
            return []
        cores = self._chips[self._device.index].cores
        chips = by_chip(answer.points, len(self._chips), cores)
        if chips is None:
            detail = f"{name}: {len(answer.points)} points do not fit {len(self._chips)} chips of {cores}"
            self.errors.append(ReadError("unmatched", detail, self._device.uuid))
            return []
        return chips[self._device.index]
