"""Times and durations as people write them on a command line."""

from __future__ import annotations

import math
import re
from datetime import UTC, datetime
from typing import Final

from warpgauge.core.errors import ConfigError

__all__ = ["read_duration", "read_instant"]

_SECONDS: Final = {"ms": 0.001, "s": 1.0, "m": 60.0, "h": 3600.0, "d": 86_400.0, "w": 604_800.0}
_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]+)?)(ms|[smhdw])")
_LONGEST_SECONDS: Final = 10 * 365 * 86_400.0


def read_duration(text: str, flag: str) -> float:
    """Seconds of `90s`, `1h30m`, `2d`.

    Raises:
        ConfigError: another form, zero, or longer than ten years; the message names the flag.

    """
    parts = _PART.findall(text)
    seconds = sum(float(number) * _SECONDS[unit] for number, unit in parts)
    if "".join(number + unit for number, unit in parts) != text or not 0 < seconds <= _LONGEST_SECONDS:
        msg = f"{flag} {text!r} must be a duration such as 30s, 90m, 1h or 2d"
        raise ConfigError(msg)
    return seconds


def read_instant(text: str, flag: str) -> float:
    """Seconds since the epoch of RFC 3339 (naive is UTC) or of a number of seconds.

    Raises:
        ConfigError: another form; the message names the flag.

    """
    try:
        seconds = float(text)
    except ValueError:
        seconds = _rfc3339(text)
    if not math.isfinite(seconds) or seconds < 0:
        msg = f"{flag} {text!r} must be RFC 3339 (2026-01-31T12:00:00Z) or seconds since the epoch"
        raise ConfigError(msg)
    return seconds


def _rfc3339(text: str) -> float:
    try:
        moment = datetime.fromisoformat(text)
        return (moment if moment.tzinfo else moment.replace(tzinfo=UTC)).timestamp()
    except (ValueError, OverflowError):
        return math.nan
