# ruff: noqa: N802, N815, ARG002 - the names and signatures are NVML's own
"""A fake NVML below pynvml: the real pynvml code runs, only the shared library is ours.

pynvml looks functions up as attributes of `pynvml.nvmlLib` and passes `byref()` objects; a Python callable can write
through their `_obj`. Nothing of warpgauge is touched. Time is the fake's own: counters grow with it.
"""

from __future__ import annotations

import ctypes
import os
import re
import threading
from collections import defaultdict
from contextlib import contextmanager
from pathlib import Path
from queue import Empty, SimpleQueue
from typing import TYPE_CHECKING

import pynvml

from tests.fakes.nvml_abi_families import FamiliesMixin
from tests.fakes.nvml_abi_mig import FakePart, MigMixin, cut
from tests.fakes.nvml_abi_samples import SamplesMixin
from tests.fakes.nvml_profiles import H100, Profile

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

OK = 0
SIGNED = {pynvml.NVML_FI_DEV_TEMPERATURE_SHUTDOWN_TLIMIT, pynvml.NVML_FI_DEV_TEMPERATURE_SLOWDOWN_TLIMIT}
FIELD = {name: value for name, value in vars(pynvml).items() if name.startswith("NVML_FI_DEV_")}
KIB = 1024
EVENT_LOOK_SECONDS = 0.05  # between two looks whether something happened
ENGINES = {
    value for name, value in vars(pynvml).items() if re.fullmatch(r"NVML_GPM_METRIC_NV(DEC|ENC|JPG|OFA)_\d_UTIL", name)
}
NEVER = threading.Event()


