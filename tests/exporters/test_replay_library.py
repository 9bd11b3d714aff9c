"""How a recording answers: in its order, each value of a batch for itself, and never with what was not recorded."""

from __future__ import annotations

import ctypes

import pynvml
import pytest

from tests.fakes.nvml_abi import FakeNvml, installed
from tests.fakes.nvml_profiles import H100
from tests.fakes.recorded import record_on
from warpgauge.core.catalog import Tier, device
from warpgauge.core.clock import ManualClock
from warpgauge.exporters.collectors.nvml import NvmlCollector
from warpgauge.exporters.recording import ReplayLibrary
from warpgauge.exporters.recording.batches import field_slots, gpm_slots
from warpgauge.exporters.recording.lines import Buffer, Call, Handle, Header, Text
from warpgauge.exporters.recording.storage import Recording

GPU = Call(seconds=0.0, function="nvmlDeviceGetHandleByIndex_v2", device=0, arguments=(0, Buffer(8, b"")), code=0,
           outputs={1: b"\x01"})  # fmt: skip


def power(seconds, milliwatts, code=0):
    outputs = {1: milliwatts.to_bytes(4, "little")}
    return Call(seconds=seconds, function="nvmlDeviceGetPowerUsage", device=0, arguments=(Handle(1), Buffer(4, b"")),
                code=code, outputs=outputs if code == 0 else {})  # fmt: skip


def library(*calls):
    return ReplayLibrary(Recording(Header(start=100.0), calls))


def handle():
    return pynvml.nvmlDeviceGetHandleByIndex(0)


def test_answers_come_in_their_order_and_the_last_one_stays():
    with installed(library(GPU, power(1.0, 100), power(2.0, 200), power(3.0, 0, pynvml.NVML_ERROR_UNKNOWN))):
        assert [pynvml.nvmlDeviceGetPowerUsage(handle()) for _ in range(2)] == [100, 200]
        for _ in range(3):
            with pytest.raises(pynvml.NVMLError_Unknown):
                pynvml.nvmlDeviceGetPowerUsage(handle())


def test_what_was_never_called_is_not_there():
    with installed(library(GPU, power(1.0, 100))):
        for ask in (pynvml.nvmlDeviceGetFanSpeed, pynvml.nvmlDeviceGetTemperature):
            with pytest.raises(pynvml.NVMLError_FunctionNotFound):
                ask(*((handle(),) if ask is pynvml.nvmlDeviceGetFanSpeed else (handle(), 0)))
        with pytest.raises(pynvml.NVMLError_FunctionNotFound):
            pynvml.nvmlDeviceGetHandleByIndex(1)


def test_a_symbol_that_the_library_lacked_is_not_there_either():
    missing = Call(seconds=0.0, function="nvmlDeviceGetTemperatureV", code=None)
    assert not hasattr(library(missing), "nvmlDeviceGetTemperatureV")


def test_the_clock_is_that_of_the_last_answer():
    replay = library(GPU, power(1.5, 100), power(2.5, 200))
    with installed(replay):
        pynvml.nvmlDeviceGetPowerUsage(handle())
        assert (replay.clock.monotonic(), replay.clock.now()) == (1.5, 101.5)


def test_texts_that_outputs_point_to_are_there_again():
    call = Call(seconds=0.0, function="nvmlX", arguments=(Buffer(24, b""),), code=0, texts=((0, 8, "percent"),),
                outputs={0: b""})  # fmt: skip
    replay = library(call)
    names = pynvml.c_metricInfo_t()
    assert replay.nvmlX(ctypes.byref(names)) == 0
    assert (names.longName, names.shortName) == (b"percent", None)


