"""AMD GPUs through amdsmi, in a child process: the library can hang or crash, as any driver's.

Written against amdsmi 7.0.2 and tested on a double of it only: no AMD GPU was at hand.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

from warpgauge.core.catalog import Tier
from warpgauge.core.catalog import device as rows
from warpgauge.core.clock import Clock, SystemClock
from warpgauge.core.device import Device, DeviceKind
from warpgauge.core.sample import Sample
from warpgauge.exporters.calls import CallTimes
from warpgauge.exporters.collectors.amd_api import AmdApi, CallRefusedError
from warpgauge.exporters.collectors.amd_board import AmdBoard
from warpgauge.exporters.collectors.amd_rows import number
from warpgauge.exporters.collectors.collector import DeviceRefusedError, DriverError
from warpgauge.exporters.collectors.identity import openable
from warpgauge.exporters.pci import numa_node

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from warpgauge.core.sample import ReadError
    from warpgauge.exporters.collectors.collector import Settings

__all__ = ["AmdCollector"]


class AmdCollector:
    """Reads every AMD GPU, or every part of a partitioned one, of this machine."""

    name = "amd"
    isolated = True

    def __init__(
        self, *, load: Callable[[], Any] | None = None, sys_root: str = "/sys", clock: Clock | None = None
    ) -> None:
        self.calls = CallTimes()
        self._clock = clock or SystemClock()
        self._api = AmdApi(load, self.calls, self._clock)
        self._sys_root = sys_root
        self._most_processes = 0
        self._boards: dict[str, AmdBoard] = {}

    def adjust(self, settings: Settings) -> None:
        """Obey these from now on: `processes` (0) is the most per GPU that get series; `sys_root`."""
        self._sys_root = str(settings.get("sys_root", self._sys_root))
        self._most_processes = int(settings.get("processes", 0))
        for board in list(self._boards.values()):
            board.most_processes = self._most_processes

    def check(self) -> str | None:
        """Load the library and open the session; None when it works, else why there is nothing to read."""
        return self._api.open()

    def positions(self) -> Sequence[int]:
        """Places in the library's list."""
        handles = self._handles()
        if not handles:
            reason = "no_devices"
            raise DriverError(reason, "amdsmi answers but lists no GPU")
        return range(len(handles))

    def identify(self, position: int) -> Device:
        """Open the GPU at a place and find out what it is."""
        handles = self._handles()
        if position >= len(handles):
            reason = "lost"
            raise DeviceRefusedError(reason, f"amdsmi lists no GPU at {position} any more")
        try:
            device, part = self._describe(handles[position], position)
        except CallRefusedError as failure:
            raise DeviceRefusedError(failure.reason, failure.detail) from failure
        board = AmdBoard(self._api, handles[position], device, self._clock, part)
        board.most_processes = self._most_processes
        self._boards[device.uuid] = board
        return device

    def devices(self) -> Sequence[Device]:
        """Every GPU that lets itself be identified; the others are left out."""
        return openable(self)

    def read(self, tier: Tier, device: Device | None) -> tuple[list[Sample], list[ReadError]]:
        """Samples of one GPU, or of the driver when no device is given."""
        if device is not None:
            return self._boards[device.uuid].read(tier)
        if tier is not Tier.SLOW or not self._boards:
            return [], []
        board = next(iter(self._boards.values()))
        return [Sample(rows.DRIVER_INFO, ("amd", *board.versions()), 1.0)], []

    def close(self) -> None:
        """End the session."""
        self._api.close()

    def _handles(self) -> list[Any]:
        try:
            return list(self._api.call("amdsmi_get_processor_handles"))
        except CallRefusedError as failure:
            raise DriverError(failure.reason, failure.detail) from failure

    def _describe(self, handle: Any, position: int) -> tuple[Device, str]:  # noqa: ANN401 - an opaque pointer
        uuid = str(self._api.call("amdsmi_get_gpu_device_uuid", handle))
        address = str(self._api.call("amdsmi_get_gpu_device_bdf", handle)).lower()
        asic = self._optional("amdsmi_get_gpu_asic_info", handle)
        part = number(self._optional("amdsmi_get_gpu_kfd_info", handle).get("current_partition_id"))
        part_id = "" if part is None else f"{part:.0f}"
        device = Device(
            uuid=f"{uuid}/{part_id}" if part else uuid,  # the first part keeps the board's own name
            index=position,
            kind=DeviceKind.GPU,
            vendor="amd",
            model=_text(asic.get("market_name")),
            pci_bus_id=address,
            numa_node=numa_node(Path(self._sys_root) / "bus/pci/devices" / address),
            architecture=_text(asic.get("target_graphics_version")),
        )
        return device, part_id

    def _optional(self, function: str, handle: Any) -> dict[str, Any]:  # noqa: ANN401 - an opaque pointer
        try:
            return dict(self._api.call(function, handle))
        except CallRefusedError:
            return {}


def _text(raw: object) -> str:
    return "" if raw in {None, "N/A"} else str(raw)
