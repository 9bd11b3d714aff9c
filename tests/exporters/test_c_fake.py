"""The C fake keeps the driver's own habits: its rings, its events, its return codes, its sums."""

from __future__ import annotations

import json
import subprocess
import sys
from itertools import pairwise

import pytest

from tests.fakes.nvml_c import build_stub, stub_environment

PRELUDE = """
import json, time, pynvml as n
n.nvmlInit()
gpu = n.nvmlDeviceGetHandleByIndex(1)
def ring(kind, seen=0):
    return [(one.timeStamp, one.sampleValue.uiVal) for one in n.nvmlDeviceGetSamples(gpu, kind, seen)[1]]
def field(number, scope=0):
    (answer,) = n.nvmlDeviceGetFieldValues(gpu, [(number, scope)])
    return answer.value.ullVal if answer.nvmlReturn == 0 else None
"""
SECOND = 1_000_000


@pytest.fixture(scope="module")
def stub(tmp_path_factory):
    return build_stub(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def ask(stub, tmp_path):
    """What a program that speaks to the library prints as JSON; the clock stands still unless told otherwise."""

    def answer(program, time="1795608000.25", **more):
        about = {**({"NVML_STUB_TIME": time} if time else {}), **more}
        environment = stub_environment(stub, tmp_path / "script", gpus=2, **about)
        command = [sys.executable, "-c", f"{PRELUDE}{program}"]
        done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=20, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    return answer


def test_a_ring_holds_its_depth_at_its_own_rate(ask):
    for kind, period, depth in (
        ("NVML_TOTAL_POWER_SAMPLES", 20_000, 119),
        ("NVML_GPU_UTILIZATION_SAMPLES", 200_000, 71),
    ):
        samples = ask(f"print(json.dumps(ring(n.{kind})))")
        stamps = sorted(stamp for stamp, _ in samples)
        assert len(stamps) == depth
        assert {after - before for before, after in pairwise(stamps)} == {period}


def test_a_ring_gives_the_last_sample_again_and_some_in_the_wrong_order(ask):
    seen, again = ask("seen = max(ring(0))[0] - 600_000; print(json.dumps([seen, ring(0, seen)]))")
    stamps = [stamp for stamp, _ in again]
    assert min(stamps) == seen
    assert stamps != sorted(stamps)
    assert len(set(stamps)) == len(stamps) == 31


def test_a_ring_without_news_says_so(ask):
    program = """
try: ring(0, max(ring(0))[0])
except n.NVMLError as error: print(json.dumps(error.value == n.NVML_ERROR_NOT_FOUND))
"""
    assert ask(program)


def test_the_energy_is_what_the_ring_of_powers_adds_up_to(ask):
    samples = ask("print(json.dumps(ring(0)))")
    newest, oldest = max(samples)[0], min(samples)[0]
    counter = "print(json.dumps(field(n.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION)))"
    first, last = (ask(counter, time=f"{stamp / SECOND:.2f}") for stamp in (oldest, newest))
    millijoules = sum(value for stamp, value in samples if stamp > oldest) * 0.02
    assert last - first == pytest.approx(millijoules, rel=1e-4)


def test_all_links_are_the_sum_of_the_links(ask):
    program = "print(json.dumps([field(n.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, s) for s in (0xFFFFFFFF, *range(18))]))"
    total, *links = ask(program)
    assert total == pytest.approx(sum(links), rel=1e-12)
    assert len(set(links)) == 18


def test_a_board_counts_what_its_nvlink_counts(ask):
    program = (
        "print(json.dumps([field(n.NVML_FI_DEV_NVLINK_ERROR_DL_REPLAY), field(n.NVML_FI_DEV_NVLINK_COUNT_XMIT_BYTES)]))"
    )
    assert [value is None for value in ask(program)] == [False, True]
    assert [value is None for value in ask(program, NVML_STUB_BOARD="b200")] == [True, False]


def test_an_xid_is_announced_once_to_those_who_had_registered(ask, tmp_path):
    (tmp_path / "script").write_text("xid 31 1 before\n")
    program = """
import os
events = n.nvmlEventSetCreate()
n.nvmlDeviceRegisterEvents(gpu, n.nvmlEventTypeXidCriticalError, events)
with open(os.environ["NVML_STUB_SCRIPT"], "a") as script: script.write("xid 79 1 once\\nxid 48 0 unregistered\\n")
told = []
try:
    while True: told.append(n.nvmlEventSetWait_v2(events, 100).eventData)
except n.NVMLError_Timeout: print(json.dumps(told))
"""
    assert ask(program) == [79]


def test_a_call_before_the_session_is_refused(stub):
    program = """
import pynvml as n
n._LoadNvmlLibrary()
try: n.nvmlDeviceGetCount()
except n.NVMLError_Uninitialized: print("refused")
"""
    environment = stub_environment(stub)
    done = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, text=True, check=True)
    assert done.stdout == "refused\n"


