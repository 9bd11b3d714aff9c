# ruff: noqa: N802 - the names are NVML's own
"""The sample buffers of the fake library: rings of the driver's own rate and depth, that time alone fills.

A ring is a function of the time: nothing is stored, so any number of processes see the same one. As the real driver's,
it may give the last sample seen again, and neighbors in the wrong order.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING

import pynvml

from tests.fakes.nvml_abi_mig import UTILIZATION_SAMPLES

if TYPE_CHECKING:
    from collections.abc import Callable

    from tests.fakes.nvml_abi import FakeGpu

MICROSECONDS = 1_000_000
HOPPER_POWER = 20_000, 119  # period in microseconds, samples; as recorded on an H100 and an H200, driver 580.159
HOPPER_BUSY = 200_000, 71
USUAL_POWER = 100_000, 120
USUAL_BUSY = 166_667, 120
USUAL_MEMORY = 1_000_000, 120


@dataclass
class Ring:
    """One buffer: `value` is what the driver measured over the period that ended at a time, in its own unit."""

    value: Callable[[float], float]
    period_us: int
    depth: int = 120
    value_type: int = pynvml.NVML_VALUE_TYPE_UNSIGNED_INT
    stops_at: float | None = None  # seconds; the driver takes no samples after this
    starts_at: float = 0.0  # seconds; nor before this
    offset_us: int = 0  # of the driver's clock
    hiccups: bool = True  # every seventh sample stands before its predecessor, and the last one seen is given again

    def at(self, seconds: float, last_seen_us: int) -> list[tuple[int, float]]:
        """Stamps and values that the driver gives to one who saw a sample already."""
        end = seconds if self.stops_at is None else min(seconds, self.stops_at)
        newest = int(end * MICROSECONDS) // self.period_us
        oldest = max(1, newest - self.depth + 1, int(self.starts_at * MICROSECONDS) // self.period_us + 1)
        slots = [slot for slot in range(oldest, newest + 1) if slot * self.period_us + self.offset_us > last_seen_us]
        if slots and self.hiccups:
            slots = [slots[0] - 1, *slots] if slots[0] > oldest else slots
            for place, slot in enumerate(slots[1:], 1):
                if slot % 7 == 0:
                    slots[place - 1], slots[place] = slots[place], slots[place - 1]
        stamps = [slot * self.period_us for slot in slots]
        return [(stamp + self.offset_us, self.value(stamp / MICROSECONDS)) for stamp in stamps]


class SamplesMixin:
    """nvmlDeviceGetSamples; needs `seconds`, the time since the driver was loaded."""

    seconds: float

    @cached_property
    def ring_clock(self) -> Callable[[], float]:
        """What the rings take for the time: that of the fake, unless a test says otherwise."""
        return lambda: self.seconds

    @cached_property
    def rings(self) -> dict[tuple[int, int], Ring]:
        """By GPU index and sampling type; what is taken out is not supported."""
        return {}

    def ring(self, gpu: FakeGpu, kind: int) -> Ring | None:
        """The ring of a GPU, made when it is first asked for."""
        is_hopper = gpu.profile.has_gpm
        power, busy = (HOPPER_POWER, HOPPER_BUSY) if is_hopper else (USUAL_POWER, USUAL_BUSY)
        memory = HOPPER_BUSY if is_hopper else USUAL_MEMORY
        usual = {
            pynvml.NVML_TOTAL_POWER_SAMPLES: Ring(lambda _: gpu.power_mw, *power),
            pynvml.NVML_GPU_UTILIZATION_SAMPLES: Ring(lambda _: gpu.utilization, *busy),
            pynvml.NVML_MEMORY_UTILIZATION_SAMPLES: Ring(lambda _: gpu.utilization // 2, *memory),
            pynvml.NVML_DEC_UTILIZATION_SAMPLES: Ring(lambda _: 3, *busy),
        }
        if gpu.profile.has_encoder:
            usual[pynvml.NVML_ENC_UTILIZATION_SAMPLES] = Ring(lambda _: 7, *busy)
        return self.rings.setdefault((gpu.index, kind), usual.get(kind))

    def _nvmlDeviceGetSamples(self, _name, gpu, kind, last_seen, *outs) -> int:
        value_type, count, samples = outs
        ring = self.ring(gpu, int(kind.value))
        if ring is None or (any(gpu.parts) and int(kind.value) in UTILIZATION_SAMPLES):
            return pynvml.NVML_ERROR_NOT_SUPPORTED
        value_type._obj.value = ring.value_type
        found = ring.at(self.ring_clock(), int(last_seen.value))
        if not found:
            return pynvml.NVML_ERROR_NOT_FOUND
        if samples is None:
            count._obj.value = ring.depth + 1
            return 0
        if count._obj.value < len(found):
            return pynvml.NVML_ERROR_INSUFFICIENT_SIZE
        members = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
        for slot, (stamp, value) in zip(samples, found, strict=False):
            slot.timeStamp = stamp
            setattr(slot.sampleValue, members[ring.value_type], value if ring.value_type == 0 else int(value))
        count._obj.value = len(found)
        return 0
