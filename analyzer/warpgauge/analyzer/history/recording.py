"""What the intake tells the history: every catalog series under the words of the catalog, kept by the frame or not."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.dialects import Mapped
from warpgauge.analyzer.dialects.conversions import Conversions
from warpgauge.core.catalog import BY_NAME, Kind
from warpgauge.core.finding import Level

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.analyzer.frame.states import Doubles
    from warpgauge.analyzer.frame.table import Ints
    from warpgauge.analyzer.history.recorder import Recorder

__all__ = ["Recording"]

_PLACED: Final = ("cluster", "node", "job", "instance")
_LEVELS: Final = tuple(level.value for level in Level)
_HISTOGRAM_SUFFIXES: Final = ("_bucket", "_sum", "_count")
_ROWS: Final = {name: row for name, row in BY_NAME.items() if row.kind is not Kind.HISTOGRAM} | {
    f"{name}{suffix}": row
    for name, row in BY_NAME.items()
    if row.kind is Kind.HISTOGRAM
    for suffix in _HISTOGRAM_SUFFIXES
}


class Recording:
    """A recorder as one intake uses it, which owns its numbers; belongs to the thread that owns the frame."""

    def __init__(self, recorder: Recorder) -> None:
        self._recorder = recorder
        self._conversions = Conversions()
        self._descriptions: list[int] = []
        self._described: Ints | None = None  # the same, once asked for
        recorder.begin()

    def begin(self) -> None:
        """Numbers given out before are void."""
        self._recorder.begin()
        self._conversions = Conversions()
        self._descriptions.clear()
        self._described = None

    def told(self, frame_number: int, mapped: Mapped, located: Mapping[str, str]) -> int | None:
        """Take in a mapped series; gives its number aside if the frame has none for it."""
        metric = mapped.metric
        name = f"{metric.name}_{mapped.part}" if mapped.part else metric.name
        placed = _PLACED if metric.kind is not Kind.INFO else (*_PLACED, *_LEVELS)
        labels = {**mapped.labels, **{label: located[label] for label in placed if label in located}}
        if frame_number >= 0:
            self._recorder.describe(frame_number, name, labels)
            return None
        number = self._recorder.aside(name, labels)
        if number < 0:
            return None
        self._conversions.remember(number, mapped)
        if metric.kind is Kind.INFO:
            self._descriptions.append(number)
            self._described = None
        return number

    def unmapped(self, name: str, located: Mapping[str, str]) -> list[int]:
        """The number of a series that is in the catalog and that no detector reads; none if it is not."""
        if name not in _ROWS:
            return []
        number = self._recorder.aside(name, located)
        if number < 0:
            return []
        self._conversions.remember(number, Mapped(metric=_ROWS[name], labels=located))
        return [number]

    def descriptions(self, numbers: Ints) -> int:
        """How many samples are of info series."""
        if self._described is None:
            self._described = np.array(self._descriptions, dtype=np.int64)
        return int(np.count_nonzero(np.isin(numbers, self._described)))

    def take(self, ids: Ints, times_ms: Ints, values: Doubles, simulated: frozenset[tuple[str, str]]) -> None:
        """Record samples of the frame."""
        self._recorder.take(ids, times_ms, values, simulated)

    def take_aside(self, numbers: Ints, times_ms: Ints, values: Doubles) -> None:
        """Record samples of what the frame does not keep."""
        found, is_value = self._conversions.ours(numbers, values)
        chosen = np.flatnonzero(is_value)
        self._recorder.take_aside(numbers[chosen], times_ms[chosen], found[chosen])