class FakeGpu:
    """One board: what it is, and what it says now."""

    def __init__(self, index: int, profile: Profile) -> None:
        self.index = index
        self.profile = profile
        self.handle = pynvml.struct_c_nvmlDevice_t()
        self.uuid = f"GPU-{index:08x}-0000-4000-8000-00000000000{index % 10}"
        self.utilization = 40 + index
        self.memory_used = profile.memory_total // 4
        self.temperature = 50 + index
        self.power_mw = profile.power_limit_mw // 2
        self.reasons = 0
        self.processes = 2
        self.remapped = (0, 0, 0, 0)
        self.gpm_percent = 37.5
        self.recovery_action = 0
        self.fields: dict[int, tuple[int, int | float]] = {}  # id -> (value type, value), instead of the usual
        self.lacking: set[int] = set()  # ids of fields that this board does not support
        self.parts: list[FakePart | None] = []  # MIG devices by place
        self.dead_parts: list[FakePart] = []
        cut(self, profile.layout)

    @property
    def memory(self) -> tuple[int, int]:
        """Bytes in all, and what the driver keeps of them."""
        return self.profile.memory_total, self.profile.memory_reserved

    def field(self, number: int, scope: int, seconds: float) -> tuple[int, int, int | float]:
        """Return code, value type and value of one field."""
        if number in self.lacking:
            return pynvml.NVML_ERROR_NOT_SUPPORTED, pynvml.NVML_VALUE_TYPE_UNSIGNED_INT, 0
        if number in self.fields:
            return (OK, *self.fields[number])
        kind, value = self._usual(number, scope, seconds)
        if value is None:
            return pynvml.NVML_ERROR_NOT_SUPPORTED, kind, 0
        return OK, kind, value

    def _usual(self, number: int, scope: int, seconds: float) -> tuple[int, int | None]:
        profile = self.profile
        counter = pynvml.NVML_VALUE_TYPE_UNSIGNED_LONG_LONG
        links = 18 if scope == 0xFFFFFFFF else 1
        is_of_memory = scope == pynvml.NVML_POWER_SCOPE_MEMORY
        table = {
            "TOTAL_ENERGY_CONSUMPTION": (True, int(self.power_mw * seconds)),
            "MEMORY_TEMP": (profile.has_memory_temperature, self.temperature + 8),
            "PERF_POLICY_POWER": (True, int(seconds * 1e7)),
            "PERF_POLICY_THERMAL": (True, int(seconds * 2e6)),
            "PERF_POLICY_SYNC_BOOST": (True, 0),
            "PERF_POLICY_BOARD_LIMIT": (True, int(seconds * 3e6)),
            "PERF_POLICY_LOW_UTILIZATION": (True, int(seconds * 4e6)),
            "PERF_POLICY_RELIABILITY": (True, 0),
            "CLOCKS_EVENT_REASON_SW_THERM_SLOWDOWN": (profile.has_clock_event_counters, int(seconds * 1e6)),
            "CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN": (profile.has_clock_event_counters, 0),
            "CLOCKS_EVENT_REASON_HW_POWER_BRAKE_SLOWDOWN": (profile.has_clock_event_counters, 0),
            "PCIE_REPLAY_COUNTER": (True, 3),
            "PCIE_COUNT_TX_BYTES": (profile.has_pcie_counters, int(seconds * 1e6)),
            "PCIE_COUNT_RX_BYTES": (profile.has_pcie_counters, int(seconds * 2e6)),
            "NVLINK_THROUGHPUT_DATA_TX": (profile.has_nvlink, int(seconds * 1000) * links),
            "NVLINK_THROUGHPUT_DATA_RX": (profile.has_nvlink, int(seconds * 2000) * links),
            "ECC_SBE_VOL_TOTAL": (True, 1),
            "ECC_DBE_VOL_TOTAL": (True, 0),
            "ECC_SBE_AGG_TOTAL": (True, 12),
            "ECC_DBE_AGG_TOTAL": (True, 0),
            "ECC_SBE_AGG_DEV": (profile.has_row_remap, 11),
            "POWER_INSTANT": (profile.has_row_remap, self.power_mw + 12_000),
            "POWER_AVERAGE": (profile.has_gpm, self.power_mw // (5 if is_of_memory else 1)),
            "PERF_POLICY_TOTAL_BASE_CLOCKS": (True, int(seconds * 5e6)),
            "TEMPERATURE_SHUTDOWN_TLIMIT": (profile.has_gpm, -8),
            "TEMPERATURE_SLOWDOWN_TLIMIT": (profile.has_gpm, -2),
            "PCIE_COUNT_BAD_TLP": (profile.has_pcie_counters, 5),
            "RETIRED_SBE": (not profile.has_row_remap, 2),
            "RETIRED_PENDING": (not profile.has_row_remap, 0),
            "GET_GPU_RECOVERY_ACTION": (profile.has_gpm, self.recovery_action),
            "NVLINK_LINK_COUNT": (profile.has_nvlink, 18),
            "NVLINK_GET_STATE": (profile.has_nvlink, 2 if scope == 3 else 1),
            "NVLINK_GET_SPEED": (profile.has_nvlink, profile.link_speed_mb),
            "NVLINK_GET_VERSION": (profile.has_nvlink, profile.link_version),
            "NVLINK_ERROR_DL_REPLAY": (profile.has_nvlink and not profile.has_nvlink5, scope),
            "NVLINK_ERROR_DL_RECOVERY": (profile.has_nvlink and not profile.has_nvlink5, 0),
            "NVLINK_COUNT_RCV_ERRORS": (profile.has_nvlink5, 0),
            "NVLINK_COUNT_XMIT_DISCARDS": (profile.has_nvlink5, 0),
            "NVLINK_COUNT_LINK_RECOVERY_SUCCESSFUL_EVENTS": (profile.has_nvlink5, scope),
            "NVLINK_COUNT_LINK_RECOVERY_FAILED_EVENTS": (profile.has_nvlink5, 0),
            "NVLINK_COUNT_EFFECTIVE_ERRORS": (profile.has_nvlink5, 0),
            "NVLINK_COUNT_SYMBOL_ERRORS": (profile.has_nvlink5, 7),
        }
        if number in SIGNED:
            counter = pynvml.NVML_VALUE_TYPE_SIGNED_INT
        for name, (is_there, value) in table.items():
            if FIELD[f"NVML_FI_DEV_{name}"] == number:
                return counter, value if is_there else None
        return counter, None


class FakeNvml(SamplesMixin, FamiliesMixin, MigMixin):
    """The library: attributes are its functions, as `ctypes.CDLL` would have them."""

    def __init__(self, profiles: Sequence[Profile] = (H100, H100)) -> None:
        self.gpus = [FakeGpu(index, profile) for index, profile in enumerate(profiles)]
        self.seconds = 1000.0  # since the driver was loaded
        self.missing = {name for profile in profiles for name in profile.missing}
        self.calls: dict[str, int] = defaultdict(int)
        self.before_call: Callable[[str, FakeGpu | None], int] = lambda _function, _gpu: OK
        self._faults: list[list[object]] = []
        self._samples: dict[int, tuple[object, float]] = {}
        self.events: SimpleQueue[tuple[int, int, int]] = SimpleQueue()
        self.registered: dict[int, int] = {}  # GPU -> mask of event types
        self.find_events: Callable[[], None] = lambda: None
        self.gpm_codes: dict[int, int] = {}  # GPM metric -> return code
        self.gpm_unknown: set[int] = (
            set()
        )  # GPM metrics of which it says 0, success and no name; if any, it names others
        self.engines: dict[int, float] = {}  # GPM metric of an engine -> percent; 0 unless a test says so
        self.samples_of_parts: set[int] = set()  # addresses of GPM samples
        self.listing: Callable[[], Sequence[FakeGpu]] = lambda: self.gpus  # by index
        self.on_shutdown: Callable[[], None] = lambda: None

    def fail(self, code: int, *, function: str | None = None, gpu: int | None = None, times: int = 1 << 30) -> None:
        """From now on the function (any if None) on the GPU (any if None) returns the code, that many times."""
        self._faults.append([code, function, gpu, times])

    def heal(self) -> None:
        """End every fault."""
        self._faults.clear()

    def __getattr__(self, function: str) -> Callable[..., int]:
        if not function.startswith("nvml"):
            raise AttributeError(function)
        answer = getattr(type(self), f"_{function.removesuffix('_v2').removesuffix('_v3')}", None)
        if answer is None or function in self.missing:
            raise AttributeError(function)

        def call(*arguments: object) -> int:
            self.calls[function] += 1
            gpu = self._gpu_of(arguments)
            code = self.before_call(function, gpu) or self._fault(function, gpu) or self.refusal(function, gpu)
            return code or int(answer(self, function, *(gpu if gpu and i == 0 else a for i, a in enumerate(arguments))))

        return call

    def _gpu_of(self, arguments: Sequence[object]) -> FakeGpu | FakePart | None:
        first = arguments[0] if arguments else None
        if not isinstance(first, pynvml.c_nvmlDevice_t):
            return None
        address = ctypes.addressof(first.contents)
        return next((gpu for gpu in self.gpus if ctypes.addressof(gpu.handle) == address), None) or self.part_of(
            address
        )

    def _fault(self, function: str, gpu: FakeGpu | None) -> int:
        for fault in self._faults:
            code, wanted, index, times = fault
            is_meant = wanted in (None, function) and (index is None or (gpu is not None and gpu.index == index))
            if is_meant and times:
                fault[3] = times - 1
                return code
        return OK

    # ---- the session

    def _nvmlInitWithFlags(self, _name, _flags) -> int:
        return OK

    def _nvmlShutdown(self, _name) -> int:
        self.on_shutdown()
        return OK

    def _nvmlErrorString(self, _name, _code):
        return 0

    def _nvmlSystemGetDriverVersion(self, _name, text, _size) -> int:
        text.value = b"580.65.06"
        return OK

    def _nvmlSystemGetNVMLVersion(self, _name, text, _size) -> int:
        text.value = b"13.580.65.06"
        return OK

    def _nvmlSystemGetCudaDriverVersion(self, _name, version) -> int:
        version._obj.value = 13000
        return OK

    def _nvmlDeviceGetCount(self, _name, count) -> int:
        count._obj.value = len(self.listing())
        return OK

    def _nvmlDeviceGetHandleByIndex(self, name, index, handle) -> int:
        position = int(getattr(index, "value", index))
        listing = self.listing()
        if position >= len(listing):
            return pynvml.NVML_ERROR_INVALID_ARGUMENT
        gpu = listing[position]
        code = self.before_call(name, gpu) or self._fault(name, gpu)
        handle._obj.contents = gpu.handle
        return code

    # ---- identity

    def _nvmlDeviceGetName(self, _name, gpu, text, _size) -> int:
        suffix = f" MIG {gpu.name}" if isinstance(gpu, FakePart) else ""
        text.value = f"{gpu.profile.name}{suffix}".encode()
        return OK

    def _nvmlDeviceGetUUID(self, _name, gpu, text, _size) -> int:
        text.value = gpu.uuid.encode()
        return OK

    def _nvmlDeviceGetPciInfo(self, _name, gpu, info) -> int:
        info._obj.domain, info._obj.bus, info._obj.device = 0, 0x1B + gpu.index, 0
        return OK

    def _nvmlDeviceGetArchitecture(self, _name, gpu, out) -> int:
        out._obj.value = getattr(pynvml, f"NVML_DEVICE_ARCH_{gpu.profile.architecture}")
        return OK

    # ---- readings

    def _nvmlDeviceGetUtilizationRates(self, _name, gpu, out) -> int:
        out._obj.gpu, out._obj.memory = gpu.utilization, gpu.utilization // 2
        return OK

    def _nvmlDeviceGetEncoderUtilization(self, _name, gpu, value, period) -> int:
        if not gpu.profile.has_encoder:
            return pynvml.NVML_ERROR_NOT_SUPPORTED
        value._obj.value, period._obj.value = 7, 167000
        return OK

    def _nvmlDeviceGetDecoderUtilization(self, _name, gpu, value, period) -> int:
        value._obj.value, period._obj.value = 3, 167000
        return OK

    def _nvmlDeviceGetJpgUtilization(self, _name, gpu, value, period) -> int:
        value._obj.value, period._obj.value = 1, 167000
        return OK

    def _nvmlDeviceGetOfaUtilization(self, _name, gpu, value, period) -> int:
        value._obj.value, period._obj.value = 2, 167000
        return OK

    def _nvmlDeviceGetMarginTemperature(self, _name, gpu, out) -> int:
        if not gpu.profile.has_gpm:
            return pynvml.NVML_ERROR_NOT_SUPPORTED
        out._obj.marginTemperature = gpu.profile.limits_c["SLOWDOWN"] - gpu.temperature
        return OK

    def _nvmlDeviceGetRowRemapperHistogram(self, _name, gpu, out) -> int:
        if not gpu.profile.has_row_remap:
            return pynvml.NVML_ERROR_NOT_SUPPORTED
        banks = out._obj
        banks.max, banks.high, banks.partial, banks.low, banks.none = 638, 2, 0, 0, 0
        return OK

    def _nvmlDeviceGetMemoryErrorCounter(self, _name, gpu, severity, persistence, location, out) -> int:
        if not gpu.profile.has_row_remap:
            return pynvml.NVML_ERROR_NOT_SUPPORTED
        in_memory = location.value == pynvml.NVML_MEMORY_LOCATION_DEVICE_MEMORY
        out._obj.value = 10 * (severity.value + in_memory) + persistence.value
        return OK

    def _nvmlDeviceGetPersistenceMode(self, _name, _gpu, out) -> int:
        out._obj.value = 1
        return OK

    def _nvmlDeviceGetComputeMode(self, _name, _gpu, out) -> int:
        out._obj.value = pynvml.NVML_COMPUTEMODE_EXCLUSIVE_PROCESS
        return OK

    def _nvmlDeviceGetEccMode(self, _name, gpu, current, pending) -> int:
        current._obj.value, pending._obj.value = 1, 0
        return OK

    def _nvmlDeviceGetVbiosVersion(self, _name, _gpu, text, _size) -> int:
        text.value = b"96.00.74.00.01"
        return OK

    def _nvmlDeviceGetMemoryInfo(self, name, gpu, out) -> int:
        memory, (total, reserved) = out._obj, gpu.memory
        memory.total, memory.free = total, total - reserved - gpu.memory_used
        if name.endswith("_v2"):
            memory.reserved, memory.used = reserved, gpu.memory_used
        else:
            memory.used = gpu.memory_used + reserved
        return OK

    def _nvmlDeviceGetPowerUsage(self, _name, gpu, out) -> int:
        out._obj.value = gpu.power_mw
        return OK

    def _nvmlDeviceGetTemperatureV(self, _name, gpu, out) -> int:
        out._obj.temperature = gpu.temperature
        return OK

    def _nvmlDeviceGetTemperature(self, _name, gpu, _sensor, out) -> int:
        out._obj.value = gpu.temperature
        return OK

    def _nvmlDeviceGetTemperatureThreshold(self, _name, gpu, kind, out) -> int:
        number = int(getattr(kind, "value", kind))
        for suffix, limit in gpu.profile.limits_c.items():
            if getattr(pynvml, f"NVML_TEMPERATURE_THRESHOLD_{suffix}") == number:
                out._obj.value = limit
                return OK
        return pynvml.NVML_ERROR_NOT_SUPPORTED

    def _nvmlDeviceGetClockInfo(self, _name, gpu, kind, out) -> int:
        return self._clock(gpu, kind, out, 0.9)

    def _nvmlDeviceGetMaxClockInfo(self, _name, gpu, kind, out) -> int:
        return self._clock(gpu, kind, out, 1.0)

    def _clock(self, gpu, kind, out, share) -> int:
        number = int(getattr(kind, "value", kind))
        suffix = {getattr(pynvml, f"NVML_CLOCK_{suffix}"): suffix for suffix in gpu.profile.clocks_mhz}[number]
        out._obj.value = int(gpu.profile.clocks_mhz[suffix] * share)
        return OK

    def _nvmlDeviceGetCurrentClocksEventReasons(self, _name, gpu, out) -> int:
        out._obj.value = gpu.reasons
        return OK

    _nvmlDeviceGetCurrentClocksThrottleReasons = _nvmlDeviceGetCurrentClocksEventReasons

    def _nvmlDeviceGetEnforcedPowerLimit(self, _name, gpu, out) -> int:
        out._obj.value = gpu.profile.power_limit_mw
        return OK

    _nvmlDeviceGetPowerManagementDefaultLimit = _nvmlDeviceGetEnforcedPowerLimit

    def _nvmlDeviceGetPowerManagementLimitConstraints(self, _name, gpu, low, high) -> int:
        low._obj.value, high._obj.value = gpu.profile.power_limit_mw // 4, gpu.profile.power_limit_mw
        return OK

    def _nvmlDeviceGetNumFans(self, _name, gpu, out) -> int:
        out._obj.value = gpu.profile.fans
        return OK if gpu.profile.fans else pynvml.NVML_ERROR_NOT_SUPPORTED

    def _nvmlDeviceGetFanSpeed(self, _name, gpu, fan, out) -> int:
        out._obj.value = 30 + 80 * int(fan)  # the second fan is intended to pass 100 %
        return OK

    def _nvmlDeviceGetCurrPcieLinkGeneration(self, _name, gpu, out) -> int:
        out._obj.value = gpu.profile.pcie_generation
        return OK

    _nvmlDeviceGetMaxPcieLinkGeneration = _nvmlDeviceGetCurrPcieLinkGeneration

    def _nvmlDeviceGetCurrPcieLinkWidth(self, _name, _gpu, out) -> int:
        out._obj.value = 16
        return OK

    _nvmlDeviceGetMaxPcieLinkWidth = _nvmlDeviceGetCurrPcieLinkWidth

    def _nvmlDeviceGetRemappedRows(self, _name, gpu, *outs) -> int:
        if not gpu.profile.has_row_remap:
            return pynvml.NVML_ERROR_NOT_SUPPORTED
        for out, value in zip(outs, gpu.remapped, strict=True):
            out._obj.value = value
        return OK

    def _nvmlDeviceGetComputeRunningProcesses(self, name, gpu, count, infos) -> int:
        room, listed = count._obj.value, self.processes_of(name, gpu)
        count._obj.value = len(listed)
        if room < len(listed):
            return pynvml.NVML_ERROR_INSUFFICIENT_SIZE
        for slot, one in enumerate(listed):
            infos[slot].pid, infos[slot].usedGpuMemory = one
        return OK

    def _nvmlDeviceGetFieldValues(self, _name, gpu, count, values) -> int:
        members = ("dVal", "uiVal", "ulVal", "ullVal", "sllVal", "siVal", "usVal")
        for slot in values._obj[: int(count.value)]:
            slot.nvmlReturn, slot.valueType, number = gpu.field(slot.fieldId, slot.scopeId, self.seconds)
            setattr(slot.value, members[slot.valueType], number)
        return OK

    # ---- GPM

    def _nvmlGpmQueryDeviceSupport(self, _name, gpu, out) -> int:
        out._obj.isSupportedDevice = int(gpu.profile.has_gpm)
        return OK

    def _nvmlGpmSampleAlloc(self, _name, out) -> int:
        sample = pynvml.struct_c_nvmlGpmSample_t()
        self._samples[ctypes.addressof(sample)] = (sample, 0.0)
        out._obj.contents = sample
        return OK

    def _nvmlGpmSampleGet(self, _name, gpu, pointer) -> int:
        address = ctypes.addressof(pointer.contents)
        self._samples[address] = (self._samples[address][0], gpu.gpm_percent)
        return OK

    def _nvmlGpmSampleFree(self, _name, pointer) -> int:
        del self._samples[ctypes.addressof(pointer.contents)]
        self.samples_of_parts.discard(ctypes.addressof(pointer.contents))
        return OK

    def _nvmlGpmMetricsGet(self, _name, out) -> int:
        question = out._obj
        percent = [
            self._samples[ctypes.addressof(sample.contents)][1] for sample in (question.sample1, question.sample2)
        ]
        for slot in question.metrics[: question.numMetrics]:
            if slot.metricId >= pynvml.NVML_GPM_METRIC_SM_CYCLES_ELAPSED:
                self.gpm_total(slot)
                continue
            code = self.gpm_codes.get(slot.metricId, OK) or self.gpm_code(slot.metricId, question.sample2)
            slot.nvmlReturn, slot.value = code, sum(percent) / 2
            if slot.metricId in ENGINES:
                slot.value = self.engines.get(slot.metricId, 0.0)
            if slot.metricId in self.gpm_unknown:
                slot.value = 0.0
            elif self.gpm_unknown:
                slot.metricInfo.shortName = b"known"
        return OK

    # ---- events

    def announce(self, gpu: int, kind: int, data: int) -> None:
        """Let something happen to a GPU, for whoever waits or will wait."""
        self.events.put((gpu, kind, data))

    def _nvmlEventSetCreate(self, _name, out) -> int:
        out._obj.contents = pynvml.struct_c_nvmlEventSet_t()
        return OK

    def _nvmlEventSetFree(self, _name, _set) -> int:
        return OK

    def _nvmlDeviceGetSupportedEventTypes(self, _name, _gpu, out) -> int:
        out._obj.value = pynvml.nvmlEventTypeAll
        return OK

    def _nvmlDeviceRegisterEvents(self, _name, gpu, mask, _set) -> int:
        self.registered[gpu.index] = int(mask.value)
        return OK

    def _nvmlEventSetWait(self, _name, _set, out, timeout) -> int:
        try:
            gpu, kind, data = self._next_event(timeout.value / 1000)
        except Empty:
            return pynvml.NVML_ERROR_TIMEOUT
        if not self.registered.get(gpu, 0) & kind:
            return pynvml.NVML_ERROR_TIMEOUT
        out._obj.device = ctypes.pointer(self.gpus[gpu].handle)
        out._obj.eventType, out._obj.eventData = kind, data
        return OK

    def _next_event(self, seconds: float):
        """Told soon after it happens, as the driver's own."""
        left = seconds
        while True:
            self.find_events()
            try:
                return self.events.get(timeout=min(left, EVENT_LOOK_SECONDS))
            except Empty:
                left -= EVENT_LOOK_SECONDS
                if left <= 0.0:
                    raise

    def percent_at(self, sample) -> float:
        """What the GPU was doing when a GPM sample was taken."""
        return self._samples[ctypes.addressof(sample.contents)][1]

    @property
    def open_samples(self) -> int:
        """GPM samples that were allocated and not freed."""
        return len(self._samples)


@contextmanager
def installed(fake: FakeNvml) -> Iterator[None]:
    """Let pynvml use the fake library within the block."""
    before = pynvml.nvmlLib
    pynvml.nvmlLib = fake
    pynvml._nvmlGetFunctionPointer_cache.clear()
    try:
        yield
    finally:
        pynvml.nvmlLib = before
        pynvml._nvmlGetFunctionPointer_cache.clear()


def _obey_layout(gpu: FakeGpu, faults: Sequence[Sequence[str]]) -> None:
    wanted = [
        " ".join(layout)
        for word, *rest in faults
        if word == "mig"
        for index, *layout in [rest]
        if int(index) == gpu.index
    ]
    if gpu.layout != (wanted or [gpu.profile.layout])[-1]:
        cut(gpu, (wanted or [gpu.profile.layout])[-1])


def obey_script(fake: FakeNvml, path: str) -> None:
    """Read faults from a file before each call: one a line, `hang 2`, `lost 3`, `reset 1`, `crash 4`, `hang all`.

    `mig 0 3:3g.40gb/1+2 9:1g.10gb` cuts GPU 0 like that as long as the line stands, `mig 0 off` not at all.
    `xid 79 3 once` announces XID 79 of GPU 3, each distinct line one time.
    `code 4 2` returns code 4 for GPU 2, `gone 1` takes GPU 1 from the list, `new` adds one, `reversed` turns the order
    of indices round, `mig 1` switches MIG on without an instance. `unloaded`, `mismatch` and `code 18` are about the
    driver as a whole.
    `lock` makes every call hang, the driver's own too. Replace the file, do not write into it. Each shutdown leaves a
    line in `path`.shutdown.
    """
    regular, spare = tuple(fake.gpus), FakeGpu(len(fake.gpus), fake.gpus[-1].profile)
    fake.gpus.append(spare)
    seen: set[str] = set()

    def said() -> list[list[str]]:
        return [line.split() for line in Path(path).read_text(encoding="ascii").splitlines()]

    def listing() -> list[FakeGpu]:
        faults = said()
        gpus = [gpu for gpu in regular if ["gone", str(gpu.index)] not in faults]
        gpus += [spare] if ["new"] in faults else []
        return gpus[::-1] if ["reversed"] in faults else gpus

    def on_shutdown() -> None:
        with Path(f"{path}.shutdown").open("a", encoding="ascii") as trace:
            trace.write(f"{os.getpid()}\n")

    def find_events() -> None:
        for word, *rest in said():
            line = " ".join(rest)
            if word == "xid" and line not in seen:
                seen.add(line)
                fake.announce(int(rest[1]), pynvml.nvmlEventTypeXidCriticalError, int(rest[0]))

    fake.listing = listing
    fake.on_shutdown = on_shutdown
    fake.before_call = lambda _function, gpu: _suffer(said(), gpu)
    fake.find_events = find_events


_CODES = {
    "lost": pynvml.NVML_ERROR_GPU_IS_LOST,
    "gone": pynvml.NVML_ERROR_GPU_IS_LOST,
    "reset": pynvml.NVML_ERROR_RESET_REQUIRED,
    "unloaded": pynvml.NVML_ERROR_DRIVER_NOT_LOADED,
    "mismatch": pynvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH,
}


def _suffer(faults: list[list[str]], gpu: FakeGpu | None) -> int:
    """What a script does to a call about a GPU, or about none."""
    if isinstance(gpu, FakeGpu):
        _obey_layout(gpu, faults)
    for word, *place in faults:
        if word == "code" and (len(place) == 1 or (gpu is not None and place[1] == str(gpu.index))):
            return int(place[0])
        is_here = gpu is not None and place in ([str(gpu.index)], ["all"])
        if (word == "hang" and is_here) or word == "lock":
            NEVER.wait()
        if word == "crash" and is_here:
            ctypes.string_at(0)  # a true one: SIGSEGV in this thread, inside the call
        if word in _CODES and (is_here or not place):
            return _CODES[word]
    return OK
