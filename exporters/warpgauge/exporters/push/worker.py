"""One sink at work: what is offered is stored, then sent in order until the receiver has it.

Two threads of its own, so that neither the sampler nor the store ever waits for the receiver: one writes batches into
the durable queue, one empties it. A batch leaves the queue only when the receiver has acknowledged it.
"""

from __future__ import annotations

import threading
from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final, Generic, TypeVar

from warpgauge.core.errors import StorageError
from warpgauge.core.retry import Backoff
from warpgauge.exporters.push.sink import Acked, Dead, Retry

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warpgauge.core.clock import Clock
    from warpgauge.core.queue import Batch, DurableQueue
    from warpgauge.exporters.push.sink import Outcome, Sink

__all__ = ["Delivery", "DeliveryStats"]

_BatchT = TypeVar("_BatchT")
_MOST_OFFERED: Final = (
    64  # batches between the sampler and the store: a disk that hangs costs no more memory than these
)
_IDLE_SECONDS: Final = 60.0  # between looks at an empty queue, which also drop what became too old
_MOST_SUSPECT: Final = 10  # failures in a row that a batch may have caused, before the next one is tried in its place
_STORE_PAUSE_SECONDS: Final = 10.0  # before the next look at a queue that cannot be read


@dataclass(frozen=True, slots=True, kw_only=True)
class DeliveryStats:
    """What waits, and what became of the rest."""

    records: int
    bytes: int
    max_bytes: int  # beyond it the oldest batch is dropped
    oldest_timestamp: float | None  # seconds since the epoch
    acked: int  # of batches; these three survive restarts
    dropped: int
    dead_lettered: int
    retries: int  # since the start
    refused: int  # records in acknowledged batches that the receiver did not keep, since the start
    trouble: str  # what is wrong with sending now, one sentence; empty if nothing is
    loss: str  # why the newest batch never came into the queue; empty if it did


