"""What the analyzer told, for a table beside the samples: findings, incidents and recommendations as they change.

A row is written when a document is new, ends, or changes its severity or what belongs to it: the newest row of an id is
how it stands. After a restart what still holds is told once more.
"""

from __future__ import annotations

import json
import threading
from dataclasses import asdict, dataclass
from itertools import groupby
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.recommendation import TargetType

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence

    from warpgauge.analyzer.history.folder import Folder
    from warpgauge.analyzer.incidents.engine import Result
    from warpgauge.core.finding import Finding, Incident
    from warpgauge.core.recommendation import Recommendation

__all__ = ["Teller", "Told", "ToldTable", "columns_of"]

MOST_WAITING: Final = 20_000
_HOUR_SECONDS: Final = 3600


@dataclass(frozen=True, slots=True, kw_only=True)
class Told:
    """One row; `document` is the whole document as JSON, what is unknown is None."""

    time: float  # seconds since the epoch, when it was told
    type: str  # finding, incident or recommendation
    id: str
    kind: str | None = None
    severity: str | None = None
    cluster: str | None = None
    node: str | None = None
    uuid: str | None = None
    job_id: str | None = None
    since: float | None = None
    ended: float | None = None
    confidence: float | None = None
    lost_device_seconds: float | None = None
    summary: str
    document: str


class Teller:
    """Knows what was told last of each document; simulated ones are left out."""

    def __init__(self) -> None:
        self._last: dict[tuple[str, str], object] = {}

    def changes(self, result: Result, recommendations: Sequence[Recommendation], now: float) -> list[Told]:
        """What is new or otherwise than told before."""
        current: dict[tuple[str, str], Finding | Incident | Recommendation] = {
            **{("finding", one.id): one for one in (*result.ended, *result.findings)},
            **{("incident", one.id): one for one in (*result.ended_incidents, *result.incidents)},
            **{("recommendation", one.id): one for one in recommendations},
        }
        states = {key: _state(one) for key, one in current.items() if not one.simulated}
        changed = [key for key, state in states.items() if self._last.get(key) != state]
        self._last = states
        return [_row(kind, current[kind, id_], now) for kind, id_ in changed]


class ToldTable:
    """Rows that wait for their file; any thread may `offer`, one flushes.

    Findings are few: what waits is bounded so that a broken disk costs no memory without end.
    """

    def __init__(self, folder: Folder, encode: Callable[[dict[str, list[Any]]], memoryview]) -> None:
        self.folder = folder
        self._encode = encode
        self._lock = threading.Lock()  # guards what waits
        self._waiting: list[Told] = []

    def offer(self, rows: Sequence[Told]) -> int:
        """Take rows without waiting; gives how many there was no room for."""
        with self._lock:
            taken = rows[: MOST_WAITING - len(self._waiting)]
            self._waiting += taken
        return len(rows) - len(taken)

    def flush(self) -> None:
        """Write what waits, a file for each hour.

        Raises:
            StorageError: the disk does not take it; what is not written goes on waiting.

        """
        with self._lock:
            waiting = list(self._waiting)
        for hour, found in groupby(waiting, key=lambda row: int(row.time) // _HOUR_SECONDS):
            rows = list(found)
            self.folder.add(hour, round(rows[0].time * 1000.0), len(rows), self._encode(columns_of(rows)))
            with self._lock:
                del self._waiting[: len(rows)]


def columns_of(rows: Iterable[Told]) -> dict[str, list[Any]]:
    """The rows as columns in the order of the fields."""
    tables = [asdict(row) for row in rows]
    return {name: [table[name] for table in tables] for name in Told.__dataclass_fields__}


def _state(document: Finding | Incident | Recommendation) -> object:
    """What a row is about: everything else (evidence, confidence) moves with each tick."""
    ended, severity = getattr(document, "ended", None), getattr(document, "severity", None)
    members = getattr(document, "findings", None)
    return (ended is not None, severity, members, bool(getattr(document, "muted", None)))


def _row(kind: str, document: Any, now: float) -> Told:  # noqa: ANN401 - one of the three
    whole = document.to_event() if kind == "recommendation" else document.to_json()
    known = dict(_known(kind, document))
    return Told(time=now, type=kind, id=document.id, document=json.dumps(whole, allow_nan=False), **known)


def _known(kind: str, document: Any) -> Iterator[tuple[str, Any]]:  # noqa: ANN401 - as above
    if kind == "recommendation":
        target = document.target[0]
        yield from (("kind", str(document.kind)), ("cluster", target.cluster), ("since", float(document.created)))
        yield from (("confidence", document.confidence), ("summary", document.text.summary))
        yield "node", target.name if target.type is TargetType.NODE else target.node
        yield "uuid", target.name if target.type is TargetType.DEVICE else target.gpu_uuid
        yield "job_id", target.name if target.type is TargetType.WORKLOAD else None
        return
    scope = document.scope
    yield from ((name, getattr(scope, name)) for name in ("cluster", "node", "uuid", "job_id"))
    yield from (("severity", str(document.severity)), ("since", document.since), ("ended", document.ended))
    yield "summary", document.summary
    if kind == "finding":
        yield from (("kind", str(document.kind)), ("confidence", document.confidence))
        yield "lost_device_seconds", document.impact.lost_device_seconds if document.impact else None
