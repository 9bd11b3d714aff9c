"""Rows of a long table, collected and handed on as series over time.

The long table: `timestamp`, `metric`, `value`, every further column a label. What is held is 24 bytes a row and each
different series once, however the file is cut.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.dialects.naming import DESCRIBING
from warpgauge.analyzer.sources.batch import Points, Ranges, Target
from warpgauge.analyzer.sources.replicas import merge_replicas
from warpgauge.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from numpy.typing import NDArray

    from warpgauge.analyzer.frame.states import Doubles
    from warpgauge.analyzer.frame.table import Ints

__all__ = ["FIXED", "LongTable", "check_labels"]

FIXED: Final = ("timestamp", "metric", "value")
MOST_SERIES: Final = 2_000_000
_METRIC: Final = re.compile(r"[a-zA-Z_:][a-zA-Z0-9_:]*")
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_GUESSED_INTERVAL_SECONDS: Final = 10.0
_USUAL_INTERVALS_SECONDS: Final = np.array([1.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0])
_LOOKED_AT: Final = 64  # samples of a series, to tell its interval


class LongTable:
    """The rows of one file; `place` is its name in messages."""

    def __init__(self, place: str) -> None:
        self._place = place
        self._series: list[tuple[str, Mapping[str, str]]] = []
        self._numbers: dict[tuple[str, tuple[tuple[str, str], ...]], int] = {}
        self._parts: list[tuple[NDArray[np.int32], Ints, Doubles]] = []

    def number(self, metric: str, labels: Mapping[str, str]) -> int:
        """The number of a series.

        Raises:
            InputError: the name is none, or there are too many series.

        """
        key = (metric, tuple(sorted(labels.items())))
        found = self._numbers.get(key)
        if found is not None:
            return found
        if not _METRIC.fullmatch(metric):
            msg = f"{self._place}: metric {metric[:80]!r} is no name of a metric (letters, digits, _ and :)"
            raise InputError(msg)
        if len(self._series) >= MOST_SERIES:
            msg = f"{self._place} holds more than {MOST_SERIES:,} series; split it, or is a label a time or an id?"
            raise InputError(msg)
        self._series.append((metric, labels))
        return self._numbers.setdefault(key, len(self._series) - 1)

    def add(self, numbers: Ints, times_ms: Ints, values: Doubles) -> None:
        """Take in rows: of each the number of its series, its time and its value."""
        self._parts.append((numbers.astype(np.int32), times_ms, values))

    def ranges(self, target: Target, replica_labels: Sequence[str] = ()) -> Iterator[Ranges]:
        """All rows as series over time, those that tell nodes' names first; what an HA pair has twice is there once."""
        points = merge_replicas(self._points(), replica_labels)
        intervals = _intervals([one.times_ms for one in points])
        is_describing = np.array([one.name in DESCRIBING for one in points], dtype=bool)
        for chosen in (is_describing, ~is_describing):
            for interval in np.unique(intervals[chosen]).tolist():
                found = [points[at] for at in np.flatnonzero(chosen & (intervals == interval)).tolist()]
                yield Ranges(target=target, points=found, interval_seconds=interval)

    def _points(self) -> list[Points]:
        if not self._parts:
            return []
        numbers, times_ms, values = (np.concatenate(column) for column in zip(*self._parts, strict=True))
        self._parts.clear()
        order = np.lexsort((times_ms, numbers))
        numbers, times_ms, values = numbers[order], times_ms[order], values[order]
        starts = np.flatnonzero(np.diff(numbers, prepend=-1))
        ends = np.append(starts[1:], len(numbers))
        return [
            Points(
                name=self._series[number][0],
                labels=self._series[number][1],
                times_ms=times_ms[first:last],
                values=values[first:last],
            )
            for number, first, last in zip(numbers[starts].tolist(), starts.tolist(), ends.tolist(), strict=True)
        ]


def check_labels(place: str, names: Sequence[str]) -> None:
    """Whether a table's columns are those of a long one.

    Raises:
        InputError: they are not; the message names the column and the mend.

    """
    for name in FIXED:
        if name not in names:
            msg = f"{place} has no column {name!r}; a long table has timestamp, metric, value and a column per label"
            raise InputError(msg)
    for name in names:
        if names.count(name) > 1:
            msg = f"{place} has two columns {name!r}; drop or rename one"
            raise InputError(msg)
        if not _LABEL.fullmatch(name):
            msg = f"{place}: column {name[:80]!r} is no name of a label (letters, digits and _); rename it"
            raise InputError(msg)


def _intervals(series: Sequence[Ints]) -> Doubles:
    """Per series the usual interval next to its own; one with a single sample is taken for like most others."""
    found = np.array([_interval(times_ms) for times_ms in series], dtype=np.float64)
    known = found[~np.isnan(found)]
    typical = float(np.median(known)) if len(known) else _GUESSED_INTERVAL_SECONDS
    told = np.where(np.isnan(found), typical, found)
    nearest = np.searchsorted(_USUAL_INTERVALS_SECONDS, 0.8 * told).clip(0, len(_USUAL_INTERVALS_SECONDS) - 1)
    usual: Doubles = _USUAL_INTERVALS_SECONDS[nearest]
    return usual


def _interval(times_ms: Ints) -> float:
    distances = np.diff(times_ms[:_LOOKED_AT])
    distances = distances[distances > 0]
    return float(np.median(distances)) / 1000.0 if len(distances) else float("nan")
