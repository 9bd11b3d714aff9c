"""systemd's own journalctl on journal files that systemd-journal-remote writes from entries of ours."""

from __future__ import annotations

import shutil
import subprocess
import time
from typing import TYPE_CHECKING

import pytest

from tests.real_servers import wait_until
from tools import real_components
from warpgauge.core.clock import SystemClock
from warpgauge.core.config import LogsConfig
from warpgauge.exporters.doctor.check import Verdict
from warpgauge.exporters.doctor.journal import journal as doctor
from warpgauge.exporters.logs.journal import Journal

if TYPE_CHECKING:
    from pathlib import Path

    from warpgauge.exporters.log_record import LogRecord

pytestmark = [pytest.mark.real, pytest.mark.slow]

BOOT = "0123456789abcdef0123456789abcdef"


class Machine:
    """A journal that can be written to, and our source over it."""

    def __init__(self, folder: Path) -> None:
        if shutil.which("journalctl") is None:
            pytest.skip("journalctl is not here: sudo apt-get install systemd")
        try:
            self._writer = real_components.journal_remote()
        except real_components.ComponentMissingError as error:
            pytest.skip(str(error))
        self.folder = folder
        (folder / "journal").mkdir()
        self.settings = LogsConfig(
            journal=True, journal_directory=str(folder / "journal"), journal_units=("train*",), max_line_bytes=8000
        )
        self.journal = self.opened()

    def opened(self) -> Journal:
        return Journal(
            self.settings, self.folder / "cursor.json", node="n1", clock=SystemClock(), without_kernel_reports=True,
            without_pid=None,
        )  # fmt: skip

    def write(self, *messages: bytes, boot: str = BOOT, unit: str = "train.service", priority: int = 3) -> None:
        text = b"".join(
            f"__REALTIME_TIMESTAMP={time.time_ns() // 1000}\n__MONOTONIC_TIMESTAMP={time.monotonic_ns() // 1000}\n"
            f"_BOOT_ID={boot}\nPRIORITY={priority}\n_SYSTEMD_UNIT={unit}\n_PID=42\n".encode()
            + b"MESSAGE\n" + len(message).to_bytes(8, "little") + message + b"\n\n"
            for message in messages
        )  # fmt: skip
        target = str(self.folder / "journal" / "a.journal")
        subprocess.run([*self._writer, "-o", target, "-"], input=text, capture_output=True, check=True, timeout=60)

    def records(self, count: int) -> list[LogRecord]:
        found: list[LogRecord] = []

        def are_there() -> bool:
            found.extend(self.journal.take(100))
            return len(found) >= count

        wait_until(are_there, what=f"{count} entries are read")
        return found


@pytest.fixture
def machine(tmp_path):
    made = Machine(tmp_path)
    made.write(b"of long ago")
    yield made
    made.journal.close()


def test_entries_are_followed_over_a_stop_of_ours_and_a_restart_of_the_machine(machine):
    machine.journal.take(10)
    wait_until(lambda: machine.journal.take(10) == [] and machine.journal._cursor, what="the end was found")
    machine.write(b"first", b"second")
    machine.write(b"of another unit", unit="other.service")
    machine.write(b"talk", priority=7)
    (first, second) = machine.records(2)
    assert (first.message, first.severity, first.attributes["unit"]) == ("first", "critical", "train.service")
    assert (first.attributes["pid"], second.message) == (42, "second")
    assert abs(first.time - time.time()) < 60
    machine.journal.keep_positions()
    machine.journal.close()
    machine.write(b"while we were down")
    machine.write(b"after the restart", boot="f" * 32)
    machine.journal = machine.opened()
    assert [record.message for record in machine.records(2)] == ["while we were down", "after the restart"]


def test_long_and_binary_messages_arrive(machine):
    machine.journal.take(10)
    wait_until(lambda: machine.journal.take(10) == [] and machine.journal._cursor, what="the end was found")
    machine.write(b"x" * 9000, b"\xff\xfe", b"two\nlines")
    long, binary, lines = machine.records(3)
    assert (len(long.message), long.attributes["is_cut"]) == (8000, True)
    assert (binary.message, lines.message) == ("\ufffd\ufffd", "two\nlines")


def test_a_thousand_entries_arrive_once_each_within_the_rate(machine):
    machine.journal.take(10)
    wait_until(lambda: machine.journal.take(10) == [] and machine.journal._cursor, what="the end was found")
    machine.write(*(f"entry {number}".encode() for number in range(1000)))
    assert [record.message for record in machine.records(1000)] == [f"entry {number}" for number in range(1000)]


def test_the_doctor_reads_it_and_says_when_there_is_none(machine, tmp_path):
    assert doctor(machine.settings).verdict == Verdict.OK
    check = doctor(LogsConfig(journal=True, journal_directory=str(tmp_path / "none")))
    assert (check.verdict, "No such file or directory" in check.detail) == (Verdict.FAIL, True)
