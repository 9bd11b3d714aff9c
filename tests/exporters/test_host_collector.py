"""The host collector as the agent uses it: tiers, missing sources, other systems."""

from __future__ import annotations

import os
import platform
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from warpgauge.core.catalog import Metric, Tier, host, linux
from warpgauge.core.sample import Unavailable
from warpgauge.exporters.collectors.host import HostCollector
from warpgauge.exporters.collectors.host_filesystems import Size

RECORDING = Path(__file__).parents[1] / "fixtures/proc-linux-6.18-vm-2cpu"
NAME = platform.uname_result("Linux", "node-1", "6.18.44", "#1", "x86_64")


@pytest.fixture
def proc(tmp_path):
    return shutil.copytree(RECORDING, tmp_path / "proc")


@pytest.fixture
def sys_root(tmp_path):
    for cpu, kilohertz in (("cpu0", "2600000"), ("cpu1", "<unknown>")):
        folder = tmp_path / f"sys/devices/system/cpu/{cpu}/cpufreq"
        folder.mkdir(parents=True)
        (folder / "scaling_cur_freq").write_text(kilohertz + "\n")
    (tmp_path / "sys/devices/system/cpu/cpufreq").mkdir()
    return tmp_path / "sys"


@pytest.fixture
def collector(proc, sys_root):
    return HostCollector(
        proc_root=proc, sys_root=sys_root, system="linux", uname=lambda: NAME, size=lambda _: Size(9.0, 3.0)
    )


def values(collector, tier):
    samples, _ = collector.read(tier)
    return {(sample.metric, sample.labels): sample.value for sample in samples}


def test_a_recorded_machine_reads_as_it_was(collector):
    fast = values(collector, Tier.FAST)
    assert fast[host.CPU_SECONDS, ("1", "user")] == 167.89
    assert fast[host.LOAD1, ()] == 0.18
    assert fast[host.MEMORY_TOTAL, ()] == 24684096 * 1024
    assert fast[host.PRESSURE_SECONDS, ("io", "full")] == 7.986944
    assert fast[host.DISK_READ, ("vda",)] == 9297674 * 512
    assert fast[host.NETWORK_RECEIVE, ("eth0",)] == 592938218


def test_slow_rows_of_a_recorded_machine(collector):
    slow = values(collector, Tier.SLOW)
    assert slow[host.CPU_COUNT, ()] == 2.0
    assert slow[host.BOOT_TIME, ()] == 1795425176.0
    assert slow[host.HOST_INFO, ("node-1", "Linux", "6.18.44", "x86_64")] == 1.0
    assert slow[host.FILESYSTEM_AVAILABLE, ("/dev/vda", "/", "ext4")] == 3.0


def test_frequency_is_in_hertz_and_an_unknown_one_has_a_reason(collector):
    normal = values(collector, Tier.NORMAL)
    assert normal[host.CPU_FREQUENCY, ("0",)] == 2.6e9
    assert normal[host.CPU_FREQUENCY, ("1",)] == Unavailable("cpufreq: <unknown>")


@pytest.mark.parametrize("tier", [Tier.FAST, Tier.NORMAL, Tier.SLOW])
def test_a_tier_gives_every_host_row_of_that_tier_and_no_other(collector, tier):
    expected = {row for row in vars(host).values() if isinstance(row, Metric) and row.tier is tier}
    beside = {row for row in vars(linux).values() if isinstance(row, Metric)}
    found = {metric for metric, _ in values(collector, tier)} - beside
    assert found == expected - {host.WORKLOAD_INFO}  # which the attribution tells


def test_rows_for_evidence_are_never_on_a_page(collector):
    assert collector.read(Tier.ON_DEMAND) == ([], [])


@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_every_sample_carries_as_many_labels_as_its_row(collector, system):
    source = collector if system == "linux" else HostCollector(system=system)
    samples = [sample for tier in Tier for sample in source.read(tier)[0]]
    assert all(len(sample.labels) == len(sample.metric.labels) for sample in samples)


def test_no_series_comes_twice(collector):
    samples, _ = collector.read(Tier.FAST)
    series = [(sample.metric.name, sample.labels) for sample in samples]
    assert len(series) == len(set(series))


