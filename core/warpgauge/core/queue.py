"""The one durable queue: what is appended is delivered at least once or counted as dropped, whatever dies when.

One SQLite file in WAL mode. Every change of contents and counters is one transaction, so a process killed at any
statement leaves the state before or after it. `synchronous` says what a power cut may cost: NORMAL the last
transactions, FULL nothing (https://www.sqlite.org/pragma.html#pragma_synchronous).
"""

from __future__ import annotations

import os
import sqlite3
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal, Self

from warpgauge.core.clock import Clock, SystemClock
from warpgauge.core.errors import StorageError
from warpgauge.core.transaction import transaction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from pathlib import Path

__all__ = ["Batch", "DurableQueue", "QueueStats"]

_APPLICATION_ID: Final = 0x57475131  # "WGQ1", at byte 68 of the file
_MAGIC: Final = b"SQLite format 3\x00"
_BUSY_SECONDS: Final = 5.0
_SCHEMA: Final = (
    "CREATE TABLE batches (id INTEGER PRIMARY KEY AUTOINCREMENT, created REAL NOT NULL, body BLOB NOT NULL)",
    # A row with a reason is a dead letter: kept for people, never delivered, first to go when room is short.
    "ALTER TABLE batches ADD COLUMN reason TEXT",
    "CREATE INDEX live ON batches (id, created) WHERE reason IS NULL",
    "CREATE INDEX age ON batches (created)",
    "CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID",
    "INSERT INTO counters VALUES ('bytes', 0), ('acked', 0), ('dropped', 0), ('dead_lettered', 0)",
)


@dataclass(frozen=True, slots=True)
class Batch:
    """One stored batch; `id` rises with every append and is never used again."""

    id: int
    created: float  # seconds since the epoch
    body: bytes


@dataclass(frozen=True, slots=True, kw_only=True)
class QueueStats:
    """What is stored now, and what became of the rest since the file was made."""

    records: int
    bytes: int  # bodies, dead letters included
    oldest_timestamp: float | None
    acked: int
    dropped: int
    dead_lettered: int


