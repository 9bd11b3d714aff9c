"""An entry of systemd's journal, as `journalctl -o json` writes it, made into a record.

Fields: systemd.journal-fields(7), and journalctl(1) under `json`. A field that is not UTF-8 is an array of bytes, one
that stands there several times an array of texts.
"""

from __future__ import annotations

import hashlib
import json
import re
from dataclasses import dataclass
from typing import Any, Final

from warpgauge.core.finding import Severity
from warpgauge.exporters.log_record import LogRecord

__all__ = ["CURSOR", "FIELDS", "Entry", "entry_of"]

CURSOR: Final = re.compile(r"[!-~]{1,1024}")
"""What a cursor may be made of; it is opaque."""

FIELDS: Final = (
    *("MESSAGE", "PRIORITY", "SYSLOG_IDENTIFIER", "_SYSTEMD_UNIT", "_PID", "_COMM", "_TRANSPORT", "_SYSTEMD_CGROUP"),
)
"""What is asked for; the cursor, the times and the boot come unasked."""

_WARNING, _NOTICE = 4, 5  # syslog's priorities
_LEAST: Final = 7
_MOST_CHARACTERS: Final = 256  # of a field other than the message
_SLURM_JOB: Final = re.compile(r"slurm[^\n]*/job_(\d{1,20})(?:/|$)")


@dataclass(frozen=True, slots=True)
class Entry:
    """A record, where it stands, and what decides whether it is told elsewhere already."""

    cursor: str
    record: LogRecord
    transport: str
    pid: int | None


def entry_of(line: bytes, *, node: str, max_message_bytes: int) -> Entry:
    """The entry on a line.

    Raises:
        ValueError: it is no entry of a journal.

    """
    fields = _fields_of(line)
    cursor, stamp = fields.get("__CURSOR"), fields.get("__REALTIME_TIMESTAMP")
    if not isinstance(cursor, str) or not CURSOR.fullmatch(cursor) or not isinstance(stamp, str):
        msg = "an entry without cursor or time"
        raise ValueError(msg)
    priority = _number(fields, "PRIORITY", most=_LEAST)
    pid = _number(fields, "_PID", most=2**31)
    message = _text(fields.get("MESSAGE")).encode("utf-8", "replace")
    is_cut = len(message) > max_message_bytes
    told = {
        "priority": priority,
        "unit": _word(fields, "_SYSTEMD_UNIT"),
        "identifier": _word(fields, "SYSLOG_IDENTIFIER"),
        "pid": pid,
        "process": _word(fields, "_COMM"),
        "is_cut": is_cut or None,
    }
    job = _SLURM_JOB.search(_text(fields.get("_SYSTEMD_CGROUP"))[: 4 * _MOST_CHARACTERS])
    record = LogRecord(
        id=hashlib.blake2b(cursor.encode(), digest_size=12).hexdigest(),
        time=int(stamp[:20]) / 1e6,
        source="journal",
        kind="journal",
        severity=_severity(priority),
        message=message[:max_message_bytes].decode("utf-8", "ignore"),
        node=node,
        job_id=job[1] if job else "",
        attributes={name: value for name, value in told.items() if value is not None and value != ""},
    )
    return Entry(cursor, record, _word(fields, "_TRANSPORT"), pid)


def _fields_of(line: bytes) -> dict[str, Any]:
    try:
        fields = json.loads(line)
    except RecursionError as error:
        raise ValueError(str(error)) from error
    if not isinstance(fields, dict):
        msg = "an entry that is no object"
        raise ValueError(msg)  # noqa: TRY004 - of bad input
    return fields


def _text(value: object) -> str:
    if isinstance(value, str):
        return value
    if not isinstance(value, list):
        return ""
    if all(type(one) is int and 0 <= one < 256 for one in value):  # noqa: PLR2004 - bytes
        return bytes(value).decode(errors="replace")
    return "\n".join(_text(one) for one in value if isinstance(one, str))


def _word(fields: dict[str, Any], name: str) -> str:
    return _text(fields.get(name))[:_MOST_CHARACTERS]


def _number(fields: dict[str, Any], name: str, *, most: int) -> int | None:
    text = _word(fields, name)
    is_number = text.isascii() and text.isdecimal() and int(text[:12]) <= most
    return int(text) if is_number else None


def _severity(priority: int | None) -> Severity:
    if priority is None or priority >= _NOTICE:
        return Severity.INFO
    return Severity.WARNING if priority == _WARNING else Severity.CRITICAL