def test_a_kernel_without_pressure_information_costs_those_rows_only(collector, proc):
    shutil.rmtree(proc / "pressure")
    fast = values(collector, Tier.FAST)
    assert isinstance(fast[host.PRESSURE_SECONDS, ("memory", "some")], Unavailable)
    assert fast[host.LOAD1, ()] == 0.18


def test_a_source_that_this_kernel_does_not_have_is_no_error(collector, proc):
    shutil.rmtree(proc / "pressure")
    (proc / "diskstats").unlink()
    assert collector.read(Tier.FAST)[1] == []


def test_a_missing_source_is_a_reason_and_no_zero(collector, proc):
    (proc / "diskstats").unlink()
    assert values(collector, Tier.FAST)[host.DISK_READ, ("",)] == Unavailable(
        f"{proc}/diskstats: No such file or directory"
    )


def test_a_malformed_source_is_an_error_with_its_place(collector, proc):
    (proc / "meminfo").write_text("MemTotal: much kB\n")
    samples, errors = collector.read(Tier.FAST)
    assert [(error.reason, error.detail) for error in errors] == [
        ("malformed", f"memory: {proc}/meminfo: cannot read 'much'")
    ]
    assert any(sample.metric is host.LOAD1 for sample in samples)


def test_a_source_that_we_may_not_read_is_named_as_such(proc, sys_root):
    def refuse():
        raise PermissionError(13, "Permission denied", "somewhere")

    collector = HostCollector(proc_root=proc, sys_root=sys_root, system="linux", uname=refuse)
    assert [error.reason for error in collector.read(Tier.SLOW)[1]] == ["permission"]


def test_a_hung_mount_is_reported_and_the_rest_is_read(proc, sys_root):
    release = threading.Event()

    def hang(_):
        release.wait(timeout=30)
        return Size(1.0, 1.0)

    collector = HostCollector(proc_root=proc, sys_root=sys_root, system="linux", uname=lambda: NAME, size=hang)
    samples, errors = collector.read(Tier.SLOW)
    release.set()
    assert [(error.reason, error.detail) for error in errors] == [
        ("timeout", f"{proc}/1/root/: statvfs has not returned")
    ]
    assert any(sample.metric is host.CPU_COUNT for sample in samples)


def test_the_network_is_that_of_process_one_when_it_can_be_seen(collector, proc):
    (proc / "1/net").mkdir(parents=True)
    (proc / "1/net/dev").write_text("\n\n ib0: 7 0 0 0 0 0 0 0 8 0 0 0 0 0 0 0\n")
    assert values(collector, Tier.FAST)[host.NETWORK_TRANSMIT, ("ib0",)] == 8.0


def test_the_host_is_here_when_its_proc_can_be_read(collector):
    assert collector.check() is None


def test_a_wrong_proc_root_is_one_sentence(tmp_path):
    collector = HostCollector(proc_root=tmp_path, system="linux")
    assert collector.check() == f"cannot read the host: {tmp_path}/stat: No such file or directory"


def test_the_host_is_no_device(collector):
    assert collector.devices() == ()


def test_a_system_without_proc_is_read_through_psutil():
    samples, errors = HostCollector(system="darwin").read(Tier.FAST)
    rows = {sample.metric for sample in samples}
    assert {host.CPU_SECONDS, host.LOAD1, host.MEMORY_AVAILABLE, host.DISK_READ, host.NETWORK_RECEIVE} <= rows
    assert errors == []


def test_a_system_without_pressure_information_says_so():
    samples, _ = HostCollector(system="darwin").read(Tier.FAST)
    reasons = [sample.value for sample in samples if sample.metric is host.PRESSURE_SECONDS]
    assert reasons == [Unavailable("pressure stall information exists on Linux only")]


@pytest.mark.skipif(sys.platform != "linux" or os.getuid() != 0, reason="needs root to become nobody")
def test_an_unprivileged_user_reads_everything_that_root_reads():
    program = (
        "import os, sys; sys.path[:0] = sys.argv[1:]; "
        "from warpgauge.core.catalog import Tier; from warpgauge.exporters.collectors.host import HostCollector; "
        "collector = HostCollector(); os.setgroups([]); os.setgid(65534); os.setuid(65534); "
        "print([error for tier in Tier for error in collector.read(tier)[1]])"
    )
    ran = subprocess.run([sys.executable, "-c", program, *sys.path], capture_output=True, text=True, check=True)
    assert ran.stdout == "[]\n"
