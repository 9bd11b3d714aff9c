"""The NVLink fabric as a GPU sees it: whether it joined, which peers it can reach, and what is wrong with the way."""

from __future__ import annotations

from ctypes import byref
from typing import TYPE_CHECKING, Any, Final
from uuid import UUID

from warpgauge.core.catalog import Tier, link
from warpgauge.exporters.collectors.nvml_api import PYNVML, CallFailedError, constant

if TYPE_CHECKING:
    from collections.abc import Iterable

    from warpgauge.exporters.collectors.nvml_api import NvmlApi
    from warpgauge.exporters.collectors.nvml_getters import Reading

__all__ = ["FAULTS", "Fabric", "to_readings"]

_STRUCTURES: Final = ("c_nvmlGpuFabricInfo_v3_t", "c_nvmlGpuFabricInfo_v2_t")  # the newest first
_STATE: Final = "NVML_GPU_FABRIC_STATE_"
_SUMMARY: Final = "NVML_GPU_FABRIC_HEALTH_SUMMARY_"
_MASK: Final = "NVML_GPU_FABRIC_HEALTH_MASK_"

FAULTS: Final[tuple[tuple[str, str, str, str], ...]] = (
    ("degraded_bandwidth", "DEGRADED_BW", "TRUE", "FALSE"),
    ("route_recovery", "ROUTE_RECOVERY", "TRUE", "FALSE"),
    ("route_unhealthy", "ROUTE_UNHEALTHY", "TRUE", "FALSE"),
    ("access_timeout_recovery", "ACCESS_TIMEOUT_RECOVERY", "TRUE", "FALSE"),
    ("no_partition_assigned", "PARTITION_ASSIGNED", "FALSE", "TRUE"),
    ("manager_disconnected", "GFM_STATE", "DISCONNECTED", "CONNECTED"),
)
"""Fault, part of the driver's health mask, its word for yes and for no; anything else means it cannot tell."""

_MISCONFIGURED: Final = "INCORRECT_CONFIGURATION"  # the one part of the mask with more than yes and no


class Fabric:
    """What one GPU tells about the fabric it is in."""

    name = "fabric"
    tier = Tier.SLOW

    def __init__(self, api: NvmlApi, handle: Any) -> None:  # noqa: ANN401 - an opaque pointer
        self._api = api
        self._handle = handle
        self._structures = [name for name in _STRUCTURES if hasattr(api.nvml, name)]

    def read(self) -> Iterable[Reading]:
        """State, place and faults; nothing for a GPU that is in no fabric.

        Raises:
            CallFailedError: this driver does not tell, or does not answer.

        """
        while True:
            raw = getattr(self._api.nvml, self._structures[0])()
            try:
                self._api.call("nvmlDeviceGetGpuFabricInfoV", self._handle, byref(raw))
            except CallFailedError as failure:
                if failure.code != constant("NVML_ERROR_ARGUMENT_VERSION_MISMATCH") or len(self._structures) == 1:
                    raise
                del self._structures[0]  # a driver before this structure
            else:
                return to_readings(raw)


def to_readings(raw: Any) -> list[Reading]:  # noqa: ANN401 - nvmlGpuFabricInfo_v2_t or newer
    """The readings that a structure stands for; nvml.h: `status` means something once the state is completed."""
    state = _word(_STATE, link.FABRIC_STATE.states, int(raw.state))
    if state is None:
        return []
    is_registered = state == "completed" and int(raw.status) == constant("NVML_SUCCESS")
    readings: list[Reading] = [(link.FABRIC_STATE, (it,), float(it == state)) for it in link.FABRIC_STATE.states]
    readings.append((link.FABRIC_REGISTERED, (), float(is_registered)))
    if is_registered:
        cluster = str(UUID(bytes=bytes(raw.clusterUuid)))
        readings.append((link.FABRIC_INFO, (cluster, str(int(raw.cliqueId))), 1.0))
    return [*readings, *_faults(int(raw.healthMask)), *_summary(int(getattr(raw, "healthSummary", 0)))]


def _faults(mask: int) -> Iterable[Reading]:
    for fault, part, yes, no in FAULTS:
        number = _part(mask, part)
        answers = {constant(f"{_MASK}{part}_{yes}"): 1.0, constant(f"{_MASK}{part}_{no}"): 0.0}
        if number in answers:
            yield link.FABRIC_FAULT, (fault,), answers[number]
    number = _part(mask, _MISCONFIGURED)
    if number != constant(f"{_MASK}{_MISCONFIGURED}_NOT_SUPPORTED"):
        is_wrong = number != constant(f"{_MASK}{_MISCONFIGURED}_NONE")
        yield link.FABRIC_FAULT, (_MISCONFIGURED.lower(),), float(is_wrong)


def _part(mask: int, part: str) -> int:
    return mask >> constant(f"{_MASK}SHIFT_{part}") & constant(f"{_MASK}WIDTH_{part}")


def _summary(number: int) -> list[Reading]:
    health = _word(_SUMMARY, link.FABRIC_HEALTH.states, number)
    if health is None:
        return []
    return [(link.FABRIC_HEALTH, (it,), float(it == health)) for it in link.FABRIC_HEALTH.states]


def _word(prefix: str, words: tuple[str, ...], number: int) -> str | None:
    """Which of our words the driver's number stands for."""
    return next((word for word in words if getattr(PYNVML, f"{prefix}{word.upper()}") == number), None)
