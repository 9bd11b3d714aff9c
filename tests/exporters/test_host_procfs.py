"""CPU, load, memory and pressure: what the kernel's texts become."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.core.catalog import host
from warpgauge.core.errors import InputError
from warpgauge.core.sample import Unavailable
from warpgauge.exporters.collectors import host_procfs

STAT = """\
cpu  300 20 130 4000 45 6 7 8 90 9
cpu0 100 10 60 2000 15 3 4 5 40 4
cpu3 200 10 70 2000 30 3 3 3 50 5
intr 1 2 3
btime 1750000000
"""


def by_labels(samples):
    return {sample.labels: sample.value for sample in samples}


def test_ticks_become_seconds_per_cpu_and_mode_and_the_sum_line_is_left_out():
    seconds = host_procfs.cpu_seconds(STAT, 100, place="stat")
    assert seconds == {
        "0": (1.0, 0.1, 0.6, 20.0, 0.15, 0.03, 0.04, 0.05),
        "3": (2.0, 0.1, 0.7, 20.0, 0.3, 0.03, 0.03, 0.03),
    }


def test_guest_time_is_no_mode_of_its_own_because_user_holds_it():
    samples = host_procfs.to_cpu_samples(host_procfs.cpu_seconds(STAT, 100, place="stat"))
    assert {sample.labels[1] for sample in samples} == set(host_procfs.CPU_MODES)


def test_a_stat_without_cpus_is_malformed():
    with pytest.raises(InputError, match="stat: cannot read"):
        host_procfs.cpu_seconds("intr 1 2 3\n", 100, place="stat")


def test_iowait_that_the_kernel_takes_back_does_not_fall():
    before = {"0": (1.0, 0.0, 0.0, 50.0, 9.0, 0.0, 0.0, 0.0)}
    now = {"0": (2.0, 0.0, 0.0, 51.0, 8.5, 0.0, 0.0, 0.0)}
    assert host_procfs.never_falling(before, now)["0"][4] == 9.0


def test_a_cpu_that_came_back_online_starts_again():
    before = {"0": (1.0, 0.0, 0.0, 50.0, 9.0, 0.0, 0.0, 0.0)}
    now = {"0": (0.1, 0.0, 0.0, 0.5, 0.0, 0.0, 0.0, 0.0)}
    assert host_procfs.never_falling(before, now) == now


def test_a_cpu_that_went_offline_leaves_no_series():
    before = {"0": (1.0,) * 8, "1": (1.0,) * 8}
    assert set(host_procfs.never_falling(before, {"0": (2.0,) * 8})) == {"0"}


modes = st.tuples(*[st.floats(0, 1e9)] * 8)


@given(st.lists(modes, min_size=1, max_size=8))
def test_no_mode_falls_unless_the_cpu_started_again(readings):
    shown: host_procfs.CpuSeconds = {}
    for reading in readings:
        before = shown
        shown = host_procfs.never_falling(before, {"0": reading})
        restarted = "0" in before and reading[3] + 3 < before["0"][3]
        if before and not restarted:
            assert all(new >= old for new, old in zip(shown["0"], before["0"], strict=True))


def test_boot_time_is_the_kernels_own():
    assert host_procfs.boot_time(STAT, place="stat").value == 1_750_000_000.0


def test_load_averages_keep_their_order():
    samples = host_procfs.load("0.18 1.19 12.15 1/95 17380\n", place="loadavg")
    assert [(s.metric, s.value) for s in samples] == [(host.LOAD1, 0.18), (host.LOAD5, 1.19), (host.LOAD15, 12.15)]


def test_memory_is_in_bytes():
    text = "MemTotal: 10 kB\nMemFree: 3 kB\nMemAvailable: 7 kB\nSwapTotal: 4 kB\nSwapFree: 2 kB\nMemTotalHuge: 5 kB\n"
    values = {sample.metric: sample.value for sample in host_procfs.memory(text, place="meminfo")}
    assert values == {
        host.MEMORY_TOTAL: 10240.0,
        host.MEMORY_FREE: 3072.0,
        host.MEMORY_AVAILABLE: 7168.0,
        host.SWAP_TOTAL: 4096.0,
        host.SWAP_FREE: 2048.0,
    }


def test_a_kernel_that_knows_no_available_memory_gives_a_reason_and_no_zero():
    samples = host_procfs.memory("MemTotal: 10 kB\nMemFree: 3 kB\n", place="meminfo")
    values = {sample.metric: sample.value for sample in samples}
    assert values[host.MEMORY_AVAILABLE] == Unavailable("meminfo: no line MemAvailable")


def test_swap_pages_become_bytes():
    samples = host_procfs.swap_traffic("pgpgin 9\npswpin 3\npswpout 5\n", 4096, place="vmstat")
    assert [sample.value for sample in samples] == [3 * 4096.0, 5 * 4096.0]


def test_stall_time_is_in_seconds():
    text = "some avg10=0.00 avg60=0.00 avg300=0.00 total=1500000\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=250000\n"
    assert by_labels(host_procfs.pressure(text, "io", place="io")) == {("io", "some"): 1.5, ("io", "full"): 0.25}


def test_full_cpu_pressure_is_left_out_because_the_kernel_does_not_define_it():
    text = "some avg10=0.00 avg60=0.00 avg300=0.00 total=15\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n"
    assert set(by_labels(host_procfs.pressure(text, "cpu", place="cpu"))) == {("cpu", "some")}


words = st.text(alphabet="cpu0123456789 .:\nkBtimesoefullMTapwn=avg", max_size=200)
PARSERS = {
    "stat": lambda text: host_procfs.cpu_seconds(text, 100, place="p"),
    "boot": lambda text: host_procfs.boot_time(text, place="p"),
    "load": lambda text: host_procfs.load(text, place="p"),
    "memory": lambda text: host_procfs.memory(text, place="p"),
    "swap": lambda text: host_procfs.swap_traffic(text, 4096, place="p"),
    "pressure": lambda text: host_procfs.pressure(text, "io", place="p"),
}


@pytest.mark.parametrize("parser", PARSERS.values(), ids=PARSERS.keys())
@given(text=words | st.text(max_size=100))
def test_whatever_a_file_holds_only_an_input_error_comes_out(parser, text):
    try:
        parser(text)
    except InputError as error:
        assert str(error).startswith("p: ")  # noqa: PT017 - raising is allowed, not demanded
