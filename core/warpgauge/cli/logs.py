"""Logs on stderr as an event and its fields: `level=warning event="collector failed" collector=nvml seconds=2.1`.

Fields are passed as `extra=`: `log.warning("collector failed", extra={"collector": "nvml", "seconds": 2.1})`.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import TYPE_CHECKING, Final

from warpgauge.core.clock import SystemClock

if TYPE_CHECKING:
    from warpgauge.core.clock import Clock

__all__ = ["LEVELS", "AcceptFilter", "LogfmtFormatter", "start_logging"]

LEVELS: Final = ("debug", "info", "warn", "error")
_ACCEPT_SECONDS: Final = 60.0
_OWN_FIELDS: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_BARE: Final = re.compile(r"[A-Za-z0-9_.:/@%+-]+")


class LogfmtFormatter(logging.Formatter):
    """One line per event, a traceback only where the code asked for one."""

    default_time_format = "%Y-%m-%dT%H:%M:%S"
    default_msec_format = "%s.%03d"

    def format(self, record: logging.LogRecord) -> str:
        """The record as logfmt."""
        fields = {
            "time": self.formatTime(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "event": record.getMessage(),
            **{name: value for name, value in vars(record).items() if name not in _OWN_FIELDS},
        }
        line = " ".join(f"{name}={_value(value)}" for name, value in fields.items())
        return f"{line}\n{self.formatException(record.exc_info)}" if record.exc_info else line


class AcceptFilter(logging.Filter):
    """Lets asyncio say once a minute that no connection can be accepted, in one line with the mend.

    Out of files it says so as often in a second as its backlog is long (100), each time with a traceback.
    """

    def __init__(self, clock: Clock) -> None:
        super().__init__()
        self._clock = clock
        self._said = float("-inf")

    def filter(self, record: logging.LogRecord) -> bool:
        """Whether the record is to be written; it is put in words of ours."""
        if "socket.accept() out of system resource" not in record.getMessage():
            return True
        now = self._clock.monotonic()
        if now - self._said < _ACCEPT_SECONDS:
            return False
        self._said = now
        record.why = str(record.exc_info[1]) if record.exc_info else ""
        record.mend = "raise the limit of open files: LimitNOFILE= of the unit, or ulimit -n"
        record.msg, record.args, record.exc_info = "no connection can be accepted", (), None
        return True


def start_logging(level: str) -> None:
    """Send every logger's events of at least `level` to stderr."""
    asyncio_log = logging.getLogger("asyncio")
    if not any(isinstance(known, AcceptFilter) for known in asyncio_log.filters):
        asyncio_log.addFilter(AcceptFilter(SystemClock()))
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(LogfmtFormatter())
    logging.basicConfig(level={"warn": "WARNING"}.get(level, level.upper()), handlers=[output], force=True)


def _value(value: object) -> str:
    text = str(value)
    return text if _BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False)
