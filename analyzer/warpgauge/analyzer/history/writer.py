"""The history's own thread: collects what the frame's thread offers, and writes it every few minutes.

What waits is bounded: beyond it the newest is dropped and counted. A disk that does not take a file costs nothing at
first, the rows go on waiting; only what then finds no room is lost.
"""

from __future__ import annotations

import logging
import threading
from collections import Counter
from dataclasses import dataclass
from functools import partial
from itertools import accumulate
from typing import TYPE_CHECKING, Any, Final

from warpgauge.analyzer.history.folder import Folder
from warpgauge.analyzer.history.rows import sheets_of
from warpgauge.analyzer.history.told import ToldTable
from warpgauge.core.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from pathlib import Path

    from warpgauge.analyzer.history.rows import Rows, Sheet
    from warpgauge.analyzer.history.told import Told
    from warpgauge.core.clock import Clock
    from warpgauge.core.config import HistoryConfig

__all__ = ["REASONS", "HistoryStats", "HistoryWriter"]

REASONS: Final = ("age", "fault", "queue", "series", "size", "time")
"""Why rows are not, or no longer, there."""

MOST_WAITING: Final = 4_000_000  # rows: 80 MB
EARLY: Final = 1_000_000  # so many do not wait for the interval
_FUTURE_SECONDS: Final = 60.0  # a target's clock may be this far ahead of ours
_LOG: Final = logging.getLogger(__name__)


@dataclass(frozen=True, slots=True, kw_only=True)
class HistoryStats:
    """How the history does; counts since the start."""

    waiting: int  # rows
    written: int
    dropped: Mapping[str, int]  # rows by reason
    bytes: int
    oldest: float | None  # seconds since the epoch
    last_write: float | None
    trouble: str  # what is wrong now, one sentence; empty if nothing is


