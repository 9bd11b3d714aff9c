"""What processes that have a device open cost the host, with their children: opt-in, capped, and never falling."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
from dataclasses import dataclass
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.fakes.procfs import FakeProc
from warpgauge.core.catalog import Tier, process
from warpgauge.core.device import Device, DeviceKind
from warpgauge.core.sample import Unavailable
from warpgauge.exporters.attribution.claims import Held
from warpgauge.exporters.attribution.holder_usage import HolderUsage, io_bytes, unshared_pages
from warpgauge.exporters.attribution.procfs import ProcFs
from warpgauge.exporters.attribution.workload import Holder
from warpgauge.exporters.collectors.attribution import AttributionCollector

GPU = Device(uuid="GPU-1", index=0, kind=DeviceKind.GPU, vendor="nvidia", model="H100")
IO = "rchar: 1\nwchar: 2\nsyscr: 3\nsyscw: 4\nread_bytes: 4096\nwrite_bytes: 8192\ncancelled_write_bytes: 0\n"


def values(samples):
    return {(sample.metric, *sample.labels): sample.value for sample in samples}


def usage_of(proc, most=8):
    return HolderUsage(ProcFs(proc.root), most)


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
    found = values(usage_of(proc, 5).samples([10]))
    who = ("10", "python3")
    assert found[(process.HOST_CPU, *who)] == 1000 / os.sysconf("SC_CLK_TCK")
    assert found[(process.HOST_MEMORY, *who)] == 11.0 * os.sysconf("SC_PAGE_SIZE")
    assert (found[(process.HOST_READ, *who)], found[(process.HOST_WRITE, *who)]) == (4096.0, 8192.0)
    assert found[process.HOLDERS_LEFT_OUT,] == 0.0


def test_beyond_the_limit_those_with_least_memory_are_counted_only(proc):
    found = values(usage_of(proc, 1).samples([10, 11, 12]))
    assert {labels[0] for _, *labels in found if labels} == {"10"}
    assert found[process.HOLDERS_LEFT_OUT,] == 1.0


def test_traffic_that_cannot_be_read_has_a_reason_and_is_not_zero(proc):
    (proc.root / "10/io").unlink()
    found = values(usage_of(proc, 1).samples([10]))
    assert isinstance(found[process.HOST_READ, "10", "python3"], Unavailable)


@pytest.mark.parametrize("text", ["", "read_bytes: x\n", "read_bytes: 1 2\n", "READ_BYTES: 1\n"])
def test_lines_that_make_no_sense_give_nothing(text):
    assert io_bytes(text) == {}


def test_our_own_process_costs_something():
    found = values(HolderUsage(ProcFs("/proc"), 1).samples([os.getpid()]))
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


# ---- with their children


HEAD, WORKER, OTHER = 20, 30, 40


@dataclass
class Family:
    """A holder and its processes in a /proc of their own, in seconds of CPU and bytes to disks."""

    root: Path
    usage: HolderUsage

    def runs(self, pid, parent, seconds, *, reaped=0.0, written=0, pages=(0, 0), started=7):
        """Let a process be there with so much; `reaped` is what children had used that it has waited for."""
        ticks = os.sysconf("SC_CLK_TCK")
        words = ["S", str(parent), *["0"] * 9, str(int(seconds * ticks)), "0", str(int(reaped * ticks)), "0"]
        folder = self.root / str(pid)
        folder.mkdir(exist_ok=True)
        (folder / "stat").write_text(
            f"{pid} (python3) {' '.join([*words, *['0'] * 4, str(started), '0', str(pages[0])])}\n"
        )
        (folder / "statm").write_text(f"9999 {pages[0]} {pages[1]} 1 0 1 0\n")
        (folder / "io").write_text(f"read_bytes: 0\nwrite_bytes: {written}\n")

    def ends(self, *pids):
        for pid in pids:
            shutil.rmtree(self.root / str(pid))

    def told(self, row, *holders):
        """By pid, what is told of this row."""
        samples = self.usage.samples(holders or (HEAD,))
        return {int(one.labels[0]): one.value for one in samples if one.metric is row}


@pytest.fixture
def family(tmp_path):
    one = Family(tmp_path, HolderUsage(ProcFs(tmp_path), 8))
    one.runs(HEAD, 1, 100)
    return one


def test_descendants_are_counted_with_the_holder_down_to_the_last(family):
    family.runs(WORKER, HEAD, 10)
    family.runs(WORKER + 1, WORKER, 5)
    family.runs(OTHER, 1, 1000)
    assert family.told(process.HOST_CPU) == {HEAD: 115.0}
    assert family.told(process.HOST_CHILDREN) == {HEAD: 2.0}


def test_a_worker_that_ends_leaves_what_it_used_and_what_nobody_read(family):
    family.runs(WORKER, HEAD, 10, written=100)
    assert family.told(process.HOST_WRITE) == {HEAD: 100.0}
    family.ends(WORKER)
    family.runs(HEAD, 1, 101, reaped=12, written=130)  # two seconds and thirty bytes more than when last looked at
    samples = family.usage.samples([HEAD])
    told = {one.metric: one.value for one in samples}
    assert (told[process.HOST_CPU], told[process.HOST_WRITE], told[process.HOST_CHILDREN]) == (113.0, 130.0, 0.0)


def test_workers_of_one_epoch_after_the_other_add_up(family):
    family.told(process.HOST_CPU)
    for epoch in range(1, 6):
        family.runs(WORKER + epoch, HEAD, 4)
        assert family.told(process.HOST_CPU) == {HEAD: 100.0 + 4 * epoch}
        family.ends(WORKER + epoch)
        family.runs(HEAD, 1, 100, reaped=4 * epoch)
        assert family.told(process.HOST_CPU) == {HEAD: 100.0 + 4 * epoch}


def test_one_that_ended_between_two_readings_is_counted_too(family):
    family.told(process.HOST_CPU)
    family.runs(HEAD, 1, 100, reaped=3)
    assert family.told(process.HOST_CPU) == {HEAD: 103.0}


def test_an_end_that_falls_between_two_files_makes_no_counter_fall_and_is_made_good(family):
    family.runs(WORKER, HEAD, 10)
    assert family.told(process.HOST_CPU) == {HEAD: 110.0}
    family.ends(WORKER)  # not waited for yet, as far as the holder's file says
    assert family.told(process.HOST_CPU) == {HEAD: 110.0}
    family.runs(HEAD, 1, 102, reaped=10)
    assert family.told(process.HOST_CPU) == {HEAD: 112.0}


def test_a_whole_branch_that_ends_is_counted_once(family):
    family.runs(WORKER, HEAD, 10)
    family.runs(WORKER + 1, WORKER, 5)
    assert family.told(process.HOST_CPU) == {HEAD: 115.0}
    family.ends(WORKER, WORKER + 1)
    family.runs(HEAD, 1, 100, reaped=15)
    assert family.told(process.HOST_CPU) == {HEAD: 115.0}


def test_a_child_that_opens_a_device_is_a_series_of_its_own_from_then_on(family):
    family.runs(WORKER, HEAD, 10)
    assert family.told(process.HOST_CPU) == {HEAD: 110.0}
    family.runs(WORKER, HEAD, 25)
    assert family.told(process.HOST_CPU, HEAD, WORKER) == {HEAD: 110.0, WORKER: 25.0}
    family.runs(HEAD, 1, 101)
    assert family.told(process.HOST_CPU, HEAD, WORKER) == {HEAD: 111.0, WORKER: 25.0}


def test_what_a_child_with_a_device_used_is_not_its_parents_when_it_ends(family):
    family.runs(WORKER, HEAD, 5000)
    assert family.told(process.HOST_CPU, HEAD, WORKER) == {HEAD: 100.0, WORKER: 5000.0}
    family.ends(WORKER)
    family.runs(HEAD, 1, 100, reaped=5002)
    assert family.told(process.HOST_CPU) == {HEAD: 102.0}  # the two seconds that its own series did not live to tell


def test_memory_that_a_file_or_others_share_counts_once(family):
    page = os.sysconf("SC_PAGE_SIZE")
    family.runs(HEAD, 1, 100, pages=(1000, 300))
    family.runs(WORKER, HEAD, 1, pages=(400, 300))
    assert family.told(process.HOST_MEMORY) == {HEAD: 1100.0 * page}


def test_a_child_whose_traffic_cannot_be_read_makes_the_sum_unknown_and_nothing_else(family):
    family.runs(WORKER, HEAD, 10)
    (family.root / str(WORKER) / "io").unlink()
    assert isinstance(family.told(process.HOST_WRITE)[HEAD], Unavailable)
    assert family.told(process.HOST_CPU) == {HEAD: 110.0}


def test_beyond_the_limit_those_that_were_there_stay_and_no_history_comes_in_at_once(family):
    family.usage = HolderUsage(ProcFs(family.root), 8, most_descendants=2)
    for number in range(2):
        family.runs(WORKER + number, HEAD, 10)
    family.told(process.HOST_CPU)
    family.runs(WORKER - 1, HEAD, 4000)
    assert family.told(process.HOST_CHILDREN) == {HEAD: 2.0}
    family.ends(WORKER)
    family.runs(HEAD, 1, 100, reaped=10)
    assert family.told(process.HOST_CHILDREN) == {HEAD: 2.0}
    assert family.told(process.HOST_CPU) == {HEAD: 120.0}  # not the 4000 s of the one that took the place


def test_a_pid_that_another_process_has_now_is_another_process(family):
    family.runs(WORKER, HEAD, 50)
    family.told(process.HOST_CPU)
    family.runs(WORKER, HEAD, 2, started=99)
    family.runs(HEAD, 1, 100, reaped=50)
    assert family.told(process.HOST_CPU)[HEAD] >= 150.0


class Tree:
    """Processes as the kernel keeps them: what a child used goes to its parent when it ends."""

    def __init__(self, root):
        self.family = Family(root, HolderUsage(ProcFs(root), 8))
        self.parents, self.used, self.holders = {HEAD: 1}, {HEAD: [0, 0]}, {HEAD}
        self.total, self.last = 0, HEAD
        self.first, self.newest = {}, {}

    def do(self, step, number):
        pid = sorted(self.parents)[number % len(self.parents)]
        getattr(self, step)(pid)

    def work(self, pid):
        self.used[pid][0] += pid
        self.total += pid

    def fork(self, pid):
        self.last += 1
        self.parents[self.last], self.used[self.last] = pid, [0, 0]

    def end(self, pid):
        if pid == HEAD or pid in self.parents.values():
            return
        self.holders -= {pid}
        parent, spent = self.parents.pop(pid), sum(self.used.pop(pid))
        self.used[parent][1] += spent

    def open(self, pid):
        self.holders.add(pid)

    def close(self, pid):
        self.holders -= {pid} - {HEAD}

    def look(self, _=None):
        shutil.rmtree(self.family.root)
        self.family.root.mkdir()
        for pid, (own, reaped) in self.used.items():
            self.family.runs(pid, self.parents[pid], own, reaped=reaped)
        told = self.family.told(process.HOST_CPU, *self.holders)
        assert all(value >= self.newest.get(pid, 0.0) for pid, value in told.items())
        self.first, self.newest = {**told, **self.first}, {**self.newest, **told}

    def told(self):
        """What the first holder's series had at first, and what all series gained."""
        return self.first[HEAD] + sum(self.newest[pid] - self.first[pid] for pid in self.newest)


