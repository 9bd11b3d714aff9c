"""NVIDIA GPUs through NVML: no DCGM, no daemon. Runs in a child process, because the driver can hang or crash.

One bad GPU costs its own samples only; a call that a board does not support is remembered and not made again.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.catalog import Tier
from warpgauge.core.catalog import device as rows
from warpgauge.core.clock import Clock, SystemClock
from warpgauge.core.device import Device, DeviceKind
from warpgauge.core.sample import ReadError, Sample
from warpgauge.exporters.collectors.calls import CallTimes
from warpgauge.exporters.collectors.collector import DeviceRefusedError, DriverError
from warpgauge.exporters.collectors.nvml_api import PYNVML, CallFailedError, NvmlApi, Verdict
from warpgauge.exporters.collectors.nvml_fields import FIELDS, Field, Unwrapped, decode, to_readings
from warpgauge.exporters.collectors.nvml_getters import GETTERS, Getter, Reading, fan_getter
from warpgauge.exporters.collectors.nvml_gpm import Gpm
from warpgauge.exporters.collectors.nvml_samples import SOURCES, SampleBuffers

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from warpgauge.exporters.collectors.increments import Bookmark, Increment

__all__ = ["NvmlCollector"]

_GONE: Final = {Verdict.LOST: "lost", Verdict.NEEDS_RESET: "needs_reset"}
_FIELDS_BY_TIER: Final = {tier: tuple(row for row in FIELDS if row.tier is tier) for tier in Tier}


class NvmlCollector:
    """Reads every NVIDIA GPU of this machine."""

    name = "nvml"
    isolated = True

    def __init__(
        self,
        nvml: Any = PYNVML,  # noqa: ANN401 - the module, or a fake with its shape
        clock: Clock | None = None,
        sys_root: str = "/sys",
    ) -> None:
        self.calls = CallTimes()
        self._clock = clock or SystemClock()
        self._api = NvmlApi(nvml, self.calls, self._clock)
        self._sys_root = Path(sys_root)
        self._boards: dict[str, _Board] = {}
        self._bookmarks: Mapping[str, Bookmark] = {}

    def check(self) -> str | None:
        """Load the library and open the session; None when it works, else why there is nothing to read."""
        try:
            self._api.call("nvmlInit")
        except CallFailedError as failure:
            if failure.driver_reason == "library_missing":
                return "no libnvidia-ml.so.1 on this machine"
            raise DriverError(failure.driver_reason, failure.detail) from failure
        return None

    def positions(self) -> Sequence[int]:
        """NVML indices of the GPUs, without touching one."""
        try:
            count = int(self._api.call("nvmlDeviceGetCount"))
        except CallFailedError as failure:
            raise DriverError(failure.driver_reason, failure.detail) from failure
        if count == 0:
            reason = "no_devices"
            raise DriverError(reason, "the driver answers but lists no GPU")
        return range(count)

    def identify(self, position: int) -> Device:
        """Open the GPU at an index and find out what it is."""
        try:
            handle = self._api.call("nvmlDeviceGetHandleByIndex", position)
            device = self._describe(handle, position)
            self._boards[device.uuid] = _Board(
                api=self._api,
                handle=handle,
                device=device,
                clock=self._clock,
                getters=(*GETTERS, *self._fans(handle)),
                gpm=Gpm.of(self._api, handle, self._clock),
                buffers=SampleBuffers(self._api, handle, self._clock, self._bookmarks.get(device.uuid, {})),
            )
        except CallFailedError as failure:
            if failure.verdict is Verdict.DRIVER:
                raise DriverError(failure.driver_reason, failure.detail) from failure
            raise DeviceRefusedError(_GONE.get(failure.verdict, failure.verdict.value), failure.detail) from failure
        return device

    def devices(self) -> Sequence[Device]:
        """Every GPU that lets itself be identified; the others are left out."""
        found = []
        for position in self.positions():
            try:
                found.append(self.identify(position))
            except DeviceRefusedError:
                continue
        return found

    def read(self, tier: Tier, device: Device | None) -> tuple[list[Sample], list[ReadError]]:
        """Samples of one GPU, or of the driver when no device is given.

        Raises:
            DriverError: the session with the driver is over.

        """
        if device is None:
            return self._driver(tier)
        return self._boards[device.uuid].read(tier)

    def resume(self, bookmarks: Mapping[str, Bookmark]) -> None:
        """Go on where another process stopped; see `Accumulating`."""
        self._bookmarks = bookmarks

    def gained(self, device: Device) -> tuple[list[Increment], Bookmark]:
        """What the histograms of one GPU gained since this was last asked; see `Accumulating`."""
        return self._boards[device.uuid].gained()

    def close(self) -> None:
        """End the session."""
        for board in self._boards.values():
            board.close()
        try:
            self._api.call("nvmlShutdown")
        except CallFailedError:
            return  # nothing was open, or nothing answers: either way there is nothing left to give back

    def _driver(self, tier: Tier) -> tuple[list[Sample], list[ReadError]]:
        if tier is not Tier.SLOW:
            return [], []
        try:
            versions = [self._text("nvmlSystemGetDriverVersion"), self._text("nvmlSystemGetNVMLVersion"), self._cuda()]
        except CallFailedError as failure:
            raise DriverError(failure.driver_reason, failure.detail) from failure
        return [Sample(rows.DRIVER_INFO, ("nvidia", *versions), 1.0)], []

    def _text(self, function: str, *arguments: object) -> str:
        """A name or version, empty where the driver has none."""
        try:
            raw = self._api.call(function, *arguments)
        except CallFailedError as failure:
            if failure.verdict in {*_GONE, Verdict.DRIVER}:
                raise
            return ""
        return raw.decode(errors="replace") if isinstance(raw, bytes) else str(raw)

    def _cuda(self) -> str:
        text = self._text("nvmlSystemGetCudaDriverVersion")  # 13010 is 13.1
        return f"{int(text) // 1000}.{int(text) % 1000 // 10}" if text else ""

    def _fans(self, handle: Any) -> list[Getter]:  # noqa: ANN401 - an opaque pointer
        count = self._text("nvmlDeviceGetNumFans", handle)
        return [fan_getter(fan) for fan in range(int(count or 0))]

    def _describe(self, handle: Any, position: int) -> Device:  # noqa: ANN401 - an opaque pointer
        info = self._api.call("nvmlDeviceGetPciInfo", handle)
        address = f"{info.domain:04x}:{info.bus:02x}:{info.device:02x}.0"
        return Device(
            uuid=self._api.call("nvmlDeviceGetUUID", handle),
            index=position,
            kind=DeviceKind.GPU,
            vendor="nvidia",
            model=self._text("nvmlDeviceGetName", handle),
            pci_bus_id=address,
            numa_node=self._numa_node(address),
            architecture=_ARCHITECTURES.get(self._text("nvmlDeviceGetArchitecture", handle), ""),
        )

    def _numa_node(self, address: str) -> int | None:
        path = self._sys_root / "bus/pci/devices" / address / "numa_node"
        try:
            node = int(path.read_text())
        except (OSError, ValueError):
            return None
        return node if node >= 0 else None  # the kernel says -1 where the firmware does not tell


_ARCHITECTURES: Final = {
    str(value): name.removeprefix("NVML_DEVICE_ARCH_").lower()
    for name, value in vars(PYNVML).items()
    if name.startswith("NVML_DEVICE_ARCH_") and not name.endswith("UNKNOWN")
}


@dataclass(slots=True, kw_only=True)
class _Board:
    """One open GPU: what it can do, and its counters that need a past."""

    api: NvmlApi
    handle: Any
    device: Device
    clock: Clock
    getters: tuple[Getter, ...]
    gpm: Gpm | None
    buffers: SampleBuffers
    unsupported: set[object] = field(default_factory=set)
    counters: Unwrapped = field(default_factory=Unwrapped)

    def read(self, tier: Tier) -> tuple[list[Sample], list[ReadError]]:
        """All samples of a tier, or one error and no sample at all when the board is gone."""
        errors: list[ReadError] = []
        try:
            readings = [*self._direct(tier, errors), *self._fields(tier, errors), *self._profile(tier, errors)]
            readings += self._distributions(tier, errors)
        except CallFailedError as failure:
            if failure.verdict is Verdict.DRIVER:
                raise DriverError(failure.driver_reason, failure.detail) from failure
            return [], [self._error(_GONE[failure.verdict], failure.detail)]
        samples = [Sample(metric, (*self.device.labels, *labels), value) for metric, labels, value in readings]
        return ([*samples, self._info()] if tier is Tier.SLOW else samples), errors

    def close(self) -> None:
        if self.gpm is not None:
            try:
                self.gpm.close()
            except CallFailedError:
                return  # a board that is gone took its samples along

    def _direct(self, tier: Tier, errors: list[ReadError]) -> Iterable[Reading]:
        for getter in self.getters:
            if getter.tier is tier:
                yield from self._get(getter, errors)

    def _get(self, getter: Getter, errors: list[ReadError]) -> Iterable[Reading]:
        key = (getter.function, getter.arguments)
        if key not in self.unsupported:
            try:
                return getter.values(self.api.call(getter.function, self.handle, *getter.arguments))
            except CallFailedError as failure:
                self._judge(failure, key, errors)
        return self._get(getter.instead, errors) if key in self.unsupported and getter.instead else ()

    def _fields(self, tier: Tier, errors: list[ReadError]) -> Iterable[Reading]:
        asked = [row for row in _FIELDS_BY_TIER[tier] if row not in self.unsupported]
        if not asked or "fields" in self.unsupported:
            return ()
        try:
            answers = self.api.call("nvmlDeviceGetFieldValues", self.handle, [(row.id, row.scope) for row in asked])
        except CallFailedError as failure:
            self._judge(failure, "fields", errors)
            return ()
        values = [decode(row, raw) for row, raw in zip(asked, answers, strict=True)]
        for value in values:
            self._judge_field(value.field, value.code, errors)
        return to_readings(values, self.counters, self.clock.monotonic())

    def _profile(self, tier: Tier, errors: list[ReadError]) -> Iterable[Reading]:
        if self.gpm is None or tier is not Tier.FAST or "gpm" in self.unsupported:
            return ()
        try:
            return self.gpm.read()
        except CallFailedError as failure:
            self._judge(failure, "gpm", errors)
            return ()

    def _distributions(self, tier: Tier, errors: list[ReadError]) -> Iterable[Reading]:
        for source in SOURCES if tier is Tier.FAST else ():
            if source not in self.unsupported:
                try:
                    yield from self.buffers.read(source)
                except CallFailedError as failure:
                    self._judge(failure, source, errors)

    def gained(self) -> tuple[list[Increment], Bookmark]:
        return self.buffers.take(), self.buffers.bookmark

    def _judge_field(self, row: Field, code: int, errors: list[ReadError]) -> None:
        if code:
            failure = self.api.failure(code, f"nvmlDeviceGetFieldValues, field {row.id}")
            self._judge(failure, row, errors)

    def _judge(self, failure: CallFailedError, key: object, errors: list[ReadError]) -> None:
        """Remember what is unsupported, note what failed, and pass on what ends the reading of this board."""
        if failure.verdict in {*_GONE, Verdict.DRIVER}:
            raise failure
        if failure.verdict is Verdict.UNSUPPORTED:
            self.unsupported.add(key)
        if failure.verdict is not Verdict.EMPTY:
            errors.append(self._error(failure.verdict.value, failure.detail))

    def _error(self, reason: str, detail: str) -> ReadError:
        return ReadError(reason, detail, self.device.uuid)

    def _info(self) -> Sample:
        device = self.device
        numa = "" if device.numa_node is None else str(device.numa_node)
        about = (device.vendor, device.kind.value, device.model, device.pci_bus_id, device.architecture, numa, "false")
        return Sample(rows.DEVICE_INFO, (*device.labels, *about), 1.0)
