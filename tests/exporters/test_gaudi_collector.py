"""Gaudi through a program that prints CSV: units, missing cells, nonsense with its line, and a program that hangs."""

from __future__ import annotations

import stat
import time
from pathlib import Path

import pytest

from tests.exporters.collector_contract import TIERS, holds, refuses_what_is_not_there
from tests.fakes.tpu_runtime import plug_in
from warpgauge.core.catalog import Tier, device
from warpgauge.core.clock import ManualClock
from warpgauge.core.errors import InputError
from warpgauge.exporters.collectors.collector import DriverError
from warpgauge.exporters.collectors.command_csv import CommandFailedError, run, table
from warpgauge.exporters.collectors.gaudi import COLUMNS, GaudiCollector
from warpgauge.exporters.doctor.check import Verdict
from warpgauge.exporters.doctor.others import other_accelerators

HEADER = (
    "index, uuid, bus_id, name, driver_version, temperature.aip [C], utilization.aip [%], memory.total [MiB],"
    " memory.used [MiB], memory.free [MiB], power.draw [W], ecc.errors.corrected.volatile.total,"
    " ecc.errors.uncorrected.volatile.total"
)
FIRST = "0, 01P0-HL2080A0-15, 0000:19:00.0, HL-225, 1.21.0-e8b, 31 C, 87 %, 98304 MiB, 672 MiB, 97632 MiB, 95 W, 2, 0"
SECOND = "1, 01P0-HL2080A0-16, 0000:b3:00.0, HL-225, 1.21.0-e8b, 33, N/A, 98304, 672, 97632, N/A, 0, 1"
PAGE = f"{HEADER}\n{FIRST}\n{SECOND}\n"


def collector(page=PAGE, clock=None):
    """`page` is what the program prints, or a function or error in its place."""

    def execute(command, _):
        assert command[1:] == ("-Q", ",".join(COLUMNS), "-f", "csv")
        if isinstance(page, Exception):
            raise page
        return page() if callable(page) else page

    return GaudiCollector(execute=execute, sys_root="/nonexistent", clock=clock or ManualClock())


def read(made, position=0):
    values, reasons = {}, []
    for tier in TIERS:
        samples, errors = made.read(tier, made.devices()[position])
        values.update({(sample.metric, sample.labels[2:]): sample.value for sample in samples})
        reasons += [error.reason for error in errors]
    return values, reasons


def test_it_keeps_every_collectors_promises():
    pages, clock = [PAGE], ManualClock()
    made = collector(lambda: pages[0], clock)

    def gone():
        pages[0] = HEADER
        clock.advance(10)

    holds(made, is_gone=gone)
    pages[0] = PAGE
    clock.advance(10)
    refuses_what_is_not_there(made, 99)


def test_units_are_base_units_whether_the_program_prints_them_or_not():
    values, reasons = read(collector())
    assert values[device.TEMPERATURE, ("core",)] == 31.0
    assert values[device.UTILIZATION, ("compute",)] == pytest.approx(0.87)
    assert values[device.MEMORY_TOTAL, ()] == 98304.0 * 2**20
    assert values[device.POWER, ()] == 95.0
    assert values[device.ECC_ERRORS, ("corrected", "volatile")] == 2.0
    assert reasons == []
    other, _ = read(collector(), 1)
    assert other[device.MEMORY_USED, ()] == 672.0 * 2**20


def test_what_is_not_available_has_no_series():
    values, reasons = read(collector(), 1)
    assert (device.POWER, ()) not in values
    assert (device.UTILIZATION, ("compute",)) not in values
    assert reasons == []


def test_a_cell_that_makes_no_sense_costs_its_own_row():
    values, reasons = read(collector(PAGE.replace("95 W", "many")))
    assert reasons == ["malformed"]
    assert (device.POWER, ()) not in values
    assert (device.TEMPERATURE, ("core",)) in values


@pytest.mark.parametrize(
    ("page", "words"),
    [
        ("", "hl-smi:1: expected a header"),
        ("index, uuid\n", "hl-smi:1: no column 'bus_id'"),
        (f"{HEADER}\n{FIRST}\n1, half\n", "hl-smi:3: expected 13 cells, got 2"),
    ],
)
def test_a_table_that_makes_no_sense_is_told_with_its_line(page, words):
    with pytest.raises(InputError) as told:
        table(page, COLUMNS, place="hl-smi")
    assert words in str(told.value)
    with pytest.raises(DriverError, match="malformed"):
        collector(page).check()


def test_one_run_serves_every_device_of_a_tick():
    runs = []
    made = collector(lambda: runs.append(1) or PAGE)
    for gpu in made.devices():
        made.read(Tier.NORMAL, gpu)
    assert len(runs) == 1


def test_a_machine_without_the_program_says_so():
    assert "hl-smi is not installed" in (
        collector(CommandFailedError("library_missing", "hl-smi is not installed")).check() or ""
    )
    assert "not installed" in (GaudiCollector(program="/nonexistent/hl-smi").check() or "")


def program(tmp_path, body):
    path = tmp_path / "hl-smi"
    path.write_text(f"#!/bin/sh\n{body}\n")
    path.chmod(path.stat().st_mode | stat.S_IXUSR)
    return str(path)


def test_a_real_program_is_run(tmp_path):
    (tmp_path / "page").write_text(PAGE)
    made = GaudiCollector(program=program(tmp_path, f"cat {tmp_path}/page"), sys_root="/nonexistent")
    assert made.check() is None
    assert [one.model for one in made.devices()] == ["HL-225", "HL-225"]


def test_a_program_that_hangs_is_killed_with_all_it_started(tmp_path):
    slow = program(tmp_path, f"sleep 300 & echo $! > {tmp_path}/pid; wait")
    with pytest.raises(CommandFailedError, match="timeout"):
        run([slow], 0.3)
    pid = int((tmp_path / "pid").read_text())
    for _ in range(100):
        try:
            state = (Path(f"/proc/{pid}/exe").readlink(),)
        except OSError:
            return  # gone, or a zombie that init has yet to reap
        time.sleep(0.01)
    raise AssertionError(state)


def test_a_program_that_fails_is_told_with_its_own_words(tmp_path):
    with pytest.raises(CommandFailedError, match="ended with 3: no driver"):
        run([program(tmp_path, "echo no driver >&2; exit 3")], 5.0)


@pytest.mark.parametrize(("vendor", "subject"), [("0x1da3", "Gaudi"), ("0x1002", "AMD")])
def test_the_doctor_names_what_is_plugged_in_and_what_it_lacks(tmp_path, vendor, subject):
    plug_in(tmp_path, ["0000:19:00.0"], vendor=vendor, device="0x1020")
    (lacking,) = other_accelerators(sys_root=tmp_path, has_module=lambda _: False, find_program=lambda _: None)
    (ready,) = other_accelerators(sys_root=tmp_path, has_module=lambda _: True, find_program=lambda name: name)
    assert (lacking.subject, lacking.verdict, ready.verdict) == (subject, Verdict.FAIL, Verdict.OK)
    assert lacking.mend
