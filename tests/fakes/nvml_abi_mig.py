# ruff: noqa: N802, ARG002 - the names and signatures are NVML's own
"""MIG of the fake library: boards that are cut into instances, and cut otherwise while the test runs.

A layout is a text with one word for each GPU instance: `2:3g.40gb/1+2` is number 2, three slices, 40 GB, and in it two
compute instances of one and two slices; without the slash one takes all. `-` is a hole. "off" is a board without MIG.
"""

from __future__ import annotations

import ctypes
import re
from typing import TYPE_CHECKING

import pynvml

if TYPE_CHECKING:
    from tests.fakes.nvml_abi import FakeGpu

MIB = 1 << 20
PLACES = 7  # of every board with MIG
WORD = re.compile(r"(\d+):(\d)g\.(\d+)gb(?:/([\d+]+))?")
OF_A_PART = {
    "nvmlDeviceGetName",
    "nvmlDeviceGetUUID",
    "nvmlDeviceGetGpuInstanceId",
    "nvmlDeviceGetComputeInstanceId",
    "nvmlDeviceGetAttributes_v2",
    "nvmlDeviceGetMemoryInfo",
    "nvmlDeviceGetMemoryInfo_v2",
    "nvmlDeviceGetComputeRunningProcesses_v3",
    "nvmlDeviceGetComputeRunningProcesses_v2",
}
NOT_IN_MIG_MODE = {
    "nvmlDeviceGetUtilizationRates",
    "nvmlDeviceGetEncoderUtilization",
    "nvmlDeviceGetDecoderUtilization",
    "nvmlDeviceGetJpgUtilization",
    "nvmlDeviceGetOfaUtilization",
    "nvmlDeviceGetRemappedRows",
}
UTILIZATION_SAMPLES = {
    pynvml.NVML_GPU_UTILIZATION_SAMPLES,
    pynvml.NVML_MEMORY_UTILIZATION_SAMPLES,
    pynvml.NVML_ENC_UTILIZATION_SAMPLES,
    pynvml.NVML_DEC_UTILIZATION_SAMPLES,
}
NVLINK_RATES = {pynvml.NVML_GPM_METRIC_NVLINK_TOTAL_RX_PER_SEC, pynvml.NVML_GPM_METRIC_NVLINK_TOTAL_TX_PER_SEC}


class FakePart:
    """One MIG device: a compute instance. Its handle lives as long as it does."""

    def __init__(self, gpu: FakeGpu, number: int, compute: int, slices: tuple[int, int], gigabytes: int) -> None:
        self.gpu = gpu
        self.index = gpu.index  # faults of a board hit its parts as well
        self.profile = gpu.profile
        self.handle = pynvml.struct_c_nvmlDevice_t()
        self.number, self.compute = number, compute
        self.slices, self.compute_slices = slices
        self.gigabytes = gigabytes
        self.memory_total = gigabytes * 1008 * MIB  # a little less than the name says, as on real boards
        self.memory_used = gigabytes * 63 * MIB
        self.uuid = f"MIG-{gpu.index:08x}-{number:04x}-{compute:04x}-8000-000000000000"  # the same for the same numbers
        self.processes = 1 + compute
        self.gpm_percent = min(100.0, 10.0 + 5 * number)
        self.is_dead = False

    @property
    def memory(self) -> tuple[int, int]:
        """Bytes in all, and what the driver keeps of them."""
        return self.memory_total, 13 * MIB

    @property
    def name(self) -> str:
        """The profile as the driver writes it."""
        whole = f"{self.slices}g.{self.gigabytes}gb"
        return whole if self.slices == self.compute_slices else f"{self.compute_slices}c.{whole}"


