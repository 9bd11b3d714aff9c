"""Which processes have one GPU open, for the attribution of devices to workloads; asked for only where that runs."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.catalog import Tier
from warpgauge.exporters.messages import MOST_HOLDERS

if TYPE_CHECKING:
    from collections.abc import Iterable

    from warpgauge.exporters.collectors.nvml_api import NvmlApi
    from warpgauge.exporters.collectors.nvml_getters import Reading

__all__ = ["Holders"]

_LARGEST_PID: Final = 1 << 22  # the kernel's PID_MAX_LIMIT
_MOST_INSTANCES: Final = 64  # a whole device has 0xFFFFFFFF, an older driver garbage


class Holders:
    """Lists the compute processes of one GPU; where a driver garbles the list, what cannot be a pid is left out."""

    name = "holders"
    tier = Tier.NORMAL

    def __init__(self, api: NvmlApi, handle: Any) -> None:  # noqa: ANN401 - an opaque pointer
        self._api = api
        self._handle = handle
        self.found: tuple[tuple[int, str], ...] | None = None
        """Pid and GPU instance of each, None where the driver does not tell."""

    def read(self) -> Iterable[Reading]:
        """Nothing for a page: the answer is in `found`.

        Raises:
            CallFailedError: this board lists no processes, or failed to now.

        """
        self.found = None
        raw = self._api.call("nvmlDeviceGetComputeRunningProcesses", self._handle)
        listed = {(int(one.pid), _instance(getattr(one, "gpuInstanceId", None))) for one in raw}
        self.found = tuple(sorted((pid, name) for pid, name in listed if 0 < pid <= _LARGEST_PID))[:MOST_HOLDERS]
        return ()


def _instance(number: Any) -> str:  # noqa: ANN401 - an integer from ctypes
    return str(int(number)) if number is not None and 0 <= int(number) < _MOST_INSTANCES else ""
