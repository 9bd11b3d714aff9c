"""The audit log: every record is there, in its order, as it was written, or it shows."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from warpgauge.core.audit import AuditLog, verify
from warpgauge.core.clock import ManualClock
from warpgauge.core.errors import InputError, StorageError

if TYPE_CHECKING:
    from pathlib import Path


def written(folder: Path, *events: str) -> Path:
    clock = ManualClock(seconds=100.0)
    for event in events:
        AuditLog(folder / "audit.jsonl", clock).append(event, reason="why", until=None)
    return folder / "audit.jsonl"


def test_records_are_chained_over_restarts(tmp_path: Path):
    path = written(tmp_path, "one", "two", "three")

    assert verify(path) == 3
    records = [json.loads(line) for line in path.read_text().splitlines()]
    assert [(one["sequence"], one["event"], one["reason"]) for one in records] == [
        (1, "one", "why"), (2, "two", "why"), (3, "three", "why")
    ]  # fmt: skip
    assert "until" not in records[0]
    assert path.stat().st_mode & 0o777 == 0o600


@pytest.mark.parametrize(
    ("spoil", "line"),
    [
        (lambda lines: [lines[0], lines[1].replace("two", "owt"), lines[2]], 2),
        (lambda lines: [lines[0], lines[2]], 2),
        (lambda lines: [lines[1], lines[0], lines[2]], 1),
        (lambda lines: [*lines, lines[-1]], 4),
        (lambda lines: [*lines[:2], "rubbish"], 3),
        (lambda lines: [*lines[:2], "[]"], 3),
    ],
)
def test_a_record_that_was_changed_moved_or_left_out_shows(tmp_path: Path, spoil, line: int):
    path = written(tmp_path, "one", "two", "three")
    path.write_text("".join(f"{one}\n" for one in spoil(path.read_text().splitlines())))

    with pytest.raises(InputError, match=rf"audit\.jsonl:{line}: "):
        verify(path)


def test_a_record_that_a_crash_cut_off_gives_way_to_the_next(tmp_path: Path):
    path = written(tmp_path, "one", "two")
    path.write_bytes(path.read_bytes()[:-30])

    written(tmp_path, "three")

    assert verify(path) == 2
    assert json.loads(path.read_text().splitlines()[-1])["event"] == "three"


def test_a_file_of_somebody_else_is_left_as_it_is(tmp_path: Path):
    path = tmp_path / "audit.jsonl"
    path.write_text("notes of mine\n")

    with pytest.raises(StorageError, match="none of ours"):
        written(tmp_path, "one")

    assert path.read_text() == "notes of mine\n"


def test_a_log_that_cannot_be_written_says_so(tmp_path: Path):
    with pytest.raises(StorageError, match="cannot write the audit log"):
        AuditLog(tmp_path / "no" / "audit.jsonl").append("one")
