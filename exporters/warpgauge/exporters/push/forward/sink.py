"""The sink for Fluentd and whatever else takes its forward protocol: of several servers the first that is up.

Fluentd has no word for "never": a receiver that dislikes a message closes the connection. So nothing is set aside but
what this version cannot read, and a batch waits until some server acknowledges it or it grows too old for the queue.
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING

from warpgauge.core.clock import Clock, SystemClock
from warpgauge.core.errors import InputError
from warpgauge.core.retry import Backoff
from warpgauge.exporters.push.forward.connection import Connection, ForwardError
from warpgauge.exporters.push.forward.messages import chunk_of, new_chunk, packed_forward
from warpgauge.exporters.push.sink import Acked, Dead, Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from warpgauge.exporters.log_record import LogRecord
    from warpgauge.exporters.push.forward.connection import Server
    from warpgauge.exporters.push.sink import Outcome

__all__ = ["ForwardSink"]


class ForwardSink:
    """Batches of log records under one tag. `connect` opens a connection to a server or raises OSError."""

    name = "fluentd"

    def __init__(
        self,
        servers: Sequence[Server],
        connect: Callable[[Server], Connection],
        *,
        tag: str,
        clock: Clock | None = None,
        backoff: Backoff | None = None,
    ) -> None:
        """`backoff` says how long a server that failed is left alone while another one is up."""
        self._connect = connect
        self._tag = tag
        self._clock = clock or SystemClock()
        self._turns = [_Turn(server, backoff or Backoff(first_seconds=5.0, max_seconds=60.0)) for server in servers]
        self._connection: Connection | None = None

    def encode(self, batch: Sequence[LogRecord]) -> bytes:
        """One message, with the name that its acknowledgement will bear; it is the same each time it is sent."""
        entries = ((record.time, record.document()) for record in batch)
        return packed_forward(self._tag, entries, chunk=new_chunk())

    def send(self, body: bytes) -> Outcome:
        """Give it to the first server in the order of the settings that takes it; each is tried at most once."""
        try:
            chunk = chunk_of(body)
        except InputError as error:
            return Dead(str(error))
        failures: list[str] = []
        for turn in self._order():
            try:
                self._deliver(turn.server, body, chunk)
            except OSError as error:
                self.close()
                turn.fail(self._clock.monotonic())
                failures.append(str(error))
            else:
                turn.succeed()
                return Acked()
        return Retry("; ".join(failures))

    def check(self) -> str:
        """What each server answers to a handshake; without a shared key a connection is all that can be tried.

        Raises:
            OSError: one of them does not answer.

        """
        answers = []
        for turn in self._turns:
            with contextlib.closing(self._connect(turn.server)) as connection:
                what = (
                    "knows the shared key" if connection.is_authenticated else "takes connections, no key is asked for"
                )
            answers.append(f"{turn.server} {what}")
        return "; ".join(answers)

    def close(self) -> None:
        """Let go of the connection."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _order(self) -> list[_Turn]:
        """Those that are not left alone, then, as nothing better is there, those that are."""
        now = self._clock.monotonic()
        return sorted(self._turns, key=lambda turn: turn.until > now)

    def _deliver(self, server: Server, body: bytes, chunk: str) -> None:
        """Over the connection that is open; one that the server has closed meanwhile is opened again."""
        if self._connection is not None and self._connection.server == server:
            with contextlib.suppress(ForwardError):
                self._connection.deliver(body, chunk)
                return
        self.close()
        self._connection = self._connect(server)
        self._connection.deliver(body, chunk)


class _Turn:
    """A server and until when it is left alone, on the monotonic clock."""

    def __init__(self, server: Server, backoff: Backoff) -> None:
        self.server = server
        self.until = float("-inf")
        self._backoff = backoff
        self._delays: Iterator[float] | None = None

    def fail(self, now: float) -> None:
        self._delays = self._delays or self._backoff.delays()
        self.until = now + next(self._delays)

    def succeed(self) -> None:
        self._delays = None
        self.until = float("-inf")
