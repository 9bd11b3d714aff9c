"""What is read each second is asked of the library itself, and says what pynvml would."""

from __future__ import annotations

import pynvml
import pytest

from tests.fakes.nvml_abi import FakeNvml, installed
from warpgauge.core.clock import ManualClock
from warpgauge.exporters.calls import CallTimes
from warpgauge.exporters.collectors.nvml_answers import Answer, Asking
from warpgauge.exporters.collectors.nvml_api import CallFailedError, NvmlApi, Verdict
from warpgauge.exporters.collectors.nvml_getters import GETTERS

ASKED = [getter for one in GETTERS for getter in (one, one.instead) if getter is not None and getter.answer is not None]


class Bench:
    def __init__(self):
        self.fake = FakeNvml()
        self.calls = CallTimes()
        self.api = NvmlApi(pynvml, self.calls, ManualClock())

    def open(self):
        self.api.call("nvmlInit")
        return self.api.call("nvmlDeviceGetHandleByIndex", 0)

    def asking(self, getter):
        return Asking(self.api, self.open(), getter.function, getter.answer)


@pytest.fixture
def bench():
    made = Bench()
    with installed(made.fake):
        yield made


def by_pynvml(bench, getter):
    raw = bench.api.call(getter.function, bench.open(), *getter.arguments)
    names = getter.answer.told
    return [getattr(raw, name) for name in names] if len(names) > 1 else raw


@pytest.mark.parametrize("getter", ASKED, ids=lambda getter: f"{getter.function}{getter.arguments}")
def test_the_library_is_asked_what_pynvml_would_ask(bench, getter):
    assert bench.asking(getter).ask() == by_pynvml(bench, getter)


def test_each_answer_is_a_new_one(bench):
    (power,) = [getter for getter in ASKED if getter.function == "nvmlDeviceGetPowerUsage"]
    asking, gpu = bench.asking(power), bench.fake.gpus[0]
    seen = []
    for gpu.power_mw in (1000, 2000):
        seen.append(asking.ask())
    assert seen == [1000, 2000]


def test_calls_are_counted_by_their_name_and_a_refusal_has_its_meaning(bench):
    (power,) = [getter for getter in ASKED if getter.function == "nvmlDeviceGetPowerUsage"]
    asking = bench.asking(power)
    bench.fake.fail(pynvml.NVML_ERROR_GPU_IS_LOST, function=power.function, times=1)
    with pytest.raises(CallFailedError) as failed:
        asking.ask()
    assert failed.value.verdict is Verdict.LOST
    assert sum(bench.calls.take()[power.function][0]) == 1


def test_a_function_that_the_library_lacks_is_not_supported(bench):
    asking = Asking(bench.api, bench.open(), "nvmlDeviceGetNothing", Answer(type=pynvml.c_uint))
    with pytest.raises(CallFailedError) as failed:
        asking.ask()
    assert failed.value.verdict is Verdict.UNSUPPORTED