class DurableQueue:
    """Batches in order of arrival; when room or age runs out the oldest are dropped and counted.

    Any thread may call; a second process may open the same file.
    """

    def __init__(
        self,
        path: Path,
        *,
        max_bytes: int,
        max_age_seconds: float,
        clock: Clock | None = None,
        synchronous: Literal["NORMAL", "FULL"] = "NORMAL",
    ) -> None:
        self._path = path
        self._max_bytes = max_bytes
        self._max_age_seconds = max_age_seconds
        self._clock = clock or SystemClock()
        self._lock = threading.Lock()  # guards the connection: SQLite's transactions belong to it, not to a thread
        self._connection = self._open(synchronous)

    @property
    def max_bytes(self) -> int:
        """What may be stored; beyond it the oldest is dropped."""
        return self._max_bytes

    def append(self, body: bytes) -> int:
        """Store a batch; its id. It is safe (see `synchronous`) once this returns.

        Raises:
            StorageError: the body alone is larger than the queue may be, or the file cannot be written.

        """
        if len(body) > self._max_bytes:
            msg = (
                f"{self._path}: a batch of {len(body)} bytes is larger than the whole queue may be ({self._max_bytes})"
            )
            raise StorageError(msg)
        with self._transaction() as connection:
            self._drop_old(connection)
            self._make_room(connection, len(body))
            cursor = connection.execute("INSERT INTO batches (created, body) VALUES (?, ?)", (self._clock.now(), body))
            self._count(connection, bytes=len(body))
        return int(cursor.lastrowid or 0)

    def peek(self, limit: int, *, after: int = 0) -> list[Batch]:
        """The oldest batches with an id above `after`, at most `limit`; they stay until acknowledged."""
        with self._transaction() as connection:
            self._drop_old(connection)
            rows = connection.execute(
                "SELECT id, created, body FROM batches WHERE reason IS NULL AND id > ? ORDER BY id LIMIT ?",
                (after, limit),
            ).fetchall()
        return [Batch(*row) for row in rows]

    def ack(self, ids: Iterable[int]) -> int:
        """Delete delivered batches; how many were still there (an id acknowledged twice counts once)."""
        with self._transaction() as connection:
            gone = _rows_of(connection, "SELECT id, length(body) FROM batches WHERE id = ? AND reason IS NULL", ids)
            self._delete(connection, gone)
            self._count(connection, acked=len(gone))
        return len(gone)

    def dead_letter(self, ids: Iterable[int], reason: str) -> int:
        """Set batches aside that can never be delivered; how many were still there."""
        with self._transaction() as connection:
            live = _rows_of(connection, "SELECT id FROM batches WHERE id = ? AND reason IS NULL", ids)
            connection.executemany(
                "UPDATE batches SET reason = ? WHERE id = ?", [(reason, number) for (number,) in live]
            )
            self._count(connection, dead_lettered=len(live))
        return len(live)

    def dead_letters(self, limit: int) -> list[tuple[Batch, str]]:
        """The newest batches that were set aside, with the reason."""
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT id, created, body, reason FROM batches WHERE reason IS NOT NULL ORDER BY id DESC LIMIT ?",
                (limit,),
            ).fetchall()
        return [(Batch(*row[:3]), row[3]) for row in rows]

    def stats(self) -> QueueStats:
        """What is stored now and the counters, which survive restarts."""
        with self._transaction() as connection:
            counters = dict(connection.execute("SELECT name, value FROM counters").fetchall())
            records, oldest = connection.execute(
                "SELECT count(*), min(created) FROM batches WHERE reason IS NULL"
            ).fetchone()
        return QueueStats(records=records, oldest_timestamp=oldest, **counters)

    def close(self) -> None:
        """Close the file; everything appended is in it."""
        with self._lock:
            self._connection.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _drop_old(self, connection: sqlite3.Connection) -> None:
        oldest_allowed = self._clock.now() - self._max_age_seconds
        rows = connection.execute(
            "SELECT id, length(body), reason IS NULL FROM batches WHERE created < ?", (oldest_allowed,)
        ).fetchall()
        self._drop(connection, rows)

    def _make_room(self, connection: sqlite3.Connection, needed: int) -> None:
        """Drop dead letters first, then the oldest batches, until `needed` bytes fit."""
        (stored,) = connection.execute("SELECT value FROM counters WHERE name = 'bytes'").fetchone()
        excess = stored + needed - self._max_bytes
        if excess <= 0:
            return
        rows = []
        for row in connection.execute(
            "SELECT id, length(body), reason IS NULL FROM batches ORDER BY reason IS NULL, id"
        ):
            rows.append(row)
            excess -= row[1]
            if excess <= 0:
                break
        self._drop(connection, rows)

    def _drop(self, connection: sqlite3.Connection, rows: Sequence[tuple[int, int, int]]) -> None:
        """Delete rows of (id, size, was live); only live ones count as dropped."""
        self._delete(connection, [row[:2] for row in rows])
        self._count(connection, dropped=sum(was_live for _, _, was_live in rows))

    def _delete(self, connection: sqlite3.Connection, rows: Sequence[tuple[int, int]]) -> None:
        connection.executemany("DELETE FROM batches WHERE id = ?", [(number,) for number, _ in rows])
        self._count(connection, bytes=-sum(size for _, size in rows))

    def _count(self, connection: sqlite3.Connection, **changes: int) -> None:
        connection.executemany(
            "UPDATE counters SET value = value + ? WHERE name = ?",
            [(change, name) for name, change in changes.items() if change],
        )

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._told(), transaction(self._connection) as connection:
            yield connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        """SQLite's errors as ours: the file and the mend."""
        try:
            yield
        except sqlite3.ProgrammingError:
            raise  # used after close(): a fault of the caller
        except sqlite3.OperationalError as error:
            msg = f"cannot use the queue {self._path}: {error}; check free space, permissions and other processes"
            raise StorageError(msg) from error
        except sqlite3.DatabaseError as error:
            raise self._not_ours(str(error)) from error

    def _not_ours(self, why: str) -> StorageError:
        return StorageError(f"{self._path} is not a readable queue of ours ({why}); move it away, nothing was changed")

    def _open(self, synchronous: str) -> sqlite3.Connection:
        self._check_header()
        with self._told():
            connection = sqlite3.connect(
                self._path, timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            try:
                self._prepare(connection, synchronous)
            except BaseException:
                connection.close()
                raise
        return connection

    def _check_header(self) -> None:
        """Refuse a foreign file before SQLite could touch it; make a new one readable by its owner only."""
        try:
            descriptor = os.open(self._path, os.O_RDWR | os.O_CREAT | getattr(os, "O_BINARY", 0), 0o600)
            with os.fdopen(descriptor, "rb") as file:
                header = file.read(100)
        except OSError as error:
            msg = f"cannot open the queue {self._path}: {error.strerror or error}"
            raise StorageError(msg) from error
        if header and not header.startswith(_MAGIC):
            why = "it is not a SQLite file"
            raise self._not_ours(why)
        # The schema and this id become visible in one commit, so a file of ours is empty or has the id.
        if header and int.from_bytes(header[68:72], "big") != _APPLICATION_ID:
            why = "it belongs to another application"
            raise self._not_ours(why)

    def _prepare(self, connection: sqlite3.Connection, synchronous: str) -> None:
        connection.execute("BEGIN IMMEDIATE")
        if connection.execute("PRAGMA application_id").fetchone() != (_APPLICATION_ID,):
            for statement in (*_SCHEMA, f"PRAGMA application_id = {_APPLICATION_ID}"):
                connection.execute(statement)
        connection.execute("COMMIT")
        connection.execute("PRAGMA journal_mode = WAL")
        connection.execute(f"PRAGMA synchronous = {synchronous}")


def _rows_of(connection: sqlite3.Connection, query: str, ids: Iterable[int]) -> list[Any]:
    """Rows of a query by id, each id asked once."""
    return [row for number in dict.fromkeys(ids) for row in connection.execute(query, (number,)).fetchall()]
