"""How numbers and places are said to a tired person: `41 %`, `12 min`, `1.14 GHz`, `node-3/gpu5`."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from warpgauge.analyzer.frame import DeviceEntity

__all__ = [
    "clock",
    "count",
    "device_name",
    "gibibytes",
    "gigahertz",
    "listed",
    "listed_of",
    "milliseconds",
    "percent",
    "span",
    "times",
]

_MINUTE: Final = 60
_DAY_MINUTES: Final = 1440
_HOUR: Final = 3600
_FEW: Final = 3
_ROUGH_TIMES: Final = 9.995  # rounds to ten
_MOST_TIMES: Final = 1000


def percent(ratio: float) -> str:
    """`41 %`; `4.2 %` below ten, so that small numbers keep their meaning."""
    value = ratio * 100
    return f"{value:.0f} %" if value >= 9.95 or value == 0 else f"{value:.1f} %"  # noqa: PLR2004 - rounds to ten


def span(seconds: float) -> str:
    """`50 s`, `12 min`, `1 h 5 min`; `8 days` from four days on."""
    whole = round(seconds)
    if whole < 2 * _MINUTE:
        return f"{whole} s"
    minutes = round(seconds / _MINUTE)
    if minutes < 2 * _MINUTE:
        return f"{minutes} min"
    if minutes >= 4 * _DAY_MINUTES:
        return f"{minutes / _DAY_MINUTES:.0f} days"
    hours, rest = divmod(minutes, _MINUTE)
    return f"{hours} h {rest} min" if rest else f"{hours} h"


def clock(time: float) -> str:
    """A moment of the last day, in seconds since the epoch: `03:12 UTC`."""
    return datetime.fromtimestamp(time, UTC).strftime("%H:%M UTC")


def milliseconds(seconds: float) -> str:
    """`62 ms`, `1.4 s`."""
    return f"{seconds:.1f} s" if seconds >= 1 else f"{seconds * 1000:.0f} ms"


def gigahertz(hertz: float) -> str:
    """`1.14 GHz`."""
    return f"{hertz / 1e9:.2f} GHz"


def gibibytes(number: float) -> str:
    """`1.5 GiB`."""
    return f"{number / 2**30:.1f} GiB"


def times(ratio: float) -> str:
    """`1.31 times`; `17 times` from ten on; what lies beyond a thousand is an estimate of something near zero."""
    if ratio > _MOST_TIMES:
        return f"more than {_MOST_TIMES} times"
    return f"{ratio:.0f} times" if ratio >= _ROUGH_TIMES else f"{ratio:.2f} times"


def count(number: int, noun: str) -> str:
    """`1 device`, `8 devices`."""
    return f"{number} {noun}" if number == 1 else f"{number} {noun}s"


def listed(names: Sequence[str]) -> str:
    """`a, b and c`; `a, b, c and 5 more` when there are many."""
    return listed_of(len(names), names.__getitem__)


def listed_of(total: int, name: Callable[[int], str]) -> str:
    """`listed` of so many, only those that are shown by their names."""
    shown = [name(at) for at in range(total if total <= _FEW + 1 else _FEW)]
    if total > len(shown):
        shown.append(f"{total - _FEW} more")
    return shown[0] if len(shown) == 1 else f"{', '.join(shown[:-1])} and {shown[-1]}"


def device_name(device: DeviceEntity) -> str:
    """`node-3/gpu5`, or the UUID where the index is unknown."""
    unit = f"{device.kind or 'gpu'}{device.index}" if device.index >= 0 else device.uuid
    return f"{device.node}/{unit}" if device.node else unit
