"""What processes that have a device open cost the host: opt-in, capped, and absent where it cannot be read."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from tests.fakes.procfs import FakeProc
from warpgauge.core.catalog import Tier, process
from warpgauge.core.device import Device, DeviceKind
from warpgauge.core.sample import Unavailable
from warpgauge.exporters.attribution.claims import Held
from warpgauge.exporters.attribution.holder_usage import holder_usage, io_bytes
from warpgauge.exporters.attribution.workload import Holder
from warpgauge.exporters.collectors.attribution import AttributionCollector

GPU = Device(uuid="GPU-1", index=0, kind=DeviceKind.GPU, vendor="nvidia", model="H100")
IO = "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 0\n"


def values(samples):
    return {(sample.metric, *sample.labels): sample.value for sample in samples}


@pytest.fixture
def proc(tmp_path):
    fake = FakeProc(tmp_path)
    for pid in (10, 11):
        fake.start(pid)
        (tmp_path / str(pid) / "io").write_text(IO)
    words = ["S", "1", *["0"] * 9, "700", "300", *["0"] * 6, "4242", "4096", str(pid)]
    (tmp_path / "10/stat").write_text(f"10 (python3) {' '.join(words)}\n")
    return fake


def test_a_process_has_cpu_memory_and_disk_traffic(proc):
    found = values(holder_usage(proc.root, [10], 5))
    who = ("10", "python3")
    assert found[(process.HOST_CPU, *who)] == 1000 / os.sysconf("SC_CLK_TCK")
    assert found[(process.HOST_MEMORY, *who)] == 11.0 * os.sysconf("SC_PAGE_SIZE")
    assert (found[(process.HOST_READ, *who)], found[(process.HOST_WRITE, *who)]) == (4096.0, 8192.0)
    assert found[process.HOLDERS_LEFT_OUT,] == 0.0


def test_beyond_the_limit_those_with_least_memory_are_counted_only(proc):
    found = values(holder_usage(proc.root, [10, 11, 12], 1))
    assert {labels[0] for _, *labels in found if labels} == {"10"}
    assert found[process.HOLDERS_LEFT_OUT,] == 1.0


def test_traffic_that_cannot_be_read_has_a_reason_and_is_not_zero(proc):
    (proc.root / "10/io").unlink()
    found = values(holder_usage(proc.root, [10], 1))
    assert isinstance(found[process.HOST_READ, "10", "python3"], Unavailable)


@pytest.mark.parametrize("text", ["", "read_bytes: x\n", "read_bytes: 1 2\n", "READ_BYTES: 1\n"])
def test_lines_that_make_no_sense_give_nothing(text):
    assert io_bytes(text) == {}


def test_our_own_process_costs_something():
    found = values(holder_usage(Path("/proc"), [os.getpid()], 1))
    assert {metric for metric, *_ in found} >= {process.HOST_CPU, process.HOST_MEMORY, process.HOST_READ}
    assert all(value > 0 for (metric, *_), value in found.items() if metric in {process.HOST_CPU, process.HOST_MEMORY})


@pytest.mark.parametrize(("most", "pids"), [(0, set()), (8, {"10"})])
def test_only_who_has_a_device_open_is_told_and_only_if_asked_for(proc, most, pids):
    collector = AttributionCollector(
        held=lambda: (Held(GPU, (Holder(10),)),), proc_root=proc.root, sys_root=proc.root, pod_resources="", gpustat="",
        most_processes=most, system="linux",
    )  # fmt: skip
    collector.read(Tier.FAST)
    samples, errors = collector.read(Tier.NORMAL)
    assert ({sample.labels[0] for sample in samples if sample.labels}, errors) == (pids, [])
