"""NVIDIA GPUs through NVML: no DCGM, no daemon. Runs in a child process, because the driver can hang or crash.

One bad GPU costs its own samples only; a call that a board does not support is remembered and not made again.
"""

from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from time import thread_time
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.catalog import Tier
from warpgauge.core.catalog import device as rows
from warpgauge.core.clock import Clock, SystemClock
from warpgauge.core.device import Device, DeviceKind
from warpgauge.core.sample import Sample
from warpgauge.exporters.calls import CallTimes
from warpgauge.exporters.collectors.activity_time import ActivityTime
from warpgauge.exporters.collectors.collector import DeviceRefusedError, DriverError
from warpgauge.exporters.collectors.identity import openable
from warpgauge.exporters.collectors.nvml_api import PYNVML, CallFailedError, NvmlApi, Verdict
from warpgauge.exporters.collectors.nvml_board import GONE, Board
from warpgauge.exporters.collectors.nvml_events import NvmlEvents
from warpgauge.exporters.collectors.nvml_fabric import Fabric
from warpgauge.exporters.collectors.nvml_fields import FIELDS, Unwrapped
from warpgauge.exporters.collectors.nvml_getters import GETTERS, Getter, fan_getter
from warpgauge.exporters.collectors.nvml_gpm import Gpm, GpmPace
from warpgauge.exporters.collectors.nvml_gpm_counters import GpmCounters
from warpgauge.exporters.collectors.nvml_holders import Holders
from warpgauge.exporters.collectors.nvml_links import C2C_COUNT, LINK_COUNT, c2c_fields, count_links, link_fields
from warpgauge.exporters.collectors.nvml_mig import Partitions
from warpgauge.exporters.collectors.nvml_processes import Processes, process_names
from warpgauge.exporters.collectors.nvml_samples import SampleBuffers

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from warpgauge.core.sample import ReadError
    from warpgauge.exporters.collectors.collector import Settings
    from warpgauge.exporters.collectors.nvml_board import Part
    from warpgauge.exporters.increments import Bookmark, Gains
    from warpgauge.exporters.messages import Event

__all__ = ["NvmlCollector"]


