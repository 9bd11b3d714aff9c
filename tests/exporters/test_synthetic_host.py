from __future__ import annotations

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warpgauge.exporters.synthetic.host import CPU_MODES, Host
from warpgauge.exporters.synthetic.workload import Demand

demands = st.builds(
    Demand,
    user_seconds=st.floats(0.0, 600.0),
    system_seconds=st.floats(0.0, 60.0),
    disk_read_bytes=st.floats(0.0, 1e11),
    disk_written_bytes=st.floats(0.0, 1e11),
    network_receive_bytes=st.floats(0.0, 1e11),
    network_transmit_bytes=st.floats(0.0, 1e11),
    memory_bytes=st.floats(0.0, 1e12),
)


def new_host() -> Host:
    return Host(name="sim-node-0", random=Random(5), begin=1e9)


def busy_ratio(host: Host, before: list[float]) -> float:
    spent = [now - then for now, then in zip(host.cpu_seconds, before, strict=True)]
    return 1.0 - sum(spent[CPU_MODES.index("idle") :: len(CPU_MODES)]) / sum(spent)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.tuples(st.floats(0.5, 10.0), demands), max_size=10))
def test_counters_never_fall_and_every_cpu_accounts_for_all_its_time(life):
    host = new_host()
    for seconds, demand in life:
        cpu = list(host.cpu_seconds)
        others = [host.disk_read_bytes, host.disk_written_bytes, host.network_receive_bytes, host.disk_busy_seconds]
        host.advance(seconds, demand)
        spent = [now - then for now, then in zip(host.cpu_seconds, cpu, strict=True)]
        assert min(spent) >= -1e-9
        for start in range(0, len(spent), len(CPU_MODES)):
            assert sum(spent[start : start + len(CPU_MODES)]) == pytest.approx(seconds)
        now = [host.disk_read_bytes, host.disk_written_bytes, host.network_receive_bytes, host.disk_busy_seconds]
        assert all(late >= early for late, early in zip(now, others, strict=True))


def test_the_cpus_show_what_the_jobs_asked_for():
    host = new_host()
    before = list(host.cpu_seconds)
    host.advance(10.0, Demand(user_seconds=320.0))
    assert busy_ratio(host, before) == pytest.approx(0.5, abs=0.03)


def test_an_idle_host_is_nearly_idle():
    host = new_host()
    before = list(host.cpu_seconds)
    host.advance(10.0, Demand())
    assert busy_ratio(host, before) < 0.03


def test_more_demand_than_cpus_leaves_no_negative_idle_time():
    host = new_host()
    before = list(host.cpu_seconds)
    host.advance(10.0, Demand(user_seconds=5000.0))
    assert 0.97 < busy_ratio(host, before) <= 1.0
    assert host.pressure_seconds["cpu", "some"] > 5.0


def test_load_follows_with_its_time_constant():
    host = new_host()
    for _ in range(60):
        host.advance(1.0, Demand(user_seconds=40.0))
    assert host.loads[0] == pytest.approx(8.0 + 0.63 * (41.0 - 8.0), abs=1.5)
    assert host.loads[0] > host.loads[1] > host.loads[2]


def test_memory_that_jobs_hold_is_not_available():
    host = new_host()
    host.advance(1.0, Demand(memory_bytes=5e11))
    assert host.memory_available_bytes == pytest.approx(host.memory_total_bytes - 5.14e11, rel=0.01)
    assert host.memory_free_bytes <= host.memory_available_bytes
