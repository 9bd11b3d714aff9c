"""Entries of systemd's journal: the mapping, and a child that is slow, talkative, broken or absent (a double of it)."""

from __future__ import annotations

import json
import os
import stat
import time

import pytest

from tests.real_servers import wait_until
from warpgauge.core.clock import ManualClock
from warpgauge.core.config import LogsConfig
from warpgauge.core.errors import StorageError
from warpgauge.core.retry import Backoff
from warpgauge.exporters.doctor.check import Verdict
from warpgauge.exporters.doctor.journal import journal as doctor
from warpgauge.exporters.logs.journal import Journal, journalctl, read_cursor
from warpgauge.exporters.logs.journal_entry import entry_of

XID = "NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus."


def line(number=1, **fields):
    told = {
        "__CURSOR": f"s=1;i={number}",
        "__REALTIME_TIMESTAMP": "1750000000250000",
        "MESSAGE": f"m{number}",
        **fields,
    }
    return json.dumps(told)


def record_of(**fields):
    return entry_of(line(**fields).encode(), node="n1", max_message_bytes=64).record


def test_an_entry_has_its_time_unit_and_process():
    record = record_of(
        PRIORITY="3", _SYSTEMD_UNIT="slurmd.service", SYSLOG_IDENTIFIER="slurmd", _PID="42", _COMM="slurmd"
    )
    assert (record.time, record.message, record.kind, record.severity) == (
        1_750_000_000.25,
        "m1",
        "journal",
        "critical",
    )
    assert record.attributes == {
        "priority": 3, "unit": "slurmd.service", "identifier": "slurmd", "pid": 42, "process": "slurmd",
    }  # fmt: skip


@pytest.mark.parametrize(("priority", "severity"), [("0", "critical"), ("4", "warning"), ("5", "info"), ("x", "info")])
def test_a_priority_is_a_severity(priority, severity):
    assert record_of(PRIORITY=priority).severity == severity


@pytest.mark.parametrize(
    ("message", "text"), [([104, 105, 255], "hi\ufffd"), (["a", "b"], "a\nb"), (None, ""), ({"a": 1}, "")]
)
def test_a_message_may_be_bytes_several_texts_or_nothing(message, text):
    assert record_of(MESSAGE=message).message == text


def test_a_long_message_is_cut_between_characters():
    record = record_of(MESSAGE="ä" * 40 + "x")
    assert (record.message, record.attributes["is_cut"]) == ("ä" * 32, True)


def test_the_id_is_the_entrys_own():
    assert record_of(number=1).id == record_of(number=1, MESSAGE="other").id != record_of(number=2).id


def test_a_job_of_slurm_is_named_by_its_cgroup():
    cgroup = "/system.slice/slurmstepd.scope/job_77/step_0/user/task_0"
    assert record_of(_SYSTEMD_CGROUP=cgroup).job_id == "77"


@pytest.mark.parametrize("text", [b"", b"[]", b"{}", b"{", b"[" * 100_000, b'{"__CURSOR": 1}', b'{"__CURSOR": "a b"}'])
def test_what_is_no_entry_is_refused(text):
    with pytest.raises(ValueError, match=r"."):
        entry_of(text, node="n1", max_message_bytes=64)


def test_the_settings_choose_entries():
    command = journalctl(LogsConfig(journal_units=("a.service", "b*"), journal_priority="err", journal_directory="/j"))
    assert command[0] == "journalctl"
    assert {"--priority=err", "--directory=/j", "--unit=a.service", "--unit=b*"} <= set(command)


@pytest.fixture
def double(tmp_path, monkeypatch):
    """A `journalctl` that writes down how it was called and runs a script; not the real one."""
    folder = tmp_path / "bin"
    folder.mkdir()
    program = folder / "journalctl"
    monkeypatch.setenv("PATH", f"{folder}:{os.environ['PATH']}")

    def install(script):
        program.write_text(f'#!/bin/sh\necho "$@" >> {tmp_path}/calls\n{script}\n')
        program.chmod(program.stat().st_mode | stat.S_IXUSR)

    return install


class Site:
    def __init__(self, folder, **options):
        self.folder, self.clock, self.options = folder, ManualClock(), options
        self.start()

    def start(self):
        options = {"without_kernel_reports": True, "without_pid": None, **self.options}
        self.journal = Journal(
            LogsConfig(max_line_bytes=80), self.folder / "cursor.json", node="n1", clock=self.clock,
            backoff=Backoff(first_seconds=5.0, jitter=0.0), **options,
        )  # fmt: skip

    def messages(self, want, most=100):
        """Those that come until there are as many as wanted; the child is a real process and takes its time."""
        found = []
        end = time.monotonic() + 20
        while len(found) < want and time.monotonic() < end:
            found += [record.message for record in self.journal.take(min(most, want - len(found)))]
            time.sleep(0.01)
        return found

    def calls(self):
        return (self.folder / "calls").read_text().splitlines()