def test_a_list_that_a_struct_points_to_is_not_recorded_and_so_not_answered_with_zeros():
    kind = pynvml.c_nvmlEccSramUniqueUncorrectedErrorCounts_v1_t
    entries = (pynvml.c_nvmlEccSramUniqueUncorrectedErrorEntry_v1_t * 4)()
    counts = kind()
    buffer = Buffer(ctypes.sizeof(kind), bytes(counts).rstrip(b"\0"))
    call = Call(seconds=0.0, function="nvmlX", arguments=(buffer,), code=0, outputs={0: b"\x01"})
    assert library(call).nvmlX(ctypes.byref(counts)) == 0
    asking = kind()
    asking.entries = ctypes.cast(entries, type(asking.entries))
    assert library(call).nvmlX(ctypes.byref(asking)) == pynvml.NVML_ERROR_FUNCTION_NOT_FOUND
    assert asking.version == kind().version


def test_error_texts_are_the_drivers_own():
    call = Call(seconds=0.0, function="nvmlErrorString", arguments=(77, Text("Out of cheese")), code=0)
    with installed(library(call)):
        assert str(pynvml.NVMLError(77)) == "Out of cheese"


@pytest.fixture(scope="module")
def recording():
    fake = FakeNvml([H100])

    def pass_time(seconds):
        fake.seconds += seconds
        fake.gpus[0].gpm_percent = 10.0 + fake.seconds % 50

    return record_on(fake, seconds=3.0, all_ids=True, pass_time=pass_time).recording


def test_fields_are_answered_however_they_are_asked_for(recording):
    with installed(ReplayLibrary(recording)):
        wanted = [pynvml.NVML_FI_DEV_RETIRED_SBE, pynvml.NVML_FI_DEV_POWER_INSTANT, pynvml.NVML_FI_DEV_MEMORY_TEMP]
        retired, instant, memory = pynvml.nvmlDeviceGetFieldValues(handle(), wanted)
    assert retired.nvmlReturn == pynvml.NVML_ERROR_NOT_SUPPORTED
    assert (instant.nvmlReturn, instant.value.ullVal) == (0, 362_000)
    assert (memory.nvmlReturn, memory.value.ullVal) == (0, 58)


def test_a_field_that_only_the_dump_asked_for_is_answered_from_it(recording):
    with installed(ReplayLibrary(recording)):
        number = pynvml.NVML_FI_DEV_PERF_POLICY_POWER
        (value,) = pynvml.nvmlDeviceGetFieldValues(handle(), [number])
        assert (value.fieldId, value.nvmlReturn) == (number, 0)
        assert value.value.ullVal > 1e9


def test_a_field_that_nobody_asked_for_says_so_and_spares_the_others(recording):
    with installed(ReplayLibrary(recording)):
        unknown, memory = pynvml.nvmlDeviceGetFieldValues(handle(), [(9999, 0), pynvml.NVML_FI_DEV_MEMORY_TEMP])
    assert unknown.nvmlReturn == pynvml.NVML_ERROR_FUNCTION_NOT_FOUND
    assert memory.nvmlReturn == 0


def test_every_id_of_the_binding_was_asked_for_once(recording):
    fields = [call.arguments[2] for call in recording.calls if call.function == "nvmlDeviceGetFieldValues"]
    single = [int(field_slots(one.content, one.size)[0].fieldId) for one in fields if one.size == 40]
    assert set(single) == set(range(1, pynvml.NVML_FI_MAX))
    metrics = [call.arguments[0] for call in recording.calls if call.function == "nvmlGpmMetricsGet"]
    asked = [[int(slot.metricId) for slot in gpm_slots(one.content, one.size)] for one in metrics]
    assert {ids[0] for ids in asked if len(ids) == 1} == set(range(1, pynvml.NVML_GPM_METRIC_MAX))


def test_a_collector_with_a_clock_of_its_own_reads_a_recording(recording):
    clock = ManualClock()
    collector = NvmlCollector(clock=clock, sys_root="/nonexistent")
    with installed(ReplayLibrary(recording)):
        assert collector.check() is None
        (gpu,) = collector.devices()
        for _ in range(40):  # far more often than it was recorded
            samples, errors = collector.read(Tier.FAST, gpu)
            clock.advance(7.0)
    values = {(sample.metric, sample.labels[2:]): sample.value for sample in samples}
    assert values[device.POWER, ()] == 350.0
    assert (device.PIPE_ACTIVE, ("fp64",)) in values
    assert errors == []
