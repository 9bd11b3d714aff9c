"""The audit log: whatever is done to it shows, as far as its page says; a crash is no fault."""

from __future__ import annotations

import json
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from warpgauge.cli.main import main
from warpgauge.core.audit import AuditLog, head_path, verify
from warpgauge.core.clock import ManualClock
from warpgauge.core.errors import StorageError

LINES = 6


@pytest.fixture
def log(tmp_path: Path) -> Path:
    path = tmp_path / "audit.jsonl"
    one = AuditLog(path, ManualClock())
    for number in range(LINES):
        one.append("ack", "executor slurm", {"recommendationId": str(number), "grüße": [1.5, None]})
    return path


def test_what_was_written_is_whole(log: Path) -> None:
    verdict = verify(log)
    assert (verdict.lines, verdict.head.seq, verdict.fault, verdict.note) == (LINES, LINES, None, None)
    first = json.loads(log.read_text().splitlines()[0])
    assert (first["seq"], first["what"], first["who"], first["prev"]) == (1, "ack", "executor slurm", "0" * 64)
    assert log.stat().st_mode & 0o777 == 0o600


def edited(lines: list[str], place: int) -> list[str]:
    lines[place] = lines[place].replace("slurm", "slarm")
    return lines


def removed(lines: list[str], place: int) -> list[str]:
    return lines[:place] + lines[place + 1 :]


def swapped(lines: list[str], place: int) -> list[str]:
    other = (place + 1) % len(lines)
    lines[place], lines[other] = lines[other], lines[place]
    return lines


def doubled(lines: list[str], place: int) -> list[str]:
    return [*lines[: place + 1], *lines[place:]]


def forged(lines: list[str], place: int) -> list[str]:
    """A line with a hash of its own that is right, which the next one does not follow."""
    document = json.loads(lines[place])
    document["who"] = "somebody else"
    from warpgauge.core.audit import _hash  # noqa: PLC0415 - what an attacker can compute too

    del document["hash"]
    lines[place] = json.dumps({**document, "hash": _hash(document)})
    return lines


@pytest.mark.parametrize("change", [edited, removed, swapped, doubled, forged])
@pytest.mark.parametrize("place", range(LINES))
def test_every_change_of_any_line_shows(log: Path, change: Any, place: int) -> None:
    log.write_text("\n".join(change(log.read_text().splitlines(), place)) + "\n")
    assert verify(log).fault is not None


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_every_changed_byte_shows(log: Path, data: st.DataObject) -> None:
    whole = log.read_bytes()
    place = data.draw(st.integers(0, len(whole) - 2))  # the very last line end carries nothing
    byte = data.draw(st.integers(0, 255).filter(lambda value: value != whole[place]))
    try:
        log.write_bytes(whole[:place] + bytes([byte]) + whole[place + 1 :])
        assert verify(log).fault is not None
    finally:
        log.write_bytes(whole)


@pytest.mark.parametrize("kept", range(LINES))
def test_lines_cut_off_at_the_end_show_against_the_head(log: Path, kept: int) -> None:
    log.write_text("".join(f"{line}\n" for line in log.read_text().splitlines()[:kept]))
    assert "cut off at the end" in (verify(log).fault or "")


def test_a_log_that_was_removed_shows_against_the_head(log: Path) -> None:
    log.unlink()
    assert "cut off at the end" in (verify(log).fault or "")


def test_without_the_head_file_it_is_said_what_cannot_be_seen(log: Path) -> None:
    head_path(log).unlink()
    verdict = verify(log)
    assert verdict.fault is None
    assert "lines cut off at the end do not show" in (verdict.note or "")


def test_a_new_chain_shows_against_a_head_kept_elsewhere(log: Path) -> None:
    head = verify(log).head
    for path in (log, head_path(log)):
        path.unlink()
    again = AuditLog(log, ManualClock())
    for _ in range(LINES + 1):
        again.append("ack", "executor slurm", {})
    assert verify(log).fault is None
    assert "kept elsewhere" in (verify(log, kept=f"{head.seq}:{head.hash}").fault or "")