def cut(gpu: FakeGpu, layout: str, *, reuse: bool = False) -> None:
    """Cut a board otherwise: all its parts die; new ones may get the handles of the dead."""
    for part in gpu.parts:
        if part is not None:
            part.is_dead = True
            gpu.dead_parts.append(part)
    gpu.layout, gpu.is_cut = layout, layout != "off"
    gpu.parts = [] if layout == "off" else [part for word in layout.split() for part in _parts(gpu, word)]
    for part in gpu.parts if reuse else ():
        if part is not None and gpu.dead_parts:
            part.handle = gpu.dead_parts.pop(0).handle


def _parts(gpu: FakeGpu, word: str) -> list[FakePart | None]:
    if word == "-":
        return [None]
    number, slices, gigabytes, computes = WORD.fullmatch(word).groups()
    each = [int(share) for share in (computes or slices).split("+")]
    return [
        FakePart(gpu, int(number), compute, (int(slices), share), int(gigabytes)) for compute, share in enumerate(each)
    ]


class MigMixin:
    """The calls that ask about parts, and what a part or a board with parts refuses."""

    dead_code = pynvml.NVML_ERROR_INVALID_ARGUMENT  # what a call on a dead handle answers

    def part_of(self, address: int) -> FakePart | None:
        """The part with a handle, dead or alive."""
        for gpu in self.gpus:
            for part in [*gpu.parts, *gpu.dead_parts]:
                if part is not None and ctypes.addressof(part.handle) == address:
                    return part
        return None

    def refusal(self, function: str, asked: object) -> int:
        """Return code of a call that MIG rules out."""
        if isinstance(asked, FakePart):
            if asked.is_dead:
                return self.dead_code
            return 0 if function in OF_A_PART else pynvml.NVML_ERROR_NOT_SUPPORTED
        is_cut = asked is not None and asked.is_cut
        return pynvml.NVML_ERROR_NOT_SUPPORTED if is_cut and function in NOT_IN_MIG_MODE else 0

    def gpm_code(self, metric: int, sample: object) -> int:
        """What is said of a GPM metric; MIG rules NVLink out (MIG user guide: no peer-to-peer)."""
        is_of_a_part = ctypes.addressof(sample.contents) in self.samples_of_parts
        return pynvml.NVML_ERROR_NOT_SUPPORTED if is_of_a_part and metric in NVLINK_RATES else 0

    def _nvmlDeviceGetMigMode(self, _name, gpu, current, pending) -> int:
        if not gpu.profile.has_mig:
            return pynvml.NVML_ERROR_NOT_SUPPORTED
        current._obj.value = pending._obj.value = int(gpu.is_cut)
        return 0

    def _nvmlDeviceGetMaxMigDeviceCount(self, _name, gpu, out) -> int:
        out._obj.value = PLACES
        return 0

    def _nvmlDeviceGetMigDeviceHandleByIndex(self, _name, gpu, place, out) -> int:
        part = gpu.parts[place.value] if place.value < len(gpu.parts) else None
        if part is None:
            return pynvml.NVML_ERROR_NOT_FOUND
        out._obj.contents = part.handle
        return 0

    def _nvmlDeviceGetGpuInstanceId(self, _name, part, out) -> int:
        out._obj.value = part.number
        return 0

    def _nvmlDeviceGetComputeInstanceId(self, _name, part, out) -> int:
        out._obj.value = part.compute
        return 0

    def _nvmlDeviceGetAttributes(self, _name, part, out) -> int:
        out._obj.gpuInstanceSliceCount, out._obj.computeInstanceSliceCount = part.slices, part.compute_slices
        out._obj.memorySizeMB = part.memory_total // MIB
        return 0

    def _nvmlGpmMigSampleGet(self, name, gpu, number, pointer) -> int:
        part = next((part for part in gpu.parts if part is not None and part.number == number), None)
        if part is None:
            return pynvml.NVML_ERROR_NOT_FOUND
        self.samples_of_parts.add(ctypes.addressof(pointer.contents))  # until it is freed
        return self._nvmlGpmSampleGet(name, part, pointer)