@pytest.fixture
def site(tmp_path):
    made = Site(tmp_path)
    yield made
    made.journal.close()


def new(number, **fields):
    return line(number, __REALTIME_TIMESTAMP="9999999999000000", **fields)


def says(*lines, after="exec sleep 60"):
    return "\n".join([*(f"echo '{one}'" for one in lines), after])


def test_what_the_journal_held_before_the_first_start_is_not_told(double, site):
    site.clock.advance(2_000_000_000 - site.clock.now())
    site.start()
    double(says(line(1), new(2)))
    assert site.messages(1) == ["m2"]
    assert "--lines=1" in site.calls()[0]


def test_a_restart_goes_on_after_the_last_entry_that_was_safe(double, site):
    double(says(new(1), new(2)))
    assert site.messages(1) == ["m1"]
    site.journal.keep_positions()
    assert site.messages(1) == ["m2"]  # was in no queue when the agent died
    site.journal.close()
    site.start()
    assert site.messages(1) == ["m1"]  # the double begins anew
    assert "--after-cursor=s=1;i=1 --no-tail" in site.calls()[1]


def test_entries_beyond_the_rate_wait(double, site):
    double(says(*(new(number) for number in range(5))))
    assert site.messages(2, most=2) == ["m0", "m1"]
    assert site.messages(3) == ["m2", "m3", "m4"]


def test_a_child_that_ends_is_told_once_and_started_again_after_a_while(double, site, caplog):
    double('echo "Failed to open: Permission denied" >&2; exit 1')
    for _ in range(2):
        assert site.journal.take(10) == []
        wait_until(lambda: site.journal.take(10) == [] and site.journal._child is None, what="the child has ended")
        site.clock.advance(10)
    assert len(site.calls()) == 2
    assert [(one.message, one.why) for one in caplog.records] == [
        ("journal not readable", "journalctl ended with exit code 1: Failed to open: Permission denied")
    ]
    double(says(new(7)))
    site.clock.advance(60)
    assert site.messages(1) == ["m7"]


def test_an_entry_without_end_costs_no_memory_and_only_itself(double, site):
    double("head -c 3000000 /dev/zero | tr '\\0' x; echo\n" + says("no entry", new(2)))
    assert site.messages(1) == ["m2"]
    assert site.journal.passed_over == 2
    assert len(site.journal._rest) < 1 << 21


def test_what_the_kernel_log_and_our_own_events_tell_is_left_out(double, tmp_path):
    site = Site(tmp_path, without_pid=42)
    double(says(new(1, _TRANSPORT="kernel", MESSAGE=XID), new(2, _PID="42"), new(3, _TRANSPORT="kernel"), new(4)))
    assert site.messages(2) == ["m3", "m4"]
    site.journal.close()


def test_without_journalctl_it_is_told_once_and_costs_nothing_else(tmp_path, monkeypatch, caplog):
    monkeypatch.setenv("PATH", str(tmp_path))
    site = Site(tmp_path)
    for _ in range(3):
        assert site.journal.take(10) == []
        site.clock.advance(100)
    assert [record.message for record in caplog.records] == ["journal not readable"]


@pytest.mark.parametrize("content", ["", "[]", "{}", '{"schema": "warpgauge.journal-cursor/v1", "cursor": "a b"}'])
def test_a_cursor_that_is_not_ours_is_refused_not_overwritten(tmp_path, content):
    path = tmp_path / "cursor.json"
    path.write_text(content)
    with pytest.raises(StorageError, match="holds no cursor of ours"):
        read_cursor(path)
    assert path.read_text() == content


def test_the_doctor_says_how_old_the_newest_entry_is(double):
    double(says(line(1), after=""))
    assert doctor(LogsConfig()) is None
    check = doctor(LogsConfig(journal=True))
    assert (check.verdict, check.detail[:19]) == (Verdict.OK, "the newest entry is")


@pytest.mark.parametrize(
    ("script", "verdict", "detail"),
    [
        (
            'echo "No journal files were opened due to insufficient permissions." >&2; exit 1',
            "FAIL",
            "No journal files",
        ),
        ("true", "WARN", "there is no entry"),
    ],
)
def test_the_doctor_says_why_there_is_nothing(double, script, verdict, detail):
    double(script)
    check = doctor(LogsConfig(journal=True))
    assert check.verdict == verdict
    assert check.detail.startswith(detail)
    assert "systemd-journal" in check.mend


def test_the_doctor_says_that_journalctl_is_missing(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    check = doctor(LogsConfig(journal=True))
    assert (check.verdict, check.mend[:17]) == (Verdict.FAIL, "install systemd's")