def test_a_head_kept_elsewhere_holds_while_the_log_grows(log: Path) -> None:
    head = verify(log).head
    AuditLog(log, ManualClock()).append("pause", "ann", {})
    assert verify(log, kept=f"{head.seq}:{head.hash}").fault is None


def test_it_goes_on_after_a_restart(log: Path) -> None:
    AuditLog(log, ManualClock()).append("pause", "ann", {})
    assert (verify(log).lines, verify(log).fault) == (LINES + 1, None)


def test_a_line_that_a_crash_cut_short_is_no_fault_and_goes(log: Path) -> None:
    whole = log.read_bytes()
    log.write_bytes(whole + b'{"seq":7,"at"')
    assert verify(log).fault is None
    AuditLog(log, ManualClock()).append("pause", "ann", {})
    assert (verify(log).lines, verify(log).fault) == (LINES + 1, None)


def test_a_crash_between_the_line_and_the_head_is_no_fault(log: Path) -> None:
    before = head_path(log).read_bytes()
    AuditLog(log, ManualClock()).append("pause", "ann", {})
    head_path(log).write_bytes(before)
    assert verify(log).fault is None


def test_a_head_that_is_two_lines_behind_is_no_crash(log: Path) -> None:
    before = head_path(log).read_bytes()
    again = AuditLog(log, ManualClock())
    for _ in range(2):
        again.append("pause", "ann", {})
    head_path(log).write_bytes(before)
    assert "names another line" in (verify(log).fault or "")


def test_a_broken_chain_is_not_written_on(log: Path) -> None:
    log.write_text(log.read_text().replace("slurm", "slarm", 1))
    before = log.read_bytes()
    with pytest.raises(StorageError, match="was changed: line 1"):
        AuditLog(log, ManualClock())
    assert log.read_bytes() == before


def test_a_line_is_on_the_disk_before_it_counts(tmp_path: Path) -> None:
    forced: list[str] = []
    path = tmp_path / "audit.jsonl"
    one = AuditLog(
        path, ManualClock(), sync=lambda number: forced.append(str(Path(f"/proc/self/fd/{number}").readlink()))
    )
    forced.clear()
    one.append("pause", "ann", {})
    assert forced[0] == str(path)
    assert len(forced) == 3  # the log, the new head, and the directory that it was renamed in


def test_what_cannot_be_written_is_an_error(tmp_path: Path) -> None:
    def full(_: int) -> None:
        msg = "No space left on device"
        raise OSError(msg)

    one = AuditLog(tmp_path / "audit.jsonl", ManualClock())
    one._sync = full
    with pytest.raises(StorageError, match="cannot write the audit log"):
        one.append("pause", "ann", {})
    assert verify(tmp_path / "audit.jsonl").lines == 0


def test_the_verb_says_whole_or_where(log: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify", str(log)], {}) == 0
    assert "6 lines, whole\nhead 6:" in capsys.readouterr().out
    log.write_text(log.read_text().replace("slurm", "slarm", 1))
    assert main(["audit", "verify", str(log)], {}) == 1
    assert "was changed: line 1: its content was changed" in capsys.readouterr().out


def test_the_verb_needs_a_log(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["audit", "verify", str(tmp_path / "none.jsonl")], {}) == 2
    assert "there is no audit log" in capsys.readouterr().err


def test_threads_that_write_at_once_leave_one_chain(tmp_path: Path) -> None:
    one = AuditLog(tmp_path / "audit.jsonl", ManualClock(), sync=lambda _: None)
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(lambda number: one.append("ack", "executor", {"number": number}), range(200)))
    assert (verify(tmp_path / "audit.jsonl").lines, verify(tmp_path / "audit.jsonl").fault) == (200, None)
