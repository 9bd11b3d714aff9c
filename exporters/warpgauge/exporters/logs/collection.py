"""Everything that is logged on this machine, made into records and given to each sink's queue.

What the kernel and we ourselves say is taken as it comes, within a rate, beyond which it is dropped and counted. Lines
of files wait in their files and entries in the journal: the rate only slows reading down, and a position moves once
every queue has what stands before it.
"""

from __future__ import annotations

import itertools
import logging
import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Protocol

from warpgauge.core.errors import StorageError
from warpgauge.exporters.log_record import LogRecord
from warpgauge.exporters.logs.backlog import FileBacklog
from warpgauge.exporters.logs.kernel_reports import KernelReport, KernelReports

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from warpgauge.core.clock import Clock
    from warpgauge.exporters.logs.backlog import Backlog
    from warpgauge.exporters.logs.files import LogFiles
    from warpgauge.exporters.logs.own_events import OwnEvents

__all__ = ["Collection", "Store", "Whose"]

_LOG: Final = logging.getLogger(__name__)
_MOST_WAITING: Final = 1000
_MOST_IN_A_BATCH: Final = 500
_MOST_BATCH_CHARACTERS: Final = 1 << 17  # of messages: with one more line it fits the smallest queue


class Store(Protocol):
    """The durable end of a sink."""

    def store(self, batch: Sequence[LogRecord]) -> bool:
        """Whether the batch is safe now."""


class Whose(Protocol):
    """What is known about a device."""

    def __call__(self, pci_bus_id: str) -> tuple[str, str]:
        """UUID and job of the device at this address, each empty if unknown."""


class Collection:
    """`hear` is for the event loop, `collect` for one thread."""

    def __init__(  # noqa: PLR0913 - the world is handed in
        self,
        stores: Sequence[Store],
        *,
        node: str,
        clock: Clock,
        whose: Whose,
        events: OwnEvents | None,
        files: LogFiles | None,
        most_per_second: int,
        journal: Backlog | None = None,
    ) -> None:
        self._stores = stores
        self._node = node
        self._clock = clock
        self._whose = whose
        self._events = events
        sources = [FileBacklog(files, node=node, clock=clock) if files else None, journal]
        self._backlogs = [_Held(source, []) for source in sources if source is not None]
        self._most_per_second = most_per_second
        self._allowance = float(most_per_second)  # records that may be taken now
        self._refilled = clock.monotonic()
        self._reports = KernelReports()
        self._ids = (f"{int(clock.now() * 1e6):x}-{number:x}" for number in itertools.count())
        self._guard = threading.Lock()  # guards what follows
        self._heard: deque[LogRecord] = deque()
        self._dropped = 0

    @property
    def dropped(self) -> int:
        """Records of the kernel and of our own that were more than the rate allows, or could not be stored."""
        with self._guard:
            return self._dropped

    def hear(self, line: str) -> None:
        """Take a line of the kernel log; what is no report is passed over."""
        report = self._reports.read(line)
        if report is None:
            return
        record = self._of_kernel(report)
        with self._guard:
            if len(self._heard) >= _MOST_WAITING:
                self._heard.popleft()
                self._dropped += 1
            self._heard.append(record)

    def collect(self) -> int:
        """Put what came since into every queue; how many records."""
        self._refill()
        immediate = [*self._take_heard(), *self._take_events()]
        taken = immediate[: int(self._allowance)]
        self._allowance -= len(taken)
        unsafe = [record for batch in _batches(taken) if not self._store(batch) for record in batch]
        self._drop(len(immediate) - len(taken) + len(unsafe))
        return len(taken) + self._collect_backlogs()

    def close(self) -> None:
        """Store what is left of our own events, and let go of the sources."""
        self.collect()
        for held in self._backlogs:
            held.source.close()

    def _collect_backlogs(self) -> int:
        """Whose turn was first is last at the next look: a busy source does not starve the others."""
        self._backlogs.reverse()
        return sum(self._collect_backlog(held) for held in self._backlogs)

    def _collect_backlog(self, held: _Held) -> int:
        """Records are in every queue before their position is kept; while one takes none, nothing more is read."""
        if not held.unsafe:
            held.unsafe = held.source.take(int(self._allowance))
            self._allowance -= len(held.unsafe)
        count = len(held.unsafe)
        if not all(self._store(batch) for batch in _batches(held.unsafe)):
            return 0
        held.unsafe = []
        try:
            held.source.keep_positions()
        except StorageError as error:
            _LOG.warning("log positions not kept", extra={"why": str(error)})
        return count

    def _store(self, batch: Sequence[LogRecord]) -> bool:
        return all([store.store(batch) for store in self._stores])  # noqa: C419 - each store gets it, whatever the others do

    def _refill(self) -> None:
        now = self._clock.monotonic()
        gained = (now - self._refilled) * self._most_per_second
        self._allowance = min(self._allowance + gained, float(self._most_per_second))
        self._refilled = now

    def _take_heard(self) -> list[LogRecord]:
        with self._guard:
            heard = list(self._heard)
            self._heard.clear()
        return heard

    def _take_events(self) -> Iterator[LogRecord]:
        if self._events is None:
            return
        events, dropped = self._events.take()
        self._drop(dropped)
        for time, severity, event, fields in events:
            yield LogRecord(
                id=next(self._ids),
                time=time,
                source="warpgauge",
                kind="event",
                severity=severity,
                message=event,
                node=self._node,
                uuid=str(fields.get("device", "")),
                attributes=fields,
            )

    def _of_kernel(self, report: KernelReport) -> LogRecord:
        uuid, job = self._whose(report.pci_bus_id) if report.pci_bus_id else ("", "")
        return LogRecord(
            id=next(self._ids),
            time=self._clock.now(),
            source="kernel",
            kind=report.kind,
            severity=report.severity,
            message=report.message,
            node=self._node,
            uuid=uuid,
            pci_bus_id=report.pci_bus_id,
            job_id=report.job_id or job,
            attributes=report.attributes,
        )

    def _drop(self, count: int) -> None:
        with self._guard:
            self._dropped += count


@dataclass(slots=True)
class _Held:
    """A source, and its records that are not yet in every queue."""

    source: Backlog
    unsafe: list[LogRecord]


def _batches(records: Sequence[LogRecord]) -> Iterator[Sequence[LogRecord]]:
    """Portions that a receiver takes in one message."""
    batch: list[LogRecord] = []
    size = 0
    for record in records:
        batch.append(record)
        size += len(record.message)
        if len(batch) >= _MOST_IN_A_BATCH or size >= _MOST_BATCH_CHARACTERS:
            yield batch
            batch, size = [], 0
    if batch:
        yield batch
