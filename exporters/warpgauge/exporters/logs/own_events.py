"""Our own events, as they stand in our log: kept for the sinks without making whoever logs wait."""

from __future__ import annotations

import logging
import threading
from collections import deque
from typing import Final

from warpgauge.core.finding import Severity

__all__ = ["OwnEvents"]

_MOST_WAITING: Final = 1000
_MOST_CHARACTERS: Final = 1024  # of a field
_MOST_FIELDS: Final = 32
_STANDARD: Final = frozenset(vars(logging.makeLogRecord({}))) | {"message", "asctime", "taskName"}
_SILENT: Final = ("warpgauge.exporters.push", "warpgauge.exporters.logs")  # what they log, they would log again
_REPORTED_BY_THE_KERNEL: Final = "kernel_log"

Fields = dict[str, str | int | float | bool]


class OwnEvents(logging.Handler):
    """A handler for the logger `warpgauge`, emptied by `take`; what nobody takes is dropped and counted."""

    def __init__(self, level: int = logging.INFO) -> None:
        super().__init__(level)
        self._guard = threading.Lock()  # guards what follows
        self._waiting: deque[tuple[float, Severity, str, Fields]] = deque()
        self._dropped = 0

    def emit(self, record: logging.LogRecord) -> None:
        """Keep an event. What the kernel log told is a record of its own already."""
        if record.name.startswith(_SILENT) or getattr(record, "source", "") == _REPORTED_BY_THE_KERNEL:
            return
        try:
            event = (record.created, _severity(record.levelno), _short(record.getMessage()), _fields(record))
        except Exception:  # noqa: BLE001 - as logging has it: a bad log call costs its own line
            self.handleError(record)
            return
        with self._guard:
            if len(self._waiting) >= _MOST_WAITING:
                self._waiting.popleft()
                self._dropped += 1
            self._waiting.append(event)

    def take(self) -> tuple[list[tuple[float, Severity, str, Fields]], int]:
        """Events since the last time as time, severity, event and fields; and how many were dropped."""
        with self._guard:
            taken, dropped = list(self._waiting), self._dropped
            self._waiting.clear()
            self._dropped = 0
        return taken, dropped


def _severity(level: int) -> Severity:
    if level >= logging.ERROR:
        return Severity.CRITICAL
    return Severity.WARNING if level >= logging.WARNING else Severity.INFO


def _fields(record: logging.LogRecord) -> Fields:
    own = [(name, value) for name, value in vars(record).items() if name not in _STANDARD]
    fields: Fields = {name: _scalar(value) for name, value in own[:_MOST_FIELDS]}
    return {**fields, "logger": record.name}


def _scalar(value: object) -> str | int | float | bool:
    if isinstance(value, bool | float) or (isinstance(value, int) and abs(value) < 2**63):
        return value
    return _short(str(value))


def _short(text: str) -> str:
    return text[:_MOST_CHARACTERS]
