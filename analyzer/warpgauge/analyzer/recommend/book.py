"""What was recommended, decided, answered and verified: one SQLite file, each step one transaction on the disk.

The order of a tick is: written here as not yet handed on; stored in the outbox; marked here as handed on. A crash
between any two of these hands it on again after the restart, as the same document under the same key.
"""

from __future__ import annotations

import json
import os
import sqlite3
import threading
from contextlib import contextmanager
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from warpgauge.analyzer.recommend.ledger import Ledger
from warpgauge.core.ack import Ack, Phase, ack_from_event
from warpgauge.core.errors import StorageError
from warpgauge.core.recommendation import Approval, Recommendation, recommendation_from_event
from warpgauge.core.transaction import transaction

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence
    from pathlib import Path

    from warpgauge.core.withdrawal import Withdrawal

__all__ = ["Book", "Decision", "Pending"]

_KEPT_SECONDS: Final = 90 * 86_400.0
_BUSY_SECONDS: Final = 5.0
_ACTED: Final = (str(Phase.EXECUTING), str(Phase.EXECUTED))
_SCHEMA: Final = """
CREATE TABLE IF NOT EXISTS recommendations (id TEXT PRIMARY KEY, made REAL NOT NULL, event TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS open (finding TEXT PRIMARY KEY, id TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS issued (conflict_group TEXT PRIMARY KEY, at REAL NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS outgoing (number INTEGER PRIMARY KEY AUTOINCREMENT, event TEXT NOT NULL);
CREATE TABLE IF NOT EXISTS decisions (
    id TEXT PRIMARY KEY, verdict TEXT NOT NULL, who TEXT NOT NULL, at REAL NOT NULL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS acks (
    number INTEGER PRIMARY KEY AUTOINCREMENT, id TEXT NOT NULL UNIQUE, recommendation TEXT NOT NULL,
    phase TEXT NOT NULL, at REAL NOT NULL, event TEXT NOT NULL
);
CREATE INDEX IF NOT EXISTS acks_of ON acks (recommendation);
CREATE TABLE IF NOT EXISTS verifications (
    id TEXT PRIMARY KEY, executed REAL NOT NULL, verdict TEXT, detector TEXT, at REAL
) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS withdrawn (id TEXT PRIMARY KEY, at REAL NOT NULL, event TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS asked (id TEXT PRIMARY KEY, event TEXT NOT NULL) WITHOUT ROWID;
CREATE TABLE IF NOT EXISTS settings (name TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
"""


@dataclass(frozen=True, slots=True)
class Decision:
    """What a person said about a recommendation."""

    is_approved: bool
    who: str
    at: float


@dataclass(frozen=True, slots=True)
class Pending:
    """An executed recommendation whose effect is not judged yet."""

    recommendation: Recommendation
    executed: float
    began: float | None = None  # to be executed, None if its executor did not say


