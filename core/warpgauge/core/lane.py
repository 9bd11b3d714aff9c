"""One durable queue and the one receiver that it is emptied into: at least once, in order within a conflict group.

What waits for its next attempt holds up its own group only. Waits are kept in memory: after a restart everything is
tried at once, which costs a receiver one request more.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, Protocol

from warpgauge.core.errors import StorageError
from warpgauge.core.retry import Backoff

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from warpgauge.core.clock import Clock
    from warpgauge.core.queue import Batch, DurableQueue, QueueStats

__all__ = ["Lane", "Receiver", "RefusedError", "TryLaterError"]

_PAGE: Final = 100
_MOST_FAILURES: Final = 3  # groups that fail in one pass before the rest is left for the next: the receiver is down


class TryLaterError(OSError):
    """The receiver did not take it now; `seconds` is how long it asked us to wait, None if it did not say."""

    def __init__(self, why: str, seconds: float | None = None) -> None:
        super().__init__(why)
        self.seconds = seconds


class RefusedError(Exception):
    """The receiver will never take it."""


class Receiver(Protocol):
    """Where a lane ends."""

    @property
    def name(self) -> str:
        """A short word for people."""

    @property
    def batch(self) -> int:
        """How many documents it takes at once; above 1, all of them are delivered or none."""

    def deliver(self, documents: Sequence[bytes]) -> None:
        """Return once all are safe there.

        Raises:
            TryLaterError: they may not be; to be tried again after a wait.
            OSError: they may not be; to be tried again at the next call.
            RefusedError: they never will be.

        """


@dataclass(slots=True)
class _Wait:
    """A group whose next attempt has a time."""

    until: float
    delays: Iterator[float] = field(repr=False)


class Lane:
    """Empties a queue into a receiver; `group_of` tells which documents must keep their order."""

    def __init__(
        self,
        queue: DurableQueue,
        receiver: Receiver,
        *,
        group_of: Callable[[bytes], str],
        clock: Clock,
        backoff: Backoff | None = None,
    ) -> None:
        self.receiver = receiver
        self.attempts = 0  # deliveries tried since the start
        self.failures = 0  # of these, not taken for now
        self._queue = queue
        self._group_of = group_of
        self._clock = clock
        self._backoff = backoff or Backoff(first_seconds=1.0, max_seconds=300.0, jitter=0.5)
        self._waits: dict[str, _Wait] = {}

    def append(self, body: bytes) -> None:
        """Store a document; it is safe once this returns.

        Raises:
            StorageError: it cannot be stored.

        """
        self._queue.append(body)

    def stats(self) -> QueueStats:
        """What waits, what was delivered, dropped and set aside."""
        return self._queue.stats()

    def close(self) -> None:
        """Close the queue; what was not delivered is in it."""
        self._queue.close()

    def run(self, is_held: Callable[[], bool] = lambda: False) -> str | None:
        """Deliver all that is due; one sentence if the receiver failed, None if all is well or waits its turn.

        `is_held` is asked before each delivery: what was due is left for later once somebody holds it back.
        """
        troubles: list[str] = []
        most_failures = self.failures + _MOST_FAILURES
        blocked: set[str] = {group for group, wait in self._waits.items() if wait.until > self._clock.now()}
        try:
            for batch in self._due(blocked):
                if is_held():
                    break
                trouble = self._try(batch, blocked)
                troubles += [trouble] if trouble else []
                if self.failures >= most_failures:
                    break
        except StorageError as error:
            troubles.append(f"documents wait: {error}")
        return troubles[0] if troubles else None

    def _due(self, blocked: set[str]) -> Iterator[list[Batch]]:
        """Batches whose group waits for nothing, oldest first, as many at once as the receiver takes."""
        after = 0
        ready: list[Batch] = []
        while page := self._queue.peek(_PAGE, after=after):
            after = page[-1].id
            for one in page:
                if self._group_of(one.body) in blocked:
                    continue
                ready.append(one)
                if len(ready) == self.receiver.batch:
                    yield ready
                    ready = []
        if ready:
            yield ready

    def _try(self, batch: list[Batch], blocked: set[str]) -> str | None:
        """Deliver, then mark; why not if it was not taken. `blocked` grows by the groups that must wait."""
        groups = {self._group_of(one.body) for one in batch}
        self.attempts += 1
        try:
            self.receiver.deliver([one.body for one in batch])
        except RefusedError as error:
            self._queue.dead_letter((one.id for one in batch), str(error))
            self._forget(groups)
            return f"document set aside: {self.receiver.name} refused it: {error}"
        except OSError as error:
            why = str(error)
            if isinstance(error, TryLaterError):
                self._postpone(groups, error.seconds)
        else:
            self._queue.ack(one.id for one in batch)
            self._forget(groups)
            return None
        self.failures += 1
        blocked |= groups
        return f"documents wait: {self.receiver.name} failed: {why}"

    def _forget(self, groups: set[str]) -> None:
        for group in groups:
            self._waits.pop(group, None)

    def _postpone(self, groups: set[str], asked: float | None) -> None:
        for group in groups:
            delays = self._waits[group].delays if group in self._waits else self._backoff.delays()
            self._waits[group] = _Wait(self._clock.now() + max(next(delays), asked or 0.0), delays)