STEPS = st.tuples(st.sampled_from(["work", "fork", "end", "look", "open", "close"]), st.integers(0, 9))
WITHOUT_DEVICES = STEPS.filter(lambda step: step[0] not in {"open", "close"})


def played(steps):
    with tempfile.TemporaryDirectory() as folder:
        tree = Tree(Path(folder) / "proc")
        tree.family.root.mkdir()
        for step, number in [*steps, ("look", 0)]:
            tree.do(step, number)
    return tree


@settings(max_examples=50)
@given(st.lists(WITHOUT_DEVICES, max_size=40))
def test_whoever_comes_and_goes_all_that_was_used_is_told_once_and_no_counter_falls(steps):
    tree = played(steps)
    assert tree.told() == tree.total


@settings(max_examples=50)
@given(st.lists(STEPS, max_size=40))
def test_whoever_opens_and_closes_a_device_nothing_is_told_twice_and_no_counter_falls(steps):
    tree = played(steps)
    assert tree.told() <= tree.total


def test_a_real_childs_cpu_time_is_told_while_it_lives_and_after():
    program = (
        "import os, sys, time\nwhile sum(os.times()[:2]) < 0.3: pass\nprint('done', flush=True); sys.stdin.readline()\n"
    )
    usage = HolderUsage(ProcFs("/proc"), 1)

    def told(row):
        return next(one.value for one in usage.samples([os.getpid()]) if one.metric is row)

    before = told(process.HOST_CPU)
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as child:
        child.stdout.readline()
        living = told(process.HOST_CPU)
        children = told(process.HOST_CHILDREN)
        child.communicate(b"\n")
    assert living - before >= 0.29
    assert children >= 1
    assert living <= told(process.HOST_CPU) < living + 5


@pytest.mark.parametrize("text", ["", "1 2", "1 x 3", "0 0 0 0 0 0 0"])
def test_memory_of_who_has_none_is_none(text):
    assert unshared_pages(text) == 0
