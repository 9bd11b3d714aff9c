# ruff: noqa: N802 - the names are NVML's own
"""What the fake library says about processes, the NVLink fabric and GPM's totals; nothing unless a test says so."""

from __future__ import annotations

from dataclasses import dataclass, field
from functools import cached_property
from typing import NamedTuple

import pynvml


class FakeProcess(NamedTuple):
    pid: int
    memory: int  # bytes


class FakeUse(NamedTuple):
    pid: int
    stamp: int
    percent: int


@dataclass
class FakeFabric:
    state: int = pynvml.NVML_GPU_FABRIC_STATE_COMPLETED
    status: int = 0
    clique: int = 7
    mask: int = 0
    summary: int = pynvml.NVML_GPU_FABRIC_HEALTH_SUMMARY_HEALTHY
    oldest_only: bool = False  # the driver knows no structure but version 2
    cluster: bytes = field(default=bytes(range(16)))


class FamiliesMixin:
    """By GPU index."""

    @cached_property
    def listed(self) -> dict[int, list[FakeProcess]]:
        return {}

    @cached_property
    def garbled(self) -> set[str]:
        """Calls for the list of processes that answer with another structure than their version says, as 535 did."""
        return set()

    @cached_property
    def used(self) -> dict[int, list[FakeUse]]:
        return {}

    @cached_property
    def fabrics(self) -> dict[int, FakeFabric]:
        return {}

    @cached_property
    def gpm_totals(self) -> dict[int, tuple[float, bytes | None]]:
        """By id of the metric: value and unit. What is not here the driver does not support."""
        return {}

    def processes_of(self, name, gpu) -> list[FakeProcess]:
        listed = self.listed.get(gpu.index, [FakeProcess(1000 + slot, 0) for slot in range(gpu.processes)])
        if name in self.garbled:
            return [listed[0], *(FakeProcess(0, one.pid) for one in listed[1:])]
        return listed

    def _nvmlDeviceGetProcessUtilization(self, _name, gpu, out, count, last_seen) -> int:
        found = [one for one in self.used.get(gpu.index, []) if one.stamp > last_seen.value]
        if gpu.index not in self.used:
            return pynvml.NVML_ERROR_NOT_SUPPORTED
        if not found:
            return pynvml.NVML_ERROR_NOT_FOUND
        if out is None:
            count._obj.value = len(found)
            return pynvml.NVML_ERROR_INSUFFICIENT_SIZE
        for slot, one in zip(out, found, strict=False):
            slot.pid, slot.timeStamp, slot.smUtil, slot.memUtil = one.pid, one.stamp, one.percent, one.percent // 2
        count._obj.value = len(found)
        return 0

    def _nvmlDeviceGetGpuFabricInfoV(self, _name, gpu, out) -> int:
        fabric, raw = self.fabrics.get(gpu.index), out._obj
        if fabric is None:
            return pynvml.NVML_ERROR_NOT_SUPPORTED
        if fabric.oldest_only and raw.version != pynvml.nvmlGpuFabricInfo_v2:
            return pynvml.NVML_ERROR_ARGUMENT_VERSION_MISMATCH
        raw.clusterUuid[:] = fabric.cluster
        raw.state, raw.status, raw.cliqueId = fabric.state, fabric.status, fabric.clique
        raw.healthMask = fabric.mask
        if hasattr(raw, "healthSummary"):
            raw.healthSummary = fabric.summary
        return 0

    def gpm_total(self, slot) -> None:
        """Answer for one of GPM's cumulative metrics."""
        if slot.metricId not in self.gpm_totals:
            slot.nvmlReturn = pynvml.NVML_ERROR_NOT_SUPPORTED
            return
        slot.nvmlReturn = 0
        slot.value, unit = self.gpm_totals[slot.metricId]
        if unit is not None:  # a driver that has no word leaves what stands there
            slot.metricInfo.unit = unit
