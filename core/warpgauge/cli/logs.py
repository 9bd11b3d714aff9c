"""Logs on stderr as an event and its fields: `level=warning event="collector failed" collector=nvml seconds=2.1`.

Fields are passed as `extra=`: `log.warning("collector failed", extra={"collector": "nvml", "seconds": 2.1})`.
"""

from __future__ import annotations

import json
import logging
import re
import sys
from typing import Final

__all__ = ["LEVELS", "LogfmtFormatter", "start_logging"]

LEVELS: Final = ("debug", "info", "warn", "error")
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


def start_logging(level: str) -> None:
    """Send every logger's events of at least `level` to stderr."""
    output = logging.StreamHandler(sys.stderr)
    output.setFormatter(LogfmtFormatter())
    logging.basicConfig(level={"warn": "WARNING"}.get(level, level.upper()), handlers=[output], force=True)


def _value(value: object) -> str:
    text = str(value)
    return text if _BARE.fullmatch(text) else json.dumps(text, ensure_ascii=False)
