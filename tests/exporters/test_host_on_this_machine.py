"""The real machine under the tests: our figures against psutil's, and against time."""

from __future__ import annotations

import sys

import psutil
import pytest

from warpgauge.core.catalog import Tier, host
from warpgauge.core.clock import SystemClock
from warpgauge.exporters.collectors.host import HostCollector

pytestmark = pytest.mark.skipif(sys.platform != "linux", reason="no /proc on this system")


@pytest.fixture(scope="module")
def collector():
    return HostCollector()


def total(collector, row, tier=Tier.FAST):
    return sum(sample.value for sample in collector.read(tier)[0] if sample.metric is row)


def busy_for(seconds):
    clock = SystemClock()
    until = clock.monotonic() + seconds
    while clock.monotonic() < until:
        pass


def test_cpu_seconds_of_all_modes_grow_with_time(collector):
    clock = SystemClock()
    cpus = total(collector, host.CPU_COUNT, Tier.SLOW)
    start, before = clock.monotonic(), total(collector, host.CPU_SECONDS)
    busy_for(0.5)
    grown, elapsed = total(collector, host.CPU_SECONDS) - before, clock.monotonic() - start
    # A tick is 10 ms per CPU and mode, and a virtual machine that is not let run shows its time late.
    assert grown / cpus == pytest.approx(elapsed, rel=0.4, abs=0.05)


def test_user_time_follows_a_busy_loop(collector):
    def user():
        samples, _ = collector.read(Tier.FAST)
        modes = {"user", "nice"}  # the kernel counts the one or the other, by the priority of these tests
        return sum(one.value for one in samples if one.metric is host.CPU_SECONDS and one.labels[1] in modes)

    before = user()
    busy_for(0.5)
    assert user() - before > 0.2


@pytest.mark.parametrize(
    ("row", "field"),
    [(host.MEMORY_TOTAL, "total"), (host.MEMORY_AVAILABLE, "available"), (host.MEMORY_FREE, "free")],
    ids=["total", "available", "free"],
)
def test_memory_agrees_with_psutil(collector, row, field):
    assert total(collector, row) == pytest.approx(getattr(psutil.virtual_memory(), field), rel=0.01)


def test_boot_time_agrees_with_psutil(collector):
    assert total(collector, host.BOOT_TIME, Tier.SLOW) == pytest.approx(psutil.boot_time(), abs=2)


def test_interfaces_are_psutils(collector):
    samples, _ = collector.read(Tier.FAST)
    ours = {sample.labels[0] for sample in samples if sample.metric is host.NETWORK_RECEIVE}
    assert ours == set(psutil.net_io_counters(pernic=True, nowrap=False))


def test_counters_never_fall_from_one_reading_to_the_next(collector):
    cumulative = [{}, {}]
    for reading in cumulative:
        for sample in collector.read(Tier.FAST)[0]:
            if sample.metric.is_cumulative and isinstance(sample.value, float):
                reading[sample.metric.name, sample.labels] = sample.value
    first, second = cumulative
    assert all(second[series] >= value for series, value in first.items())


def test_the_root_file_system_is_shown(collector):
    samples, _ = collector.read(Tier.SLOW)
    sizes = {sample.labels[1]: sample.value for sample in samples if sample.metric is host.FILESYSTEM_SIZE}
    if "/" not in sizes:
        pytest.skip("the root file system of this machine is an overlay, which is not shown")
    assert sizes["/"] == pytest.approx(psutil.disk_usage("/").total, rel=0.1)
