"""What an executor has done, by idempotency key: on the disk before the next step, so that a crash repeats nothing."""

from __future__ import annotations

import json
import os
import sqlite3
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Self

from warpgauge.core.ack import NativeRef, Phase  # noqa: TC001 - read at run time, by get_type_hints
from warpgauge.core.document import Instant, from_document, to_document
from warpgauge.core.errors import StorageError
from warpgauge.core.recommendation import Recommendation  # noqa: TC001 - as above

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["Entry", "Journal"]

_KEPT_SECONDS: Final = 90 * 86_400.0  # after the last change: longer than anything could be asked to be undone
_BUSY_SECONDS: Final = 1.0
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS entries (
    key TEXT PRIMARY KEY, id TEXT NOT NULL, changed REAL NOT NULL, document TEXT NOT NULL
) WITHOUT ROWID;
CREATE INDEX IF NOT EXISTS by_id ON entries (id);
CREATE TABLE IF NOT EXISTS withdrawn (id TEXT PRIMARY KEY, changed REAL NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """How far one recommendation has come here."""

    recommendation: Recommendation
    attempt: int = 1
    phase: Phase | None = None  # None: nothing was said yet in this attempt
    native_refs: tuple[NativeRef, ...] = ()
    rest_until: Instant = 0.0  # no attempt before it


class Journal:
    """One SQLite file. Any thread of one process may use it, one at a time; a second process is refused."""

    def __init__(self, path: Path) -> None:
        """Open or make it, readable by its owner only.

        Raises:
            StorageError: it cannot be used, or another process does.

        """
        self._path = path
        with self._told():
            os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._connection = sqlite3.connect(
                path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            # One process: two workers on one journal would both act. The lock ends with the process.
            self._connection.execute("PRAGMA locking_mode = EXCLUSIVE")
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(_SCHEMA)

    def get(self, key: str) -> Entry | None:
        """What is known of an idempotency key."""
        return self._one("SELECT document FROM entries WHERE key = ?", key)

    def by_id(self, recommendation_id: str) -> Entry | None:
        """What is known of a recommendation."""
        return self._one("SELECT document FROM entries WHERE id = ?", recommendation_id)

    def unfinished(self) -> list[Entry]:
        """Everything that has not come to an end."""
        with self._told():
            rows = self._connection.execute("SELECT document FROM entries ORDER BY changed, key").fetchall()
        entries = [_entry(text) for (text,) in rows]
        return [entry for entry in entries if entry.phase is None or not entry.phase.is_final]

    def put(self, entry: Entry, now: float) -> None:
        """Write down; it is on the disk once this returns."""
        document = json.dumps(to_document(entry), allow_nan=False)
        recommendation = entry.recommendation
        with self._told():
            self._connection.execute(
                "INSERT OR REPLACE INTO entries VALUES (?, ?, ?, ?)",
                (recommendation.idempotency_key, recommendation.id, now, document),
            )

    def withdraw(self, recommendation_id: str, now: float) -> None:
        """Remember that it was taken back, also if it was never seen: documents can overtake one another."""
        with self._told():
            self._connection.execute("INSERT OR IGNORE INTO withdrawn VALUES (?, ?)", (recommendation_id, now))

    def is_withdrawn(self, recommendation_id: str) -> bool:
        """Whether it was taken back."""
        with self._told():
            row = self._connection.execute("SELECT 1 FROM withdrawn WHERE id = ?", (recommendation_id,)).fetchone()
        return row is not None

    def forget(self, now: float) -> None:
        """Drop what ended long ago."""
        with self._told():
            for table in ("entries", "withdrawn"):
                self._connection.execute(f"DELETE FROM {table} WHERE changed < ?", (now - _KEPT_SECONDS,))  # noqa: S608 - two words of ours

    def close(self) -> None:
        """Close the file."""
        self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _one(self, query: str, value: str) -> Entry | None:
        with self._told():
            row = self._connection.execute(query, (value,)).fetchone()
        return _entry(row[0]) if row else None

    @contextmanager
    def _told(self) -> Iterator[None]:
        """Errors of SQLite and the file as ours."""
        try:
            yield
        except (sqlite3.DatabaseError, OSError, ValueError) as error:
            msg = f"cannot use the executor's journal {self._path}: {error}; move it away to begin a new one"
            raise StorageError(msg) from error


def _entry(text: str) -> Entry:
    return from_document(Entry, json.loads(text))
