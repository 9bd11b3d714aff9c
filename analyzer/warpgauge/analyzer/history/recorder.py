"""The way from the frame's thread into the history: thins out, and hands over without ever waiting.

Belongs to the thread that owns the frame. What it costs there is a few array operations a batch; sorting, encoding and
the disk are the business of the `HistoryWriter`'s own thread.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

import numpy as np

from warpgauge.analyzer.history.book import Book
from warpgauge.analyzer.history.rows import Rows

if TYPE_CHECKING:
    from collections.abc import Mapping

    from numpy.typing import NDArray

    from warpgauge.analyzer.frame.states import Doubles
    from warpgauge.analyzer.frame.table import Ints
    from warpgauge.core.config import HistoryConfig

__all__ = ["MOST_SERIES", "Recorder", "Taker", "recorder_of"]

MOST_SERIES: Final = 2_000_000
_UNKNOWN: Final = -1
_FIRST_CAPACITY: Final = 256
_JITTER: Final = 0.9  # scrapes come a little early now and then: this share of the resolution apart is apart enough


class Taker(Protocol):
    """Takes rows without waiting; drops and counts what it has no room for."""

    def offer(self, rows: Rows) -> None:
        """Take rows."""

    def refuse(self, count: int) -> None:
        """Count samples of series beyond the most that are kept."""


class Recorder:
    """What the frame's thread tells of series and their samples."""

    def __init__(self, taker: Taker, *, resolution_seconds: float, most_series: int = MOST_SERIES) -> None:
        self._taker = taker
        self._least_ms = max(1, round(resolution_seconds * 1000.0 * _JITTER))
        self._most_series = most_series
        self._book = Book(most_series=most_series)
        self._of_frame: Ints = np.full(_FIRST_CAPACITY, _UNKNOWN, dtype=np.int64)

    def begin(self) -> None:
        """Numbers of the frame and of `aside` are void from now on."""
        self._book = Book(most_series=self._most_series, previous=self._book)
        self._of_frame = np.full(_FIRST_CAPACITY, _UNKNOWN, dtype=np.int64)

    def describe(self, frame_number: int, name: str, labels: Mapping[str, str]) -> None:
        """Say which series stands under a number of the frame."""
        while frame_number >= len(self._of_frame):
            self._of_frame = np.concatenate([self._of_frame, np.full_like(self._of_frame, _UNKNOWN)])
        self._of_frame[frame_number] = self._book.number(name, labels)

    def aside(self, name: str, labels: Mapping[str, str]) -> int:
        """The number of a series that the frame has no place for; -1 if there are too many."""
        return self._book.number(name, labels)

    def take(self, frame_numbers: Ints, times_ms: Ints, values: Doubles, simulated: frozenset[tuple[str, str]]) -> None:
        """Record samples of the frame; `simulated` are the nodes known to be."""
        self._book.simulated = simulated
        self._keep(self._of_frame[frame_numbers], times_ms, values)

    def take_aside(self, numbers: Ints, times_ms: Ints, values: Doubles) -> None:
        """Record samples of series under numbers of `aside`."""
        self._keep(numbers, times_ms, values)

    def _keep(self, numbers: Ints, times_ms: Ints, values: Doubles) -> None:
        is_value = ~np.isnan(values)  # a stale marker is the end of a series, and no value
        refused = int(np.count_nonzero(is_value & (numbers < 0)))
        if refused:
            self._taker.refuse(refused)
        chosen = np.flatnonzero(is_value & (numbers >= 0))
        if not len(chosen):
            return
        numbers, times_ms, values = numbers[chosen], times_ms[chosen], values[chosen]
        kept = self._thinned(numbers, times_ms)
        if len(kept):
            numbers, times_ms = numbers[kept], times_ms[kept]
            np.maximum.at(self._book.last_ms, numbers, times_ms)
            self._taker.offer(Rows(self._book, numbers.astype(np.int32), times_ms, values[kept]))

    def _thinned(self, numbers: Ints, times_ms: Ints) -> NDArray[np.intp]:
        """Which samples are far enough from the one before of their series; what was read already is not."""
        passed_ms = times_ms - self._book.last_ms[numbers]
        steps = passed_ms // self._least_ms
        if len(numbers) == 1 or (np.diff(numbers) > 0).all():
            return np.flatnonzero(steps > 0)
        order = np.lexsort((times_ms, numbers))
        is_first = np.ones(len(order), dtype=bool)
        is_first[1:] = (np.diff(numbers[order]) != 0) | (np.diff(steps[order]) != 0)
        kept: NDArray[np.intp] = order[is_first & (steps[order] > 0)]
        return kept


def recorder_of(settings: HistoryConfig, taker: Taker | None) -> Recorder | None:
    """The recorder that feeds a history, None where there is none."""
    return None if taker is None else Recorder(taker, resolution_seconds=settings.resolution_seconds)