class Book:
    """Any thread may call. Without a path it is kept in memory only."""

    def __init__(self, path: Path | None = None) -> None:
        """Open or make it, readable by its owner only.

        Raises:
            StorageError: it cannot be used.

        """
        self._path = path
        self._lock = threading.Lock()  # guards the connection: SQLite's transactions belong to it, not to a thread
        with self._told():
            if path is not None:
                os.close(os.open(path, os.O_RDWR | os.O_CREAT, 0o600))
            self._connection = sqlite3.connect(
                path or ":memory:", timeout=_BUSY_SECONDS, isolation_level=None, check_same_thread=False
            )
            self._connection.execute("PRAGMA journal_mode = WAL")
            self._connection.execute("PRAGMA synchronous = FULL")
            self._connection.executescript(_SCHEMA)

    def ledger(self) -> Ledger:
        """What stood when it was last written."""
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT finding, event FROM open JOIN recommendations USING (id) ORDER BY made, id"
            ).fetchall()
            issued = dict(connection.execute("SELECT conflict_group, at FROM issued").fetchall())
        return Ledger(
            open={finding: recommendation_from_event(json.loads(text)) for finding, text in rows}, issued=issued
        )

    def step(  # noqa: PLR0913 - all that one transaction holds
        self,
        ledger: Ledger,
        fresh: Sequence[Recommendation],
        outgoing: Iterable[Mapping[str, Any]],
        *,
        now: float,
        withdrawn: Sequence[Withdrawal] = (),
        verdicts: Iterable[tuple[Recommendation, str]] = (),
    ) -> None:
        """The ledger after a tick, what is new in it, verdicts, and the events to hand on: all or nothing."""
        with self._transaction() as connection:
            connection.executemany(
                "INSERT OR REPLACE INTO recommendations VALUES (?, ?, ?)",
                [(one.id, one.created, json.dumps(one.to_event())) for one in fresh],
            )
            connection.executemany("DELETE FROM asked WHERE id = ?", [(one.id,) for one in fresh])
            connection.execute("DELETE FROM open")
            connection.executemany(
                "INSERT INTO open VALUES (?, ?)", [(key, one.id) for key, one in ledger.open.items()]
            )
            connection.execute("DELETE FROM issued")
            connection.executemany("INSERT INTO issued VALUES (?, ?)", ledger.issued.items())
            connection.executemany(
                "INSERT OR IGNORE INTO withdrawn VALUES (?, ?, ?)",
                [(one.recommendation_id, one.at, json.dumps(one.to_event())) for one in withdrawn],
            )
            connection.executemany(
                "UPDATE verifications SET verdict = ?, detector = ?, at = ? WHERE id = ?",
                [(verdict, one.cause.detector, now, one.id) for one, verdict in verdicts],
            )
            _put_outgoing(connection, outgoing)
            if fresh:
                _forget(connection, now - _KEPT_SECONDS)

    def queue(self, outgoing: Iterable[Mapping[str, Any]]) -> None:
        """Events to hand on."""
        with self._transaction() as connection:
            _put_outgoing(connection, outgoing)

    def outgoing(self) -> list[tuple[int, dict[str, Any]]]:
        """Events that were not handed on to the outbox yet, in their order."""
        with self._transaction() as connection:
            rows = connection.execute("SELECT number, event FROM outgoing ORDER BY number").fetchall()
        return [(number, json.loads(text)) for number, text in rows]

    def handed_on(self, numbers: Iterable[int]) -> None:
        """The outbox has them."""
        with self._transaction() as connection:
            connection.executemany("DELETE FROM outgoing WHERE number = ?", [(number,) for number in numbers])

    def recommendation(self, recommendation_id: str) -> Recommendation | None:
        """One that was ever made, within three months."""
        with self._transaction() as connection:
            row = connection.execute("SELECT event FROM recommendations WHERE id = ?", (recommendation_id,)).fetchone()
        return recommendation_from_event(json.loads(row[0])) if row else None

    def decide(
        self,
        recommendation_id: str,
        decision: Decision,
        outgoing: Iterable[Mapping[str, Any]] = (),
        *,
        asked: Recommendation | None = None,
    ) -> None:
        """Keep what a person said, what is to be handed on for it, and what the next step is `asked` to recommend."""
        verdict = "approved" if decision.is_approved else "rejected"
        with self._transaction() as connection:
            connection.execute(
                "INSERT OR REPLACE INTO decisions VALUES (?, ?, ?, ?)",
                (recommendation_id, verdict, decision.who, decision.at),
            )
            if asked is not None:
                row = (asked.id, json.dumps(asked.to_event()))
                connection.execute("INSERT OR REPLACE INTO asked VALUES (?, ?)", row)
            _put_outgoing(connection, outgoing)

    def asked(self) -> list[Recommendation]:
        """What a person asked for and no step has recommended yet."""
        with self._transaction() as connection:
            rows = connection.execute("SELECT event FROM asked ORDER BY id").fetchall()
        return [recommendation_from_event(json.loads(text)) for (text,) in rows]

    def decisions(self) -> dict[str, Decision]:
        """By recommendation."""
        with self._transaction() as connection:
            rows = connection.execute("SELECT id, verdict, who, at FROM decisions").fetchall()
        return {name: Decision(verdict == "approved", who, at) for name, verdict, who, at in rows}

    def add_ack(self, ack: Ack) -> bool:
        """Keep an ack; whether it is new. One of phase executed makes its recommendation one to be verified."""
        with self._transaction() as connection:
            cursor = connection.execute(
                "INSERT OR IGNORE INTO acks (id, recommendation, phase, at, event) VALUES (?, ?, ?, ?, ?)",
                (ack.id, ack.recommendation_id, str(ack.phase), ack.at, json.dumps(ack.to_event())),
            )
            if cursor.rowcount and ack.phase is Phase.EXECUTED:
                connection.execute(
                    "INSERT OR IGNORE INTO verifications (id, executed) VALUES (?, ?)", (ack.recommendation_id, ack.at)
                )
        return cursor.rowcount > 0

    def acks(self, recommendation_id: str) -> list[Ack]:
        """All acks of a recommendation, in the order in which they came."""
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT event FROM acks WHERE recommendation = ? ORDER BY number", (recommendation_id,)
            ).fetchall()
        return [ack_from_event(json.loads(text)) for (text,) in rows]

    def acted_on(self) -> frozenset[str]:
        """Recommendations that somebody executes or has executed: these are not withdrawn any more."""
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT DISTINCT recommendation FROM acks WHERE phase IN (?, ?)", _ACTED
            ).fetchall()
        return frozenset(name for (name,) in rows)

    def unverified(self) -> list[Pending]:
        """Executed, and not judged yet, oldest first."""
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT recommendations.event, executed, max(acks.at)"
                " FROM verifications JOIN recommendations USING (id)"
                " LEFT JOIN acks ON acks.recommendation = verifications.id AND phase = ?"
                " WHERE verdict IS NULL GROUP BY verifications.id ORDER BY executed, verifications.id",
                (str(Phase.EXECUTING),),
            ).fetchall()
        return [Pending(recommendation_from_event(json.loads(text)), *times) for text, *times in rows]

    def verdicts(self, since: float) -> dict[tuple[str, str], int]:
        """How often each verdict fell, by (detector, verdict)."""
        with self._transaction() as connection:
            rows = connection.execute(
                "SELECT detector, verdict, count(*) FROM verifications WHERE verdict IS NOT NULL AND at >= ?"
                " GROUP BY detector, verdict",
                (since,),
            ).fetchall()
        return {(detector, verdict): count for detector, verdict, count in rows}

    def withdrawn(self, since: float) -> list[dict[str, Any]]:
        """Withdrawals as events, oldest first."""
        with self._transaction() as connection:
            rows = connection.execute("SELECT event FROM withdrawn WHERE at >= ? ORDER BY at, id", (since,)).fetchall()
        return [json.loads(text) for (text,) in rows]

    def setting(self, name: str) -> str | None:
        """Something that outlives a restart, such as the mode."""
        with self._transaction() as connection:
            row = connection.execute("SELECT value FROM settings WHERE name = ?", (name,)).fetchone()
        return str(row[0]) if row else None

    def set(self, name: str, value: str | None) -> None:
        """Set it, or forget it."""
        with self._transaction() as connection:
            if value is None:
                connection.execute("DELETE FROM settings WHERE name = ?", (name,))
            else:
                connection.execute("INSERT OR REPLACE INTO settings VALUES (?, ?)", (name, value))

    def close(self) -> None:
        """Close the file."""
        with self._lock:
            self._connection.close()

    @contextmanager
    def _transaction(self) -> Iterator[sqlite3.Connection]:
        with self._lock, self._told(), transaction(self._connection) as connection:
            yield connection

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sqlite3.ProgrammingError:
            raise  # used after close(): a fault of the caller
        except (sqlite3.DatabaseError, OSError) as error:
            msg = f"cannot use the book of recommendations {self._path}: {error}"
            raise StorageError(msg) from error


def approved(recommendation: Recommendation, decision: Decision | None, mode: str) -> Approval:
    """A recommendation's approval as it stands now."""
    asked = recommendation.approval
    if decision is None or not decision.is_approved:
        return Approval(required=asked.required, policy=mode)
    return Approval(required=asked.required, policy=mode, by=decision.who, at=decision.at)


def _put_outgoing(connection: sqlite3.Connection, events: Iterable[Mapping[str, Any]]) -> None:
    connection.executemany("INSERT INTO outgoing (event) VALUES (?)", [(json.dumps(event),) for event in events])


def _forget(connection: sqlite3.Connection, before: float) -> None:
    connection.execute("DELETE FROM recommendations WHERE made < ? AND id NOT IN (SELECT id FROM open)", (before,))
    for table, column in (("decisions", "at"), ("acks", "at"), ("withdrawn", "at"), ("verifications", "executed")):
        connection.execute(f"DELETE FROM {table} WHERE {column} < ?", (before,))  # noqa: S608 - words of ours