def test_a_struct_of_another_version_is_refused(ask):
    program = """
memory = n.c_nvmlMemory_v2_t()
memory.version = 2
print(json.dumps(n._nvmlGetFunctionPointer("nvmlDeviceGetMemoryInfo_v2")(gpu, n.byref(memory))))
"""
    assert ask(program) == 25  # NVML_ERROR_ARGUMENT_VERSION_MISMATCH; nvml.h: the size is part of the version


@pytest.mark.slow
def test_pcie_throughput_takes_as_long_as_a_real_driver_takes(ask):
    program = (
        "begun = time.monotonic(); n.nvmlDeviceGetPcieThroughput(gpu, 0); print(json.dumps(time.monotonic() - begun))"
    )
    assert ask(program) < 0.01
    assert 0.02 <= ask(program, NVML_STUB_LATENCY="real") < 0.5


@pytest.mark.slow
def test_calls_cost_the_caller_the_cpu_time_that_they_cost_on_an_h100(ask):
    program = """
begun = time.thread_time()
for _ in range(10): field(n.NVML_FI_DEV_TOTAL_ENERGY_CONSUMPTION)
print(json.dumps((time.thread_time() - begun) / 10))
"""
    assert ask(program) < 0.001
    assert 0.001 < ask(program, NVML_STUB_LATENCY="h100") < 0.01


@pytest.mark.slow
def test_of_gpm_the_graphics_engine_costs_and_the_memorys_bandwidth_only_once(ask):
    program = """
def sample():
    one = n.nvmlGpmSampleAlloc(); n.nvmlGpmSampleGet(gpu, one); return one
asked = n.c_nvmlGpmMetricsGet_t()
asked.version, asked.sample1, asked.sample2, asked.numMetrics = n.NVML_GPM_METRICS_GET_VERSION, sample(), sample(), 1
def cost(metric):
    asked.metrics[0].metricId = metric
    begun = time.thread_time(); n.nvmlGpmMetricsGet(asked); return time.thread_time() - begun
memory, engine, sms = n.NVML_GPM_METRIC_DRAM_BW_UTIL, n.NVML_GPM_METRIC_GRAPHICS_UTIL, n.NVML_GPM_METRIC_SM_UTIL
print(json.dumps([cost(memory), min(cost(memory) for _ in range(5)), cost(engine), min(cost(sms) for _ in range(5))]))
"""
    first, memory, engine, sms = ask(program, time=None, NVML_STUB_LATENCY="h100")
    assert min(first, engine) > 0.001
    assert max(memory, sms) < 0.0005


def test_means_of_gpm_are_those_of_the_time_between_its_samples(ask):
    program = """
def sample():
    one = n.nvmlGpmSampleAlloc(); n.nvmlGpmSampleGet(gpu, one); return one
before = field(n.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, 0xFFFFFFFF); first = sample(); begun = time.time()
time.sleep(0.3)
after = field(n.NVML_FI_DEV_NVLINK_THROUGHPUT_DATA_TX, 0xFFFFFFFF); second = sample(); seconds = time.time() - begun
asked = n.c_nvmlGpmMetricsGet_t()
asked.version, asked.sample1, asked.sample2, asked.numMetrics = n.NVML_GPM_METRICS_GET_VERSION, first, second, 2
asked.metrics[0].metricId = n.NVML_GPM_METRIC_NVLINK_TOTAL_TX_PER_SEC
asked.metrics[1].metricId = n.NVML_GPM_METRIC_C2C_TOTAL_TX_PER_SEC
n.nvmlGpmMetricsGet(asked)
print(json.dumps([asked.metrics[0].value, (after - before) / 1024 / seconds, asked.metrics[1].nvmlReturn]))
"""
    gpm, counters, code = ask(program, time=None)
    assert gpm == pytest.approx(counters, rel=0.1)
    assert code == 3  # NVML_ERROR_NOT_SUPPORTED: an H100 on a PCIe board has no C2C
