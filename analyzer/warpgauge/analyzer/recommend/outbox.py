"""The way out: each document is stored durably for each sink, delivered at least once, deleted only then.

A receiver may see a document twice, always with the same id and idempotency key.
"""

from __future__ import annotations

import json
import os
from typing import IO, TYPE_CHECKING, Final, Protocol

from warpgauge.core.atomic import append_durably
from warpgauge.core.errors import StorageError
from warpgauge.core.queue import DurableQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from pathlib import Path

    from warpgauge.core.clock import Clock
    from warpgauge.core.recommendation import Recommendation

__all__ = ["FileSink", "Outbox", "Sink", "StreamSink"]

MAX_BYTES: Final = 64 * 2**20
MAX_AGE_SECONDS: Final = 7 * 86_400.0
BATCH: Final = 100


class Sink(Protocol):
    """Where documents go."""

    @property
    def name(self) -> str:
        """A short word for its queue's file."""

    @property
    def takes_simulated(self) -> bool:
        """Whether documents that say `simulated: true` may go there; nothing that acts may take them."""

    def deliver(self, documents: Sequence[bytes]) -> None:
        """Return once all are safe there.

        Raises:
            OSError: they may not be; they will be delivered again.

        """


class StreamSink:
    """One JSON document per line on a stream, such as standard output."""

    name = "stream"
    takes_simulated = True

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def deliver(self, documents: Sequence[bytes]) -> None:
        """Write and flush."""
        self._stream.write("".join(f"{document.decode()}\n" for document in documents))
        self._stream.flush()


class FileSink:
    """One JSON document per line in a file, on the disk before `deliver` returns."""

    name = "file"
    takes_simulated = True

    def __init__(self, path: Path, *, sync: Callable[[int], None] = os.fsync) -> None:
        self._path = path
        self._sync = sync

    def deliver(self, documents: Sequence[bytes]) -> None:
        """Append and fsync; a line that a crash cut short is closed first, so that it spoils only itself."""
        append_durably(self._path, b"".join(document + b"\n" for document in documents), sync=self._sync)


class Outbox:
    """One durable queue per sink, so that a sink that fails holds up no other."""

    def __init__(self, directory: Path, sinks: Sequence[Sink], clock: Clock | None = None) -> None:
        self._lanes = [
            (
                sink,
                DurableQueue(
                    directory / f"outbox-{sink.name}.sqlite",
                    max_bytes=MAX_BYTES,
                    max_age_seconds=MAX_AGE_SECONDS,
                    clock=clock,
                    synchronous="FULL",
                ),
            )
            for sink in sinks
        ]

    def put(self, recommendations: Iterable[Recommendation]) -> None:
        """Store for every sink that may have it; once this returns a crash or power cut loses nothing."""
        for recommendation in recommendations:
            body = json.dumps(recommendation.to_event(), ensure_ascii=False, allow_nan=False, separators=(",", ":"))
            for sink, queue in self._lanes:
                if sink.takes_simulated or not recommendation.simulated:
                    queue.append(body.encode())

    def deliver(self) -> tuple[str, ...]:
        """Hand everything stored to its sink; one sentence for each sink that failed, to be tried again next time."""
        return tuple(failure for sink, queue in self._lanes if (failure := _drain(sink, queue)) is not None)

    def waiting(self) -> int:
        """Documents not delivered yet, over all sinks."""
        return sum(queue.stats().records for _, queue in self._lanes)

    def close(self) -> None:
        """Close the queues; what was not delivered is in them."""
        for _, queue in self._lanes:
            queue.close()


def _drain(sink: Sink, queue: DurableQueue) -> str | None:
    try:
        while batches := queue.peek(BATCH):
            sink.deliver([batch.body for batch in batches])
            queue.ack(batch.id for batch in batches)
    except (OSError, StorageError) as error:
        return f"recommendations wait: sink {sink.name} failed: {error}"
    return None
