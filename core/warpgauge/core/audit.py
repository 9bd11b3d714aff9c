"""The audit log: append-only JSON Lines, each line bound to all before it by a chain of hashes.

A line is `{"seq","at","what","who","about":{},"prev","hash"}`; `hash` is SHA-256 over the line without it, `prev` the
hash of the line before. Whoever edits, inserts, removes or reorders lines breaks the chain at that place. Lines cut off
at the end leave a chain that is whole; that shows only against the head file beside it, which names the last line, or
against a head that was kept elsewhere. Who can write both files can also write a new chain: keep heads on another
machine.
"""

from __future__ import annotations

import hashlib
import json
import os
import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.atomic import append_durably, write_atomically
from warpgauge.core.document import rfc3339
from warpgauge.core.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

    from warpgauge.core.clock import Clock

__all__ = ["AuditLog", "Head", "Verdict", "head_path", "verify"]

_START: Final = "0" * 64
_MOST_LINE_BYTES: Final = 1 << 20


@dataclass(frozen=True, slots=True)
class Head:
    """The last line of a log: its number, from 1, and its hash."""

    seq: int = 0
    hash: str = _START


@dataclass(frozen=True, slots=True, kw_only=True)
class Verdict:
    """What a check of a log found; `fault` is None if the chain is whole, `note` what the check could not exclude."""

    lines: int
    head: Head
    fault: str | None = None
    note: str | None = None


def head_path(path: Path) -> Path:
    """Where the head of a log is kept."""
    return path.with_name(f"{path.name}.head")


class AuditLog:
    """One log that one process appends to, from any thread."""

    def __init__(self, path: Path, clock: Clock, *, sync: Callable[[int], None] = os.fsync) -> None:
        """Go on after the last whole line.

        Raises:
            StorageError: the log cannot be read, or its chain is broken; it is left as it is.

        """
        self._path = path
        self._clock = clock
        self._sync = sync
        self._lock = threading.Lock()  # guards the head: each line rests on the one before
        found = verify(path)
        if found.fault:
            msg = (
                f"the audit log {path} was changed: {found.fault}; keep it as evidence, move it away to begin a new one"
            )
            raise StorageError(msg)
        self._head = found.head
        _cut_torn_line(path)
        self._write_head()

    @property
    def head(self) -> Head:
        """The last line."""
        return self._head

    def append(self, what: str, who: str, about: Mapping[str, Any]) -> None:
        """Write one line; it is on the disk once this returns.

        Raises:
            StorageError: it may not be; what it is about must not be done.

        """
        with self._lock:
            self._append(what, who, about)

    def _append(self, what: str, who: str, about: Mapping[str, Any]) -> None:
        line = {
            "seq": self._head.seq + 1,
            "at": rfc3339(self._clock.now()),
            "what": what,
            "who": who,
            "about": about,
            "prev": self._head.hash,
        }
        made = _hash(line)
        try:
            append_durably(self._path, _json({**line, "hash": made}) + b"\n", sync=self._sync)
        except OSError as error:
            msg = f"cannot write the audit log {self._path}: {error.strerror or error}"
            raise StorageError(msg) from error
        self._head = Head(self._head.seq + 1, made)
        self._write_head()

    def _write_head(self) -> None:
        content = _json({"seq": self._head.seq, "hash": self._head.hash}) + b"\n"
        write_atomically(head_path(self._path), content, mode=0o600, sync=self._sync)


def verify(path: Path, *, kept: str | None = None) -> Verdict:
    """Read a whole log and its head file; `kept` is a head SEQ:HASH from elsewhere that the log must hold.

    Raises:
        StorageError: the log is there and cannot be read.

    """
    head, lines, is_held = Head(), 0, kept is None
    try:
        for number, (line, is_whole) in enumerate(_lines(path), 1):
            if not is_whole and _parsed(line) is None:
                break  # a crash cut it short before anything could rest on it
            fault = _fault(line, head)
            if fault:
                return Verdict(lines=lines, head=head, fault=f"line {number}: {fault}")
            head, lines = Head(head.seq + 1, json.loads(line)["hash"]), number
            is_held = is_held or f"{head.seq}:{head.hash}" == kept
    except FileNotFoundError:
        pass
    except OSError as error:
        msg = f"cannot read the audit log {path}: {error.strerror or error}"
        raise StorageError(msg) from error
    if not is_held:
        return Verdict(lines=lines, head=head, fault=f"it does not hold the line {kept} that was kept elsewhere")
    return _against_head(path, lines, head)


def _cut_torn_line(path: Path) -> None:
    """Remove what a crash left of a line that was never promised to anybody."""
    try:
        with path.open("r+b") as file:
            content = file.read()
            torn = content[content.rfind(b"\n") + 1 :]
            if torn and _parsed(torn) is None:
                file.truncate(len(content) - len(torn))
    except FileNotFoundError:
        pass


def _against_head(path: Path, lines: int, head: Head) -> Verdict:
    kept = _kept_head(path)
    if kept is None and lines:
        return Verdict(
            lines=lines, head=head, note=f"{head_path(path)} is missing: lines cut off at the end do not show"
        )
    if kept is not None and kept.seq > head.seq:
        fault = f"it ends at line {head.seq}, and there were {kept.seq}: lines were cut off at the end"
        return Verdict(lines=lines, head=head, fault=fault)
    # A head one behind is a crash between the two files; further behind nothing of ours leaves it.
    if kept is not None and (kept.seq < head.seq - 1 or (kept.seq == head.seq and kept.hash != head.hash)):
        return Verdict(lines=lines, head=head, fault=f"{head_path(path)} names another line {kept.seq}")
    return Verdict(lines=lines, head=head)


def _kept_head(path: Path) -> Head | None:
    try:
        document = json.loads(head_path(path).read_bytes())
        return Head(int(document["seq"]), str(document["hash"]))
    except (OSError, ValueError, KeyError, TypeError):
        return None


def _lines(path: Path) -> Iterator[tuple[bytes, bool]]:
    """Lines without their end, and whether they had one; empty ones close a line that a crash cut short."""
    with path.open("rb") as file:
        while line := file.readline(_MOST_LINE_BYTES):
            yield line.removesuffix(b"\n"), line.endswith(b"\n")


def _fault(line: bytes, before: Head) -> str | None:
    document = _parsed(line)
    if document is None:
        return "it is no JSON object"
    if document.get("seq") != before.seq + 1:
        return f"it is number {document.get('seq')}, number {before.seq + 1} was expected"
    if document.get("prev") != before.hash:
        return "it does not follow the line before it"
    if document.pop("hash", None) != _hash(document):
        return "its content was changed"
    return None


def _parsed(line: bytes) -> dict[str, Any] | None:
    try:
        document = json.loads(line)
    except ValueError:
        return None
    return document if isinstance(document, dict) else None


def _hash(line: Mapping[str, Any]) -> str:
    return hashlib.sha256(_json(line)).hexdigest()


def _json(document: Mapping[str, Any]) -> bytes:
    return json.dumps(document, sort_keys=True, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
