"""MIG: the parts that a GPU is cut into, and what they are called.

A board holds GPU instances, a GPU instance holds compute instances, and each of these is a "MIG device" with a handle
of its own. Handles die with their instance and may be given out again (nvml.h), and so may the numbers of instances.
"""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from warpgauge.exporters.collectors.nvml_api import CallFailedError, Verdict, constant

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warpgauge.exporters.collectors.nvml_api import NvmlApi

__all__ = ["STALE", "Layout", "Part", "profile_name"]

STALE: Final = {
    constant("NVML_ERROR_NOT_FOUND"),
    constant("NVML_ERROR_INVALID_ARGUMENT"),
    constant("NVML_ERROR_UNINITIALIZED"),
}
"""What the driver says at the place of an instance that is not there, and to its handle."""

_ENABLED: Final = constant("NVML_DEVICE_MIG_ENABLE")
_MOST_PARTS: Final = 64  # a bound on what a driver says; boards have 7 or fewer
_MEMORY_SLICES: Final = 8  # of every board with MIG
_GIB: Final = 1 << 30
_MIB: Final = 1 << 20


@dataclass(frozen=True, slots=True, kw_only=True)
class Part:
    """One MIG device: a compute instance of a GPU instance. Only the handle may differ between two looks."""

    handle: Any = field(compare=False)
    uuid: str
    gpu_instance: int
    compute_instance: int
    profile: str  # as `nvidia-smi -L` writes it: "3g.40gb", or "1c.3g.40gb" for a part of that


class Layout:
    """How one board is cut, asked anew each time."""

    def __init__(self, api: NvmlApi, board: Any) -> None:  # noqa: ANN401 - an opaque pointer
        self._api = api
        self._board = board

    def is_enabled(self) -> bool:
        """Whether the board is in MIG mode.

        Raises:
            CallFailedError: the board does not tell.

        """
        current, _ = self._api.call("nvmlDeviceGetMigMode", self._board)
        return int(current) == _ENABLED

    def parts(self) -> Iterator[Part]:
        """Every compute instance, by its place.

        Raises:
            CallFailedError: the board does not tell.

        """
        count = min(int(self._api.call("nvmlDeviceGetMaxMigDeviceCount", self._board)), _MOST_PARTS)
        for place in range(count):
            try:
                handle = self._api.call("nvmlDeviceGetMigDeviceHandleByIndex", self._board, place)
                part = self._part(handle)
            except CallFailedError as failure:
                if failure.code not in STALE:
                    raise
                continue  # a hole, or gone since: instances may lie anywhere
            yield part

    def _part(self, handle: Any) -> Part:  # noqa: ANN401 - an opaque pointer
        return Part(
            handle=handle,
            uuid=str(self._api.call("nvmlDeviceGetUUID", handle)),
            gpu_instance=int(self._api.call("nvmlDeviceGetGpuInstanceId", handle)),
            compute_instance=int(self._api.call("nvmlDeviceGetComputeInstanceId", handle)),
            profile=self._profile(handle),
        )

    def _profile(self, handle: Any) -> str:  # noqa: ANN401 - an opaque pointer
        """The driver's own word, which alone tells media extensions ("+me"); else what the attributes make up."""
        _, _, profile = self._name(handle).partition(" MIG ")
        if profile:
            return profile
        attributes = self._api.call("nvmlDeviceGetAttributes_v2", handle)
        return profile_name(attributes, int(self._api.call("nvmlDeviceGetMemoryInfo", self._board).total))

    def _name(self, handle: Any) -> str:  # noqa: ANN401 - an opaque pointer
        """Such as "NVIDIA H100 80GB HBM3 MIG 1g.10gb"; empty where the driver gives a part no name."""
        try:
            return str(self._api.call("nvmlDeviceGetName", handle))
        except CallFailedError as failure:
            if failure.verdict is not Verdict.UNSUPPORTED or failure.code in STALE:
                raise
            return ""


def profile_name(attributes: Any, board_bytes: int) -> str:  # noqa: ANN401 - nvmlDeviceAttributes_t
    """A MIG device's profile as NVIDIA writes it: slices, then memory rounded up to eighths of the board's, in GB.

    The rule is that of go-nvlib (pkg/nvlib/device/mig_profile.go): 1g.18gb on a board of 141 GiB.
    """
    eighths = math.ceil(int(attributes.memorySizeMB) * _MIB / board_bytes * _MEMORY_SLICES)
    gigabytes = math.floor(eighths * math.ceil(board_bytes / _GIB) / _MEMORY_SLICES + 0.5)
    whole = f"{int(attributes.gpuInstanceSliceCount)}g.{gigabytes}gb"
    compute = int(attributes.computeInstanceSliceCount)
    return whole if compute == int(attributes.gpuInstanceSliceCount) else f"{compute}c.{whole}"