class Delivery(Generic[_BatchT]):
    """A sink, its queue and its threads. Any thread may call."""

    def __init__(
        self,
        sink: Sink[_BatchT],
        queue: DurableQueue,
        *,
        clock: Clock,
        backoff: Backoff | None = None,
        pace_seconds: float = 0.0,
    ) -> None:
        """Leave `pace_seconds` between two batches, so that a long outage's backlog is no flood to the receiver."""
        self.sink = sink
        self._queue = queue
        self._clock = clock
        self._backoff = backoff or Backoff(first_seconds=1.0, max_seconds=60.0, jitter=0.5)
        self._pace_seconds = pace_seconds
        self._delays: Iterator[float] | None = None  # of the batch in front, while it fails
        self._suspicion = 0  # its failures in a row that it may have caused
        self._changed = threading.Condition()  # guards what follows, and tells both threads that it changed
        self._offered: deque[_BatchT] = deque()
        self._has_new = False
        self._is_closing = False
        self._lost = 0  # batches that never came into the queue
        self._retries = 0
        self._refused = 0
        self._trouble = ""
        self._loss = ""
        self._threads: list[threading.Thread] = []

    def start(self) -> None:
        """Begin to store and to send."""
        for work in (self._store, self._send):
            thread = threading.Thread(target=work, name=f"push-{self.sink.name}", daemon=True)
            thread.start()
            self._threads.append(thread)

    def offer(self, batch: _BatchT) -> None:
        """Take a batch without waiting for anything; if the disk does not keep up the oldest is dropped and counted."""
        with self._changed:
            if len(self._offered) >= _MOST_OFFERED:
                self._offered.popleft()
                self._lost += 1
            self._offered.append(batch)
            self._changed.notify_all()

    def store(self, batch: _BatchT) -> bool:
        """Write a batch into the queue; it is safe once this returns True, else dropped and counted."""
        try:
            self._queue.append(self.sink.encode(batch))
        except Exception as error:  # noqa: BLE001 - a batch that cannot be stored costs itself, not the thread
            with self._changed:
                self._lost += 1
                self._loss = f"a batch was dropped: {error}"
            return False
        with self._changed:
            self._loss = ""
            self._has_new = True
            self._changed.notify_all()
        return True

    def step(self) -> float | None:
        """Send the oldest batch; seconds until the next may be sent, None if there is none."""
        try:
            batches = self._queue.peek(1)
            if not batches:
                return None
            return self._deliver(batches[0], self._sent(batches[0].body))
        except StorageError as error:
            self._say(str(error))
            return _STORE_PAUSE_SECONDS

    def stats(self) -> DeliveryStats:
        """What waits and what became of the rest.

        Raises:
            StorageError: the queue cannot be read.

        """
        stored = self._queue.stats()
        with self._changed:
            return DeliveryStats(
                records=stored.records,
                bytes=stored.bytes,
                max_bytes=self._queue.max_bytes,
                oldest_timestamp=stored.oldest_timestamp,
                acked=stored.acked,
                dropped=stored.dropped + self._lost,
                dead_lettered=stored.dead_lettered,
                retries=self._retries,
                refused=self._refused,
                trouble=self._trouble,
                loss=self._loss,
            )

    @property
    def trouble(self) -> str:
        """What is wrong now, one sentence; empty if nothing is. Waits for no disk."""
        with self._changed:
            return self._loss or self._trouble

    def close(self, seconds: float = 1.0) -> None:
        """Store what was offered and end; what was not sent waits in the queue for the next start."""
        with self._changed:
            self._is_closing = True
            self._changed.notify_all()
        for thread in self._threads:
            thread.join(seconds)
        if not any(thread.is_alive() for thread in self._threads):  # else it ends with the process: the file is safe
            self.sink.close()
            self._queue.close()

    def _deliver(self, batch: Batch, outcome: Outcome) -> float:
        """Do what the outcome asks for; seconds until the next batch may be sent."""
        self._suspicion = self._suspicion + 1 if isinstance(outcome, Retry) and outcome.is_suspect else 0
        if isinstance(outcome, Retry) and self._suspicion >= _MOST_SUSPECT and self._goes_on_without(batch):
            outcome = Dead(f"{outcome.reason} ({self._suspicion} times, while the next batch was taken)")
        if isinstance(outcome, Retry):
            self._delays = self._delays or self._backoff.delays()
            with self._changed:
                self._retries += 1
            self._say(f"batches wait: {outcome.reason}")
            return max(next(self._delays), outcome.seconds or 0.0)
        self._delays = None
        self._suspicion = 0
        if isinstance(outcome, Acked):
            self._acknowledge(batch, outcome)
        else:
            self._queue.dead_letter([batch.id], outcome.reason)
            self._say(f"a batch was set aside: {outcome.reason}")
        return self._pace_seconds

    def _goes_on_without(self, batch: Batch) -> bool:
        """Whether the batch behind is taken: then it is this one that the receiver cannot digest."""
        behind = self._queue.peek(1, after=batch.id)
        outcome = self._sent(behind[0].body) if behind else None
        if not isinstance(outcome, Acked):
            return False
        self._acknowledge(behind[0], outcome)
        return True

    def _acknowledge(self, batch: Batch, outcome: Acked) -> None:
        self._queue.ack([batch.id])
        with self._changed:
            self._refused += outcome.refused
        self._say(f"{outcome.refused} records were refused: {outcome.reason}" if outcome.refused else "")

    def _sent(self, body: bytes) -> Outcome:
        try:
            return self.sink.send(body)
        except Exception as error:  # noqa: BLE001 - whatever a sink does wrong, its batch stays and its thread lives
            return Retry(f"{type(error).__name__}: {error}")

    def _say(self, trouble: str) -> None:
        with self._changed:
            self._trouble = trouble

    def _store(self) -> None:
        """Thread: from what is offered into the queue."""
        while True:
            with self._changed:
                self._changed.wait_for(lambda: self._offered or self._is_closing)
                if not self._offered:
                    return
                batch = self._offered.popleft()
            self.store(batch)

    def _send(self) -> None:
        """Thread: from the queue to the receiver."""
        while True:
            with self._changed:
                self._has_new = False
            seconds = self.step()
            with self._changed:
                if seconds is None:
                    self._changed.wait_for(lambda: self._is_closing or self._has_new, _IDLE_SECONDS)
                else:  # a batch that comes meanwhile does not shorten the wait that a failure asks for
                    self._changed.wait_for(lambda: self._is_closing, seconds)
                if self._is_closing:
                    return
