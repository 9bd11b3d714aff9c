"""What a device is, and where it stands."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum

__all__ = ["Device", "DeviceKind", "DeviceState"]


class DeviceKind(StrEnum):
    """What sort of device."""

    GPU = "gpu"
    TPU = "tpu"
    NPU = "npu"  # a Gaudi; as all-smi calls it
    CPU = "cpu"
    NIC = "nic"


class DeviceState(StrEnum):
    """What the agent knows about a device's health; exactly one holds at a time. From `lost` on it is a fault."""

    OK = "ok"
    DEGRADED = "degraded"  # answers, but reports a fault that limits it
    RELEASED = "released"  # given away on purpose, for driver work or a virtual machine
    DENIED = "denied"  # NVML_ERROR_NO_PERMISSION: the operating system or a container keeps us out
    LOST = "lost"  # NVML_ERROR_GPU_IS_LOST: fell off the bus
    NEEDS_RESET = "needs_reset"  # NVML_ERROR_RESET_REQUIRED
    HUNG = "hung"  # a driver call did not return within the deadline


@dataclass(frozen=True, slots=True, kw_only=True)
class Device:
    """One device; `uuid` identifies it for ever, `index` only until the next driver load."""

    uuid: str
    index: int
    kind: DeviceKind
    vendor: str
    model: str
    pci_bus_id: str = ""
    numa_node: int | None = None
    architecture: str = ""

    @property
    def labels(self) -> tuple[str, str]:
        """Identity label values `(uuid, index)` as they stand on every device series."""
        return (self.uuid, str(self.index))
