"""The busiest processes: from two readings, without arguments, whatever vanishes meanwhile."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.core.clock import ManualClock
from warpgauge.exporters.processes import ProcessTable, parse_stat

TICKS = os.sysconf("SC_CLK_TCK")
PAGE = os.sysconf("SC_PAGE_SIZE")


class Machine:
    """A /proc of made-up processes; a second passes when somebody sleeps."""

    def __init__(self, root):
        self.root = root
        self.clock = ManualClock()
        self.during_sleep = []

    def process(self, pid, command="work", *, ticks=0, started=100, pages=10):
        folder = self.root / str(pid)
        folder.mkdir(exist_ok=True)
        head = f"{pid} ({command}) R 1 1 1 0 -1 0 0 0 0 0 {ticks} 0 0 0 20 0 1 0 {started} 4096 {pages}"
        (folder / "stat").write_text(head + " 0" * 28 + "\n")

    def end(self, pid):
        shutil.rmtree(self.root / str(pid))

    def sleep(self, seconds):
        self.clock.advance(seconds)
        for step in self.during_sleep:
            step()

    def table(self):
        return ProcessTable(proc_root=self.root, system="linux", cpu_count=2, sleep=self.sleep, clock=self.clock)


@pytest.fixture
def machine(tmp_path):
    (tmp_path / "meminfo").write_text("not a process\n")
    return Machine(tmp_path)


def test_the_one_that_used_most_cpu_between_the_readings_comes_first(machine):
    machine.process(10, "old", ticks=100_000)
    machine.process(11, "hog", ticks=50)
    machine.during_sleep = [lambda: machine.process(11, "hog", ticks=50 + TICKS)]
    assert [one.command for one in machine.table().busiest(2)] == ["hog", "old"]


def test_cpu_is_a_share_of_the_whole_machine(machine):
    machine.process(11, ticks=50)
    machine.during_sleep = [lambda: machine.process(11, ticks=50 + TICKS)]
    assert machine.table().busiest(1)[0].cpu_ratio == 0.5


def test_memory_is_what_is_resident(machine):
    machine.process(11, pages=7)
    assert machine.table().busiest(1)[0].memory_bytes == 7 * PAGE


def test_a_process_that_ends_between_the_readings_is_left_out(machine):
    machine.process(10)
    machine.process(11)
    machine.during_sleep = [lambda: machine.end(11)]
    assert [one.pid for one in machine.table().busiest(9)] == [10]


def test_a_process_born_between_the_readings_counts_with_all_it_used(machine):
    machine.process(10)
    machine.during_sleep = [lambda: machine.process(12, ticks=TICKS)]
    assert machine.table().busiest(1)[0].pid == 12


def test_a_pid_that_came_around_is_another_process(machine):
    machine.process(11, ticks=9_000, started=100)
    machine.during_sleep = [lambda: machine.process(11, ticks=10, started=900)]
    assert machine.table().busiest(1)[0].cpu_ratio == pytest.approx(10 / TICKS / 2)


def test_more_than_there_was_is_cut_to_the_whole_machine(machine):
    machine.process(11)
    machine.during_sleep = [lambda: machine.process(11, ticks=9 * TICKS)]
    assert machine.table().busiest(1)[0].cpu_ratio == 1.0


@pytest.mark.parametrize("top", [0, -1])
def test_asking_for_none_gives_none(machine, top):
    machine.process(11)
    assert machine.table().busiest(top) == []


def test_an_unknown_user_is_its_number(machine):
    machine.process(11)
    if os.getuid() != 0:
        pytest.skip("only root can give a file to a user that does not exist")
    os.chown(machine.root / "11", 3_999_999, 0)
    assert machine.table().busiest(1)[0].user == "3999999"


def test_blanks_and_parentheses_in_a_name_do_not_shift_the_columns(machine):
    machine.process(11, "a) R 1 (b", pages=3)
    one = machine.table().busiest(1)[0]
    assert (one.command, one.memory_bytes) == ("a) R 1 (b", 3 * PAGE)


@given(st.text(max_size=300))
def test_no_text_of_a_process_breaks_the_table(text):
    parse_stat(text, TICKS, PAGE)


@pytest.mark.slow
@pytest.mark.parametrize("system", ["linux", "darwin"])
def test_a_real_hog_is_named_without_its_arguments(system):
    hog = subprocess.Popen([sys.executable, "-c", "while True: pass", "secret-token"])
    try:
        named = {one.pid: one for one in ProcessTable(system=system).busiest(50)}[hog.pid]
    finally:
        hog.kill()
        hog.wait()
    assert named.cpu_ratio > 0.05
    assert "secret" not in repr(named)
    assert "while" not in repr(named)