class HistoryWriter:
    """Takes rows from any thread and never lets it wait; `encode` makes a whole file of rows, as does `encode_told`."""

    def __init__(  # noqa: PLR0913 - what it needs from outside
        self,
        settings: HistoryConfig,
        path: Path,
        clock: Clock,
        encode: Callable[[Rows], memoryview],
        encode_told: Callable[[dict[str, list[Any]]], memoryview],
        *,
        most_waiting: int = MOST_WAITING,
    ) -> None:
        """Open the folder.

        Raises:
            StorageError: it cannot be used.

        """
        self._settings = settings
        self._clock = clock
        self._encode = encode
        self._most_waiting = most_waiting
        self._folder = Folder(path)
        self._told = ToldTable(Folder(path.with_name(f"{path.name}-findings")), encode_told)
        self._changed = threading.Condition()  # guards what follows, and tells the thread that it changed
        self._waiting: list[Rows] = []
        self._count = 0
        self._is_closing = False
        self._dropped: Counter[str] = Counter()
        self._written = 0
        self._last_write: float | None = None
        self._trouble = ""
        self._kept = (self._folder.bytes + self._told.folder.bytes, self._folder.oldest)
        self._thread: threading.Thread | None = None

    def start(self) -> None:
        """Begin to write."""
        self._thread = threading.Thread(target=self._run, name="history", daemon=True)
        self._thread.start()

    def offer(self, rows: Rows) -> None:
        """Take rows without waiting for anything; what there is no room for is dropped and counted."""
        with self._changed:
            if self._count + len(rows) > self._most_waiting:
                self._dropped["queue"] += len(rows)
                return
            self._waiting.append(rows)
            self._count += len(rows)
            if self._count >= EARLY:
                self._changed.notify_all()

    def note(self, told: Sequence[Told]) -> None:
        """Take findings, incidents and recommendations; as `offer`."""
        self._count_dropped(queue=self._told.offer(told))

    def refuse(self, count: int) -> None:
        """Count samples of series beyond the most that are kept."""
        with self._changed:
            self._dropped["series"] += count

    def flush(self) -> None:
        """Write what waits, and remove what is too old or too much; a disk that fails leaves the rows waiting."""
        trouble = ""
        try:
            while waiting := self._taken():
                self._write_all(list(sheets_of(waiting)))
            self._told.flush()
        except StorageError as error:
            trouble = str(error)
        self._retain()
        self._say(trouble)

    def stats(self) -> HistoryStats:
        """How it does."""
        with self._changed:
            return HistoryStats(
                waiting=self._count,
                written=self._written,
                dropped={reason: self._dropped[reason] for reason in REASONS},
                bytes=self._kept[0],
                oldest=self._kept[1],
                last_write=self._last_write,
                trouble=self._trouble,
            )

    def close(self, seconds: float = 30.0) -> None:
        """Write what waits and end."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        if self._thread is not None:
            self._thread.join(seconds)

    def _taken(self) -> list[Rows]:
        """What has waited longest, about as many rows as are arranged at once: that takes memory of its own."""
        with self._changed:
            ends = accumulate(map(len, self._waiting))
            last = next((at for at, end in enumerate(ends, 1) if end >= EARLY), len(self._waiting))
            taken, self._waiting = self._waiting[:last], self._waiting[last:]
            self._count -= sum(map(len, taken))
        return taken

    def _write_all(self, sheets: list[Sheet]) -> None:
        """Write sheets; those from one on that the disk does not take wait again."""
        while sheets:
            try:
                self._write(sheets[-1])
            except StorageError:
                self._put_back([sheet.rows for sheet in sheets])
                raise
            sheets.pop()

    def _write(self, sheet: Sheet) -> None:
        now, rows = self._clock.now(), sheet.rows
        is_timely = rows.times_ms <= (now + _FUTURE_SECONDS) * 1000.0
        is_young = rows.times_ms > (now - self._settings.max_age_seconds) * 1000.0
        self._count_dropped(time=int((~is_timely).sum()), age=int((~is_young).sum()))
        rows = rows.only(is_timely & is_young)
        if not len(rows):
            return
        self._folder.add(sheet.hour, int(rows.times_ms.min()), len(rows), self._encode(rows))
        with self._changed:
            self._written += len(rows)
            self._last_write = now

    def _retain(self) -> None:
        oldest = self._clock.now() - self._settings.max_age_seconds
        for folder in (self._folder, self._told.folder):
            self._count_dropped(age=folder.drop_older(oldest), size=folder.drop_beyond(self._settings.max_bytes))
        with self._changed:
            self._kept = (self._folder.bytes + self._told.folder.bytes, self._folder.oldest)

    def _put_back(self, rows: list[Rows]) -> None:
        with self._changed:
            count = sum(map(len, rows))
            if self._count + count > self._most_waiting:
                self._dropped["queue"] += count
                return
            self._waiting = rows + self._waiting
            self._count += count

    def _count_dropped(self, **counts: int) -> None:
        with self._changed:
            self._dropped.update(counts)

    def _say(self, trouble: str) -> None:
        """Once per change between well and not."""
        with self._changed:
            before, self._trouble = self._trouble, trouble
        if trouble and not before:
            _LOG.warning("history is not written", extra={"why": trouble})
        elif before and not trouble:
            _LOG.info("history is written again")

    def _is_due(self, early: int) -> bool:
        return self._is_closing or self._count >= early

    def _run(self) -> None:
        """Thread: write at the interval, earlier when much waits, and once more at the end."""
        is_closing = False
        while not is_closing:
            with self._changed:
                early = self._most_waiting + 1 if self._trouble else EARLY  # a disk that fails is given its time
                self._changed.wait_for(partial(self._is_due, early), self._settings.flush_interval_seconds)
                is_closing, count = self._is_closing, self._count
            try:
                self.flush()
            except Exception:  # noqa: BLE001 - a fault of ours costs these rows, not the thread
                self._count_dropped(fault=count)
                _LOG.exception("history failed")
