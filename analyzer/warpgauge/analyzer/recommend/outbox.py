"""The way out: each document is stored durably for each sink, delivered at least once, deleted only then.

A receiver may see a document twice, always with the same id and idempotency key, and sees those of one conflict group
in the order in which they were written.
"""

from __future__ import annotations

import json
import os
from typing import IO, TYPE_CHECKING, Any, Final, Protocol

from warpgauge.core.atomic import append_durably
from warpgauge.core.clock import Clock, SystemClock
from warpgauge.core.lane import Lane, Receiver
from warpgauge.core.queue import DurableQueue

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from pathlib import Path

    from warpgauge.core.queue import QueueStats
    from warpgauge.core.retry import Backoff

__all__ = ["MAX_BYTES", "FileSink", "Outbox", "Sink", "StreamSink"]

MAX_BYTES: Final = 64 * 2**20
MAX_AGE_SECONDS: Final = 7 * 86_400.0
BATCH: Final = 100


class Sink(Receiver, Protocol):
    """Where documents go; `name` is also the word in its queue's file."""

    @property
    def takes_simulated(self) -> bool:
        """Whether documents that say `simulated: true` may go there; nothing that acts may take them."""

    @property
    def acts(self) -> bool:
        """Whether whoever reads it may act on it: what needs an approval goes there only once it has one."""

    @property
    def is_remote(self) -> bool:
        """Whether delivering can take long, so that no tick may wait for it."""


class StreamSink:
    """One JSON document per line on a stream, such as standard output; on a terminal what it advises, in words."""

    name = "stream"
    batch = BATCH
    takes_simulated = True
    acts = False
    is_remote = False

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream

    def deliver(self, documents: Sequence[bytes]) -> None:
        """Write and flush."""
        told = _in_words if self._stream.isatty() else bytes.decode
        self._stream.write("".join(f"{told(document)}\n" for document in documents))
        self._stream.flush()


def _in_words(document: bytes) -> str:
    """A recommendation as a person at a terminal reads it; anything else as it is."""
    data = json.loads(document).get("data", {})
    summary = data.get("text", {}).get("summary")
    if not summary:
        return document.decode()
    simulated = ", simulated" if data.get("simulated") else ""
    return f"recommendation ({data['kind']}{simulated}): {summary}"


class FileSink:
    """One JSON document per line in a file, on the disk before `deliver` returns."""

    name = "file"
    batch = BATCH
    takes_simulated = True
    acts = False
    is_remote = False

    def __init__(self, path: Path, *, sync: Callable[[int], None] = os.fsync) -> None:
        self._path = path
        self._sync = sync

    def deliver(self, documents: Sequence[bytes]) -> None:
        """Append and fsync; a line that a crash cut short is closed first, so that it spoils only itself."""
        append_durably(self._path, b"".join(document + b"\n" for document in documents), sync=self._sync)


class Outbox:
    """One durable queue per sink, so that a sink that fails holds up no other."""

    def __init__(
        self, directory: Path, sinks: Sequence[Sink], clock: Clock | None = None, *, backoff: Backoff | None = None
    ) -> None:
        clock = clock or SystemClock()
        self._lanes = [
            (
                sink,
                Lane(
                    DurableQueue(
                        directory / f"outbox-{sink.name}.sqlite",
                        max_bytes=MAX_BYTES,
                        max_age_seconds=MAX_AGE_SECONDS,
                        clock=clock,
                        synchronous="FULL",
                    ),
                    sink,
                    group_of=_group_of,
                    clock=clock,
                    backoff=backoff,
                ),
            )
            for sink in sinks
        ]

    def put(self, events: Iterable[Mapping[str, Any]]) -> None:
        """Store events for every sink that may have them; once this returns a crash or power cut loses nothing."""
        for event in events:
            body = json.dumps(event, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode()
            for sink, lane in self._lanes:
                if _may_go_to(sink, event):
                    lane.append(body)

    def deliver(self, *, remote: bool | None = None, is_held: Callable[[], bool] = lambda: False) -> tuple[str, ...]:
        """Hand on what is due; one sentence per sink that failed. `remote` keeps to sinks that are, or are not.

        `is_held` is asked before each delivery, which can take long.
        """
        lanes = [lane for sink, lane in self._lanes if remote is None or sink.is_remote is remote]
        return tuple(trouble for lane in lanes if (trouble := lane.run(is_held)) is not None)

    def waiting(self) -> int:
        """Documents not delivered yet, over all sinks."""
        return sum(lane.stats().records for _, lane in self._lanes)

    def stats(self) -> dict[str, tuple[QueueStats, int, int]]:
        """By sink: what waits and what became of the rest, deliveries tried, and how many of these failed."""
        return {sink.name: (lane.stats(), lane.attempts, lane.failures) for sink, lane in self._lanes}

    def close(self) -> None:
        """Close the queues; what was not delivered is in them."""
        for _, lane in self._lanes:
            lane.close()


def _may_go_to(sink: Sink, event: Mapping[str, Any]) -> bool:
    data = event["data"]
    approval = data.get("approval", {})
    waits = approval.get("required") and "by" not in approval and data.get("mode") in {"approve", "auto"}
    return (sink.takes_simulated or not data.get("simulated")) and not (sink.acts and waits)


def _group_of(body: bytes) -> str:
    """The conflict group; what has none is about one recommendation and keeps its own order."""
    data = json.loads(body)["data"]
    return str(data.get("conflictGroup") or data.get("recommendationId"))
