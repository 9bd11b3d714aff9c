"""The return-code policy, code by code: what each of NVML's codes costs, and for how long."""

from __future__ import annotations

import pynvml
import pytest

from tests.fakes.nvml_abi import FakeNvml, installed
from warpgauge.core.catalog import Tier, device
from warpgauge.core.clock import ManualClock
from warpgauge.exporters.collectors.collector import DeviceRefusedError, DriverError
from warpgauge.exporters.collectors.nvml import NvmlCollector

CALL = "nvmlDeviceGetPowerUsage"
UNSUPPORTED = ("NOT_SUPPORTED", "FUNCTION_NOT_FOUND", "DEPRECATED", "ARGUMENT_VERSION_MISMATCH", "INVALID_ARGUMENT")
EMPTY = ("NOT_FOUND", "NO_DATA", "TIMEOUT")
TRANSIENT = ("NOT_READY", "IN_USE", "MEMORY", "INSUFFICIENT_RESOURCES", "UNKNOWN")
GONE = {"GPU_IS_LOST": "lost", "RESET_REQUIRED": "needs_reset"}
SESSION_OVER = {
    "UNINITIALIZED": "uninitialized",
    "DRIVER_NOT_LOADED": "driver_not_loaded",
    "LIB_RM_VERSION_MISMATCH": "library_mismatch",
    "GPU_NOT_FOUND": "gpu_not_found",
    "OPERATING_SYSTEM": "operating_system",
}
AT_INIT = {**SESSION_OVER, "UNKNOWN": "unknown", "NO_PERMISSION": "permission", "IRQ_ISSUE": "driver"}


def code(name):
    return getattr(pynvml, f"NVML_ERROR_{name}")


class Bench:
    def __init__(self):
        self.fake = FakeNvml()
        self.collector = NvmlCollector(clock=ManualClock(), sys_root="/nonexistent")

    def open(self):
        assert self.collector.check() is None
        return self.collector.devices()[0]

    def read(self, gpu):
        """Whether there is a power reading, and the reasons of errors."""
        samples, errors = self.collector.read(Tier.FAST, gpu)
        return any(sample.metric is device.POWER for sample in samples), [error.reason for error in errors]

    def fail(self, name, function=CALL, times=1):
        """Until `times` calls have failed."""
        self.fake.heal()
        self.fake.fail(code(name), function=function, times=times)


@pytest.fixture
def bench():
    made = Bench()
    with installed(made.fake):
        yield made


@pytest.fixture
def gpu(bench):
    opened = bench.open()
    bench.read(opened)
    return opened


@pytest.mark.parametrize("name", UNSUPPORTED)
def test_what_is_not_supported_is_said_once_and_not_asked_again_until_the_next_session(bench, gpu, name):
    bench.fail(name)
    assert bench.read(gpu) == (False, ["unsupported"])
    calls = bench.fake.calls[CALL]
    assert bench.read(gpu) == (False, [])
    assert bench.fake.calls[CALL] == calls
    again = NvmlCollector(clock=ManualClock(), sys_root="/nonexistent")
    assert again.check() is None
    samples, _ = again.read(Tier.FAST, again.devices()[0])
    assert any(sample.metric is device.POWER for sample in samples)


def test_what_is_not_permitted_is_left_out_with_the_reason_and_asked_again(bench, gpu):
    bench.fail("NO_PERMISSION")
    assert bench.read(gpu) == (False, ["permission"])
    assert bench.read(gpu) == (True, [])


@pytest.mark.parametrize("name", EMPTY)
def test_an_empty_answer_is_no_error(bench, gpu, name):
    bench.fail(name)
    assert bench.read(gpu) == (False, [])
    assert bench.read(gpu) == (True, [])


def test_a_result_that_outgrew_its_buffer_is_asked_for_once_more_at_once(bench, gpu):
    bench.fail("INSUFFICIENT_SIZE", times=1)
    assert bench.read(gpu) == (True, [])
    bench.fail("INSUFFICIENT_SIZE", times=2)
    assert bench.read(gpu) == (False, ["busy"])


@pytest.mark.parametrize("name", TRANSIENT)
def test_a_passing_error_costs_one_reading(bench, gpu, name):
    bench.fail(name)
    assert bench.read(gpu) == (False, ["busy"])
    assert bench.read(gpu) == (True, [])


@pytest.mark.parametrize(("name", "reason"), GONE.items())
def test_a_device_that_is_gone_gives_nothing_but_its_reason(bench, gpu, name, reason):
    bench.fail(name)
    assert bench.collector.read(Tier.FAST, gpu)[0] == []
    bench.fail(name)
    assert bench.read(gpu) == (False, [reason])


@pytest.mark.parametrize(("name", "reason"), SESSION_OVER.items())
def test_a_session_that_is_over_is_over_for_every_device(bench, gpu, name, reason):
    bench.fail(name)
    with pytest.raises(DriverError) as caught:
        bench.read(gpu)
    assert (caught.value.reason, isinstance(caught.value, DeviceRefusedError)) == (reason, False)


@pytest.mark.parametrize(("name", "reason"), AT_INIT.items())
def test_whatever_fails_at_init_is_the_driver_and_named(bench, name, reason):
    bench.fail(name, function="nvmlInitWithFlags")
    with pytest.raises(DriverError) as caught:
        bench.collector.check()
    assert caught.value.reason == reason


@pytest.mark.parametrize(
    ("name", "reason"),
    [*GONE.items(), ("NO_PERMISSION", "permission"), ("NOT_READY", "busy"), ("INVALID_ARGUMENT", "unsupported")],
)
def test_a_device_that_cannot_be_opened_is_refused_with_the_reason_and_the_others_are_read(bench, name, reason):
    assert bench.collector.check() is None
    bench.fail(name, function="nvmlDeviceGetHandleByIndex_v2")
    with pytest.raises(DeviceRefusedError) as caught:
        bench.collector.identify(0)
    assert caught.value.reason == reason
    assert bench.collector.identify(1).index == 1


@pytest.mark.parametrize("name", SESSION_OVER)
def test_a_session_that_ends_while_a_device_is_opened_is_no_refusal(bench, name):
    assert bench.collector.check() is None
    bench.fail(name, function="nvmlDeviceGetHandleByIndex_v2")
    with pytest.raises(DriverError) as caught:
        bench.collector.identify(0)
    assert not isinstance(caught.value, DeviceRefusedError)


@pytest.mark.parametrize("name", ["GPU_IS_LOST", "UNKNOWN", "UNINITIALIZED"])
def test_the_session_is_shut_down_whatever_else_cannot_be_given_back(bench, name):
    bench.open()
    bench.collector.wait_for_events()
    bench.fail(name, function="nvmlEventSetFree")
    bench.collector.close()
    assert bench.fake.calls["nvmlShutdown"] == 1
