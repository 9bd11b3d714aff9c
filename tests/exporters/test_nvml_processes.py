"""Processes on a GPU: only when asked for, at most so many, gone when they ended, sound where a driver is not."""

from __future__ import annotations

import pynvml
import pytest

from tests.exporters.test_nvml_readings import Bench
from tests.fakes.nvml_abi import installed
from tests.fakes.nvml_abi_families import FakeProcess, FakeUse
from tests.fakes.nvml_profiles import H100
from warpgauge.core.catalog import Tier, own, process
from warpgauge.exporters.collectors.nvml_processes import process_names, to_readings

GIB = 1 << 30
NEWEST = "nvmlDeviceGetComputeRunningProcesses_v3"


@pytest.fixture
def bench(tmp_path):
    made = Bench(H100)
    (tmp_path / "11").mkdir()
    (tmp_path / "11/comm").write_bytes(b"py\x07thon\xff\n")
    made.collector.adjust({"processes": 2, "proc_root": str(tmp_path)})
    with installed(made.fake):
        yield made


def shares(values):
    """Compute ratio by PID."""
    return {
        labels[0]: value
        for (metric, labels), value in values.items()
        if metric is process.PROCESS_UTILIZATION and labels[2] == "compute"
    }


def memory(values):
    return {labels[0]: value for (metric, labels), value in values.items() if metric is process.PROCESS_MEMORY}


def test_nothing_about_processes_is_read_unless_it_is_asked_for():
    bench = Bench(H100)
    with installed(bench.fake):
        (gpu,) = bench.open()
        values, _ = bench.read(gpu, Tier.NORMAL)
    assert not [metric for metric, _ in values if metric.name.startswith("accel_process_")]
    assert not bench.fake.calls["nvmlDeviceGetProcessUtilization"]


def test_a_process_has_its_memory_and_its_cleaned_name(bench):
    bench.fake.listed[0] = [FakeProcess(11, 3 * GIB)]
    (gpu,) = bench.open()
    values, _ = bench.read(gpu, Tier.NORMAL)
    assert values[process.PROCESS_MEMORY, ("11", "python\ufffd")] == 3 * GIB


def test_those_with_most_memory_are_kept_and_the_others_counted(bench):
    bench.fake.listed[0] = [FakeProcess(11, GIB), FakeProcess(12, 3 * GIB), FakeProcess(13, 2 * GIB)]
    (gpu,) = bench.open()
    values, _ = bench.read(gpu, Tier.NORMAL)
    assert memory(values) == {"12": 3 * GIB, "13": 2 * GIB}
    assert values[own.PROCESSES_LEFT_OUT, ()] == 1.0


def test_a_process_that_ended_is_gone_in_the_next_reading(bench):
    bench.fake.listed[0] = [FakeProcess(11, GIB), FakeProcess(12, GIB)]
    (gpu,) = bench.open()
    bench.read(gpu, Tier.NORMAL)
    del bench.fake.listed[0][0]
    values, _ = bench.read(gpu, Tier.NORMAL)
    assert set(memory(values)) == {"12"}


def test_utilization_is_that_of_the_newest_sample_since_the_last_reading(bench):
    bench.fake.listed[0] = [FakeProcess(11, GIB), FakeProcess(12, GIB)]
    bench.fake.used[0] = [FakeUse(11, 100, 90)]
    (gpu,) = bench.open()
    first, _ = bench.read(gpu, Tier.NORMAL)
    bench.fake.used[0] += [FakeUse(11, 200, 40), FakeUse(11, 300, 60)]
    second, _ = bench.read(gpu, Tier.NORMAL)
    third, reasons = bench.read(gpu, Tier.NORMAL)
    assert shares(first) == {}  # what the driver remembers may be old
    assert shares(second) == {"11": pytest.approx(0.6), "12": 0.0}
    assert shares(third) == {"11": 0.0, "12": 0.0}
    assert reasons == []


def test_no_samples_at_all_is_idle_and_no_error(bench):
    bench.fake.listed[0] = [FakeProcess(11, GIB)]
    bench.fake.used[0] = []
    (gpu,) = bench.open()
    bench.read(gpu, Tier.NORMAL)
    values, reasons = bench.read(gpu, Tier.NORMAL)
    assert (shares(values), reasons) == ({"11": 0.0}, [])


def test_success_without_samples_which_the_binding_takes_for_an_error_is_idle(bench, monkeypatch):
    monkeypatch.setattr(type(bench.fake), "_nvmlDeviceGetProcessUtilization", lambda *_: 0)
    bench.fake.listed[0] = [FakeProcess(11, GIB)]
    (gpu,) = bench.open()
    bench.read(gpu, Tier.NORMAL)
    values, reasons = bench.read(gpu, Tier.NORMAL)
    assert (shares(values), reasons) == ({"11": 0.0}, [])


def test_a_board_that_cannot_tell_utilization_tells_memory_and_is_not_asked_again(bench):
    bench.fake.listed[0] = [FakeProcess(11, GIB)]
    (gpu,) = bench.open()
    bench.read(gpu, Tier.NORMAL)
    values, _ = bench.read(gpu, Tier.NORMAL)
    assert (set(memory(values)), shares(values)) == ({"11"}, {})
    assert bench.fake.calls["nvmlDeviceGetProcessUtilization"] == 1


def test_a_list_that_another_structure_garbled_is_asked_for_the_older_way(bench):
    bench.fake.listed[0] = [FakeProcess(11, GIB), FakeProcess(12, 2 * GIB)]
    bench.fake.garbled.add(NEWEST)
    (gpu,) = bench.open()
    values, reasons = bench.read(gpu, Tier.NORMAL)
    assert memory(values) == {"12": 2 * GIB, "11": GIB}
    assert "busy" not in reasons


def test_a_list_that_is_garbled_either_way_gives_no_series(bench):
    bench.fake.listed[0] = [FakeProcess(11, GIB), FakeProcess(12, 2 * GIB)]
    bench.fake.garbled.update({NEWEST, "nvmlDeviceGetComputeRunningProcesses_v2"})
    (gpu,) = bench.open()
    values, reasons = bench.read(gpu, Tier.NORMAL)
    assert memory(values) == {}
    assert "unsupported" in reasons
    assert bench.read(gpu, Tier.NORMAL)[1] == []


def test_memory_that_the_driver_does_not_tell_is_absent(bench):
    hidden = pynvml.NVML_VALUE_NOT_AVAILABLE_ulonglong.value
    bench.fake.listed[0] = [FakeProcess(11, hidden)]
    bench.fake.used[0] = [FakeUse(11, 100, 50)]
    (gpu,) = bench.open()
    bench.read(gpu, Tier.NORMAL)
    values, _ = bench.read(gpu, Tier.NORMAL)
    assert (memory(values), set(shares(values))) == ({}, {"11"})


def test_a_lost_board_is_lost_here_too(bench):
    bench.fake.listed[0] = [FakeProcess(11, GIB)]
    (gpu,) = bench.open()
    bench.fake.fail(pynvml.NVML_ERROR_GPU_IS_LOST, function="nvmlDeviceGetProcessUtilization")
    assert bench.collector.read(Tier.NORMAL, gpu)[0] == []


def test_a_name_that_cannot_be_read_is_empty(tmp_path):
    assert process_names(str(tmp_path))(4711) == ""


def test_no_more_series_than_asked_for_whatever_the_driver_lists():
    listed = dict.fromkeys(range(1, 2000), GIB)
    pids = {labels[0] for metric, labels, _ in to_readings(listed, {}, 64, str) if metric is process.PROCESS_MEMORY}
    assert pids == {str(pid) for pid in range(1, 65)}