class NvmlCollector:
    """Reads every NVIDIA GPU of this machine."""

    name = "nvml"
    isolated = True

    def __init__(
        self,
        nvml: Any = PYNVML,  # noqa: ANN401 - the module, or a fake with its shape
        clock: Clock | None = None,
        sys_root: str = "/sys",
        spent: Callable[[], float] = thread_time,
    ) -> None:
        """`spent` tells this thread's CPU time in seconds."""
        self.calls = CallTimes()
        self._clock = clock or SystemClock()
        self._api = NvmlApi(nvml, self.calls, self._clock)
        self._sys_root = Path(sys_root)
        self._spent = spent
        self._boards: dict[str, Board] = {}
        self._events = NvmlEvents(self._api)
        self._bookmarks: Mapping[str, Bookmark] = {}
        self._settings: Settings = {}

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
            bookmark = self._bookmarks.get(device.uuid, {})
            links = count_links(self._api, handle, LINK_COUNT)
            activity = ActivityTime(bookmark)
            gpm = Gpm.of(self._api, handle, self._pace, activity)
            board = self._boards[device.uuid] = Board(
                api=self._api,
                handle=handle,
                device=device,
                clock=self._clock,
                getters=(*GETTERS, *self._fans(handle)),
                fields=(
                    *FIELDS,
                    *link_fields(links),
                    *c2c_fields(count_links(self._api, handle, C2C_COUNT)),
                ),
                firmware=self._firmware(handle),
                gpm=gpm,
                gpm_counters=GpmCounters(self._api, gpm, links) if gpm else None,
                activity=activity,
                is_profiled=self._is_profiled,
                parts=self._parts(handle),
                buffers=SampleBuffers(self._api, handle, self._clock, bookmark),
                counters=Unwrapped(bookmark),
                partitions=Partitions.of(self._api, handle, None if gpm is None else self._pace),
            )
            board.keep_fine(is_wanted=self._is_fine)
        except CallFailedError as failure:
            if failure.verdict is Verdict.DRIVER:
                raise DriverError(failure.driver_reason, failure.detail) from failure
            raise DeviceRefusedError(GONE.get(failure.verdict, failure.verdict.value), failure.detail) from failure
        self._events.add(position, handle)
        return device

    def wait_for_events(self, *, is_patient: bool = False) -> list[Event] | None:
        """XIDs and their like, from the GPUs that were opened."""
        return self._events.wait(is_patient=is_patient)

    def devices(self) -> Sequence[Device]:
        """Every GPU that lets itself be identified; the others are left out."""
        return openable(self)

    def read(self, tier: Tier, device: Device | None) -> tuple[Sequence[Sample], list[ReadError]]:
        """Samples of one GPU, or of the driver when no device is given.

        Raises:
            DriverError: the session with the driver is over.

        """
        if device is None:
            return self._driver(tier)
        return self._boards[device.uuid].read(tier)

    def adjust(self, settings: Settings) -> None:
        """Obey these from now on; see `Adjustable`.

        `gpm` (True) allows GPM, `gpm_every` (0) seconds lie between two answers to what of it is asked for seldom;
        `processes` (0) is the most per GPU that get series, with names from `proc_root`;
        `holders` (False) lists the processes of each GPU for the attribution; `fine` (True) keeps narrower buckets.
        """
        self._settings = settings
        for board in list(self._boards.values()):
            board.is_profiled = self._is_profiled
            board.keep_fine(is_wanted=self._is_fine)

    def resume(self, bookmarks: Mapping[str, Bookmark]) -> None:
        """Go on where another process stopped; see `Accumulating`."""
        self._bookmarks = bookmarks

    def gained(self, device: Device) -> tuple[Gains, Bookmark]:
        """What the histograms of one GPU gained since this was last asked; see `Accumulating`."""
        return self._boards[device.uuid].gained()

    def holders(self, device: Device) -> Sequence[tuple[int, str]] | None:
        """Which processes have a GPU open; see `HolderSource`."""
        found = [part.found for part in self._boards[device.uuid].parts if isinstance(part, Holders)]
        return found[0] if found else None

    def close(self) -> None:
        """End the session."""
        for board in self._boards.values():
            board.close()
        for give_back in (self._events.close, lambda: self._api.call("nvmlShutdown")):
            with suppress(CallFailedError):  # nothing was open, or nothing answers: nothing left to give back
                give_back()

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
            if failure.verdict in {*GONE, Verdict.DRIVER}:
                raise
            return ""
        return raw.decode(errors="replace") if isinstance(raw, bytes) else str(raw)

    def _cuda(self) -> str:
        text = self._text("nvmlSystemGetCudaDriverVersion")  # 13010 is 13.1
        return f"{int(text) // 1000}.{int(text) % 1000 // 10}" if text else ""

    def _fans(self, handle: Any) -> list[Getter]:  # noqa: ANN401 - an opaque pointer
        count = self._text("nvmlDeviceGetNumFans", handle)
        return [fan_getter(fan) for fan in range(int(count or 0))]

    @property
    def _pace(self) -> GpmPace:
        return GpmPace(self._clock, float(self._settings.get("gpm_every", 0.0)), self._spent)

    @property
    def _is_profiled(self) -> bool:
        return bool(self._settings.get("gpm", True))

    @property
    def _is_fine(self) -> bool:
        return bool(self._settings.get("fine", True))

    def _parts(self, handle: Any) -> tuple[Part, ...]:  # noqa: ANN401 - an opaque pointer
        most = int(self._settings.get("processes", 0))
        name_of = process_names(str(self._settings.get("proc_root", "/proc")))
        processes = (Processes(self._api, handle, most, name_of),) if most else ()
        holders = (Holders(self._api, handle),) if self._settings.get("holders") else ()
        return (Fabric(self._api, handle), *processes, *holders)

    def _firmware(self, handle: Any) -> tuple[str, str]:  # noqa: ANN401 - an opaque pointer
        vbios = self._text("nvmlDeviceGetVbiosVersion", handle)
        return vbios, self._text("nvmlDeviceGetInforomImageVersion", handle)

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
