"""The audit log: who ordered what, a line of JSON each, chained so that a changed or missing line shows.

Each record holds the hash of the one before it and its own: SHA-256 over the record without `hash`, as JSON with sorted
keys and no spaces. Lines are only ever added, and forced to disk before the order counts. One process writes; anybody
may read. Cutting off the end cannot be seen from inside: keep the last hash elsewhere if that matters.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.clock import Clock, SystemClock
from warpgauge.core.errors import InputError, StorageError

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import BinaryIO

__all__ = ["AUDIT_FILE", "AuditLog", "verify"]

AUDIT_FILE: Final = "audit.jsonl"
_FIRST: Final = "0" * 64
_MOST_LINE: Final = 1 << 16


class AuditLog:
    """Adds records to a file; any thread may call."""

    def __init__(self, path: Path, clock: Clock | None = None) -> None:
        self.path = path
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()  # guards the file: a record holds the hash of the one before it

    def append(self, event: str, **fields: str | float | None) -> None:
        """Add a record and force it to disk; fields that are None are left out.

        Raises:
            StorageError: it cannot be written, or the last line is not one of ours.

        """
        with self._lock:
            try:
                self._append(event, {name: value for name, value in fields.items() if value is not None})
            except OSError as error:
                msg = f"cannot write the audit log {self.path}: {error.strerror or error}"
                raise StorageError(msg) from error

    def _append(self, event: str, fields: Mapping[str, str | float]) -> None:
        descriptor = os.open(self.path, os.O_RDWR | os.O_CREAT | getattr(os, "O_CLOEXEC", 0), 0o600)
        with os.fdopen(descriptor, "r+b") as file:
            end, last = _last_line(file)
            sequence, previous = _place_of(last, self.path)
            own = {"sequence": sequence + 1, "time": self._clock.now(), "event": event}
            record = {**fields, **own, "previous": previous}
            file.seek(end)
            file.truncate()  # a record that was cut off by a crash never counted
            file.write(_line({**record, "hash": _hash(record)}))
            file.flush()
            os.fsync(file.fileno())


def verify(path: Path) -> int:
    """How many records there are, if all are as they were written.

    Raises:
        InputError: a record was changed, left out or put elsewhere; the message names the line.
        StorageError: the file cannot be read.

    """
    previous, sequence = _FIRST, 0
    try:
        with path.open("rb") as file:
            for line in file:
                record = _record(line, path, sequence + 1)
                if (record.get("previous"), record.get("sequence")) != (previous, sequence + 1):
                    msg = f"{path}:{sequence + 1}: it does not follow the record before it"
                    raise InputError(msg)
                previous, sequence = str(record["hash"]), sequence + 1
    except OSError as error:
        msg = f"cannot read the audit log {path}: {error.strerror or error}"
        raise StorageError(msg) from error
    return sequence


def _record(line: bytes, path: Path, number: int) -> dict[str, Any]:
    """A line whose hash is right."""
    try:
        record = json.loads(line)
        claimed = record.pop("hash")
        is_sound = line.endswith(b"\n") and _hash(record) == claimed
    except (ValueError, KeyError, TypeError, AttributeError):
        is_sound = False
    if not is_sound:
        msg = f"{path}:{number}: it is not as it was written"
        raise InputError(msg)
    return {**record, "hash": claimed}


def _place_of(last: bytes, path: Path) -> tuple[int, str]:
    """Number and hash of the last record."""
    if not last:
        return 0, _FIRST
    try:
        record = json.loads(last)
        return int(record["sequence"]), str(record["hash"])
    except (ValueError, KeyError, TypeError) as error:
        msg = f"the last line of the audit log {path} is none of ours; move the file away and look into it"
        raise StorageError(msg) from error


def _last_line(file: BinaryIO) -> tuple[int, bytes]:
    """Where the next record belongs, and the whole line before it."""
    size = file.seek(0, os.SEEK_END)
    start = max(0, size - 2 * _MOST_LINE)
    file.seek(start)
    tail = file.read()
    whole = tail[: tail.rfind(b"\n") + 1]
    return start + len(whole), whole[whole[:-1].rfind(b"\n") + 1 :]


def _line(record: Mapping[str, Any]) -> bytes:
    line = json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False).encode() + b"\n"
    if len(line) > _MOST_LINE:
        msg = f"a record of the audit log has {len(line)} bytes, {_MOST_LINE} is the most"
        raise StorageError(msg)
    return line


def _hash(record: Mapping[str, Any]) -> str:
    text = json.dumps(record, sort_keys=True, separators=(",", ":"), allow_nan=False)
    return hashlib.sha256(text.encode()).hexdigest()
