"""Series whose value is the code of the last event: a change of the code is an event, the code staying is none.

So is DCGM's last XID. It sticks until the exporter restarts: the same code twice in a row is one event, and a code that
stood there at the first sight happened at an unknown time and is none.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

__all__ = ["Event", "LastCodes"]

_NONE: Final = 0
_LARGEST: Final = 1000  # XIDs have three digits; what is larger is a marker for "not available"
_MOST_CODES: Final = 16  # different codes of one device; more come from a broken exporter


class Event(NamedTuple):
    """A code as it stands at one sample: how often it came since the first sight, and when last."""

    code: int
    time_ms: int
    times: int
    last_ms: int


@dataclass(slots=True)
class _Seen:
    labels: Mapping[str, str]
    code: int | None = None
    time_ms: int = -(1 << 62)
    counts: dict[int, int] = field(default_factory=dict)
    last_ms: dict[int, int] = field(default_factory=dict)


class LastCodes:
    """The last code of every device that has such a series."""

    def __init__(self) -> None:
        self._numbers: dict[tuple[str, ...], int] = {}
        self._seen: list[_Seen] = []

    def number(self, labels: Mapping[str, str]) -> int:
        """Number of the device that the labels name."""
        key = tuple(labels.values())
        found = self._numbers.get(key)
        if found is None:
            found = self._numbers[key] = len(self._seen)
            self._seen.append(_Seen(labels))
        return found

    def labels(self, number: int) -> Mapping[str, str]:
        """Labels of the device."""
        return self._seen[number].labels

    def read(self, number: int, time_ms: int, value: float) -> Iterator[Event]:
        """Take in a sample; gives an entry for each code that came since the first sight, at this time.

        A new code is given for the sample before as well, with a count of 0: only then is there an increase to see.
        """
        seen = self._seen[number]
        if time_ms <= seen.time_ms or not 0 <= value < _LARGEST:  # read already; a marker, NaN included
            return
        code, before_ms = int(value), seen.time_ms
        is_event = seen.code is not None and code not in {seen.code, _NONE}
        if is_event and (code in seen.counts or len(seen.counts) < _MOST_CODES):
            if code not in seen.counts:
                yield Event(code, before_ms, 0, 0)
            seen.counts[code] = seen.counts.get(code, 0) + 1
            seen.last_ms[code] = time_ms
        seen.code, seen.time_ms = code, time_ms
        for known, count in seen.counts.items():
            yield Event(known, time_ms, count, seen.last_ms[known])
