"""A `logging` handler for your own programs that sends to Fluentd through fluent-logger, which may lose what it takes.

For logs that may be lost. fluent-logger 0.11 knows no acknowledgement, no TLS and no shared key, and says True while it
loses (measured against a real receiver, docs/howto/fluentd.md): what a receiver had not read when it died; everything,
where the receiver demands a key or TLS; the whole buffer once it holds more than `most_bytes` while nobody listens.
What must arrive belongs in a file that the agent follows (`logs.files`), or in the agent's own sink.
"""

from __future__ import annotations

import logging
import platform
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.errors import MissingExtraError

try:
    from fluent import sender
except ImportError as error:
    raise MissingExtraError(what="The Fluentd logging handler", package="fluent-logger", extra="fluentd") from error

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["FluentLogging"]

_DEFAULT_PORT: Final = 24_224
_MOST_BYTES: Final = 1 << 20
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}


class FluentLogging(logging.Handler):
    """Sends each record as one event: level, logger, message, host and the fields given as `extra=`.

    `failures` counts records that could not be handed over at once and `overflows` how often a full buffer was thrown
    away. Both are lower bounds of what was lost: of the rest nobody knows that it arrived.
    """

    def __init__(  # noqa: PLR0913 - what a receiver needs, and the world
        self,
        tag: str,
        *,
        host: str = "127.0.0.1",
        port: int = _DEFAULT_PORT,
        timeout_seconds: float = 3.0,
        most_bytes: int = _MOST_BYTES,
        make_sender: Callable[..., Any] = sender.FluentSender,
    ) -> None:
        """Connect at the first record. A receiver that hangs makes whoever logs wait for `timeout_seconds`."""
        super().__init__()
        self.failures = 0
        self.overflows = 0
        self._host = platform.node()
        self._sender = make_sender(
            tag,
            host=host,
            port=port,
            timeout=timeout_seconds,
            bufmax=most_bytes,
            nanosecond_precision=True,
            buffer_overflow_handler=self._count_overflow,
        )

    def emit(self, record: logging.LogRecord) -> None:
        """Hand a record to fluent-logger; never raises."""
        try:
            if not self._sender.emit_with_time(None, sender.EventTime(record.created), self._document(record)):
                self.failures += 1
        except Exception:  # noqa: BLE001 - as logging has it: a bad log call costs its own line
            self.failures += 1
            self.handleError(record)

    def close(self) -> None:
        """Try once more to hand over what waits, then give it up."""
        self._sender.close()
        super().close()

    def _document(self, record: logging.LogRecord) -> dict[str, Any]:
        fields = {name: _scalar(value) for name, value in vars(record).items() if name not in _STANDARD}
        exception = {"exception": logging.Formatter().formatException(record.exc_info)} if record.exc_info else {}
        own = {"level": record.levelname, "logger": record.name, "message": record.getMessage(), "host": self._host}
        return {**fields, **exception, **own}

    def _count_overflow(self, _: bytes) -> None:
        self.overflows += 1


def _scalar(value: object) -> str | int | float | bool | None:
    return value if value is None or isinstance(value, str | int | float | bool) else str(value)
