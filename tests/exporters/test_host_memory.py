"""Huge pages, NUMA nodes and our own cgroup: what the kernel's texts become."""

from __future__ import annotations

import pytest

from warpgauge.core.catalog import linux as rows
from warpgauge.core.errors import InputError
from warpgauge.exporters.collectors.host_memory import cgroup, huge_pages, numa, own_cgroup

MEMINFO = "AnonHugePages: 45056 kB\nHugePages_Total: 4\nHugePages_Free: 1\nHugepagesize: 2048 kB\nHugetlb: 8192 kB\n"


def values(samples):
    return {(sample.metric, sample.labels): sample.value for sample in samples}


def test_huge_pages_are_told_in_bytes():
    found = values(huge_pages(MEMINFO, place="meminfo"))
    assert found == {
        (rows.HUGE_TOTAL, ()): 4 * 2048 * 1024.0,
        (rows.HUGE_FREE, ()): 2048 * 1024.0,
        (rows.HUGE_TRANSPARENT, ()): 45056 * 1024.0,
    }


def test_a_kernel_without_huge_pages_has_no_series_of_them():
    assert huge_pages("MemTotal: 1 kB\n", place="meminfo") == []


def test_a_damaged_number_is_told_with_its_place():
    with pytest.raises(InputError, match="meminfo: cannot read"):
        huge_pages("AnonHugePages: many kB\n", place="meminfo")


def test_each_numa_node_has_memory_and_allocations(tmp_path):
    node = tmp_path / "node1"
    node.mkdir()
    (tmp_path / "power").mkdir()
    (node / "meminfo").write_text("Node 1 MemTotal: 100 kB\nNode 1 MemFree: 40 kB\nNode 1 MemUsed: 60 kB\n")
    (node / "numastat").write_text("numa_hit 7\nnuma_miss 2\ninterleave_hit 3\n")
    assert values(numa(tmp_path)) == {
        (rows.NUMA_TOTAL, ("1",)): 102400.0,
        (rows.NUMA_FREE, ("1",)): 40960.0,
        (rows.NUMA_ALLOCATIONS, ("1", "hit")): 7.0,
        (rows.NUMA_ALLOCATIONS, ("1", "miss")): 2.0,
    }


def test_the_limits_of_a_container_are_told(tmp_path):
    files = {"memory.max": "1024", "memory.current": "512", "cpu.max": "20000 100000", "cpu.stat": "throttled_usec 5"}
    for name, text in files.items():
        (tmp_path / name).write_text(f"{text}\n")
    assert {sample.metric: sample.value for sample in cgroup(tmp_path)} == {
        rows.CGROUP_MEMORY_LIMIT: 1024.0,
        rows.CGROUP_MEMORY_USED: 512.0,
        rows.CGROUP_CPU_LIMIT: 0.2,
        rows.CGROUP_THROTTLED: 5e-6,
    }


def test_no_limit_is_no_series(tmp_path):
    (tmp_path / "memory.max").write_text("max\n")
    (tmp_path / "cpu.max").write_text("max 100000\n")
    assert cgroup(tmp_path) == []


def test_the_own_cgroup_is_the_one_that_the_kernel_names_or_the_root(tmp_path):
    (tmp_path / "proc/self").mkdir(parents=True)
    (tmp_path / "proc/self/cgroup").write_text("1:cpu:/x\n0::/agent.slice\n")
    assert own_cgroup(tmp_path, tmp_path / "proc") == tmp_path / "fs/cgroup"
    (tmp_path / "fs/cgroup/agent.slice").mkdir(parents=True)
    assert own_cgroup(tmp_path, tmp_path / "proc") == tmp_path / "fs/cgroup/agent.slice"
