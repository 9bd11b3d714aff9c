"""One univariate series as CSV, `timestamp,value`: read in pieces of bounded size, each row checked.

Timestamps are seconds since the epoch or RFC 3339 (without a zone: UTC), in any order and at any distance. A value
may be empty, NaN, null or infinite, which all mean that nothing was measured. With a header that names `timestamp`
and `value` these columns count, otherwise the first two. One that names `metric` too begins a long table, whose other
columns are labels: of it one series is read.
"""

from __future__ import annotations

import csv
import math
from dataclasses import dataclass
from datetime import datetime
from itertools import islice
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.sources.chosen_series import Choice, Chosen
from warpgauge.core.errors import InputError

if TYPE_CHECKING:
    from _csv import Reader as CsvReader  # a name for type checkers only
    from collections.abc import Iterator, Sequence
    from typing import TextIO

    from numpy.typing import NDArray

__all__ = ["Piece", "fields_of", "lines_of", "number_of", "read_pieces", "seconds_of"]

PIECE_ROWS: Final = 4096
LONGEST_LINE: Final = 65_536  # characters
LARGEST_VALUE: Final = 1e300  # sums of a few hundred values stay finite
_EPOCH: Final = datetime(1970, 1, 1)  # noqa: DTZ001 - naive timestamps are UTC and so is this
_MISSING: Final = frozenset({"", "nan", "null", "none", "na", "n/a", "+nan", "-nan"})
_NAMES: Final = ("timestamp", "value")
_METRIC: Final = "metric"
_ANY: Final = Choice()
_MOST_KNOWN: Final = 100_000  # series of a long table of which it is remembered whether they are wanted
_FEWEST_FIELDS: Final = 2


@dataclass(frozen=True, slots=True)
class Piece:
    """Some rows: the timestamps as written, in seconds since the epoch, and the values, NaN where there is none."""

    texts: list[str]
    times: NDArray[np.float64]
    values: NDArray[np.float64]


def read_pieces(stream: TextIO, name: str, rows: int = PIECE_ROWS, *, choice: Choice = _ANY) -> Iterator[Piece]:
    """All rows of a stream in their order, of a long table those of the series that fits; memory is bounded by `rows`.

    Raises:
        InputError: a row is malformed, and the message holds `name` and the line; or not exactly one series fits.

    """
    reader = csv.reader(lines_of(stream, name))
    numbered = fields_of(reader, name)
    first = next(numbered, None)
    if first is None:
        msg = f"{name} is empty; expected rows of timestamp,value"
        raise InputError(msg)
    time_at, value_at, is_header = _columns(first[1])
    one = _OneSeries.of(first[1], choice, name) if is_header else None
    if one is None and not choice.is_any:
        msg = f"{name} has no column {_METRIC!r}, so there is nothing to choose from"
        raise InputError(msg)
    pending: list[tuple[int, list[str]]] = [] if is_header else [first]
    while pending or (pending := list(islice(numbered, rows))):
        yield _piece(pending if one is None else one.rows(pending), (time_at, value_at), name)
        pending = []
    if one is not None:
        one.chosen.check()


class _OneSeries:
    """Which rows of a long table are wanted."""

    def __init__(self, header: Sequence[str], chosen: Chosen, name: str) -> None:
        self.chosen = chosen
        self._name = name
        self._width = len(header)
        names = [field.strip() for field in header]
        self._metric_at = [one.lower() for one in names].index(_METRIC)
        fixed = {*_NAMES, _METRIC}
        self._labels = [(at, one) for at, one in enumerate(names) if one.lower() not in fixed]
        self._known: dict[tuple[str, ...], bool] = {}
        chosen.check_columns([one for _, one in self._labels])

    @classmethod
    def of(cls, header: Sequence[str], choice: Choice, name: str) -> _OneSeries | None:
        """None where the header is not that of a long table."""
        is_long = _METRIC in [field.strip().lower() for field in header]
        return cls(header, Chosen(choice, name), name) if is_long else None

    def rows(self, rows: Sequence[tuple[int, list[str]]]) -> list[tuple[int, list[str]]]:
        """Those of the series; a row of another width is malformed, whatever it is of."""
        return [(line, row) for line, row in rows if self._is_wanted(line, row)]

    def _is_wanted(self, line: int, row: Sequence[str]) -> bool:
        if len(row) != self._width:
            msg = f"{self._name} line {line}: {len(row)} fields, expected as many as the first line ({self._width})"
            raise InputError(msg)
        metric = row[self._metric_at]
        key = (metric, *[row[at] for at, _ in self._labels])
        known = self._known.get(key)
        if known is None:
            if len(self._known) >= _MOST_KNOWN:
                self._known.clear()
            labels = {name: row[at] for at, name in self._labels if row[at]}
            known = self._known[key] = self.chosen.is_it(metric, labels)
        return known


def lines_of(stream: TextIO, name: str) -> Iterator[str]:
    """Lines of bounded length.

    Raises:
        InputError: one is longer, or no text.

    """
    number = 0
    try:
        while line := stream.readline(LONGEST_LINE):
            number += 1
            if len(line) >= LONGEST_LINE:
                msg = f"{name} line {number}: longer than {LONGEST_LINE} characters"
                raise InputError(msg)
            yield line
    except UnicodeDecodeError as error:
        msg = f"{name} line {number + 1}: not UTF-8 text"
        raise InputError(msg) from error


def fields_of(reader: CsvReader, name: str) -> Iterator[tuple[int, list[str]]]:
    """Rows that are not blank, with the number of their line."""
    number = 0
    try:
        for row in reader:
            number = reader.line_num
            if row:
                yield number, row
    except csv.Error as error:
        msg = f"{name} line {number + 1}: {error}"
        raise InputError(msg) from error


def _columns(row: Sequence[str]) -> tuple[int, int, bool]:
    """Where timestamp and value stand, and whether this first row only says so."""
    names = [field.strip().lower() for field in row]
    if all(name in names for name in _NAMES):
        return names.index(_NAMES[0]), names.index(_NAMES[1]), True
    is_header = len(row) >= _FEWEST_FIELDS and seconds_of(row[0]) is None and number_of(row[1]) is None
    return 0, 1, is_header


def _piece(rows: Sequence[tuple[int, list[str]]], columns: tuple[int, int], name: str) -> Piece:
    texts, times, values = [], [], []
    time_at, value_at = columns
    for line, row in rows:
        try:
            text, seconds, value = row[time_at], seconds_of(row[time_at]), number_of(row[value_at])
        except IndexError:
            seconds = value = None
            text = ""
        if seconds is None or value is None:
            raise InputError(_complaint(name, line, row, columns))
        texts.append(text)
        times.append(seconds)
        values.append(value)
    return Piece(texts, np.array(times), np.array(values))


def _complaint(name: str, line: int, row: Sequence[str], columns: tuple[int, int]) -> str:
    if len(row) <= max(columns):
        return f"{name} line {line}: expected timestamp,value, got {','.join(row)[:80]!r}"
    if seconds_of(row[columns[0]]) is None:
        wanted = "seconds since the epoch or RFC 3339"
        return f"{name} line {line}: timestamp {row[columns[0]][:80]!r} must be {wanted}"
    return f"{name} line {line}: value {row[columns[1]][:80]!r} must be a number, empty or NaN"


def seconds_of(text: str) -> float | None:
    """Seconds since the epoch, None if the text is no time."""
    try:
        if text[4:5] == "-":
            moment = datetime.fromisoformat(text)
            return (moment - _EPOCH).total_seconds() if moment.tzinfo is None else moment.timestamp()
        seconds = float(text)
    except (ValueError, OverflowError):
        return None
    return seconds if math.isfinite(seconds) and "_" not in text else None


def number_of(text: str) -> float | None:
    """The value, NaN for one that is missing, None if the text is neither."""
    try:
        value = float(text)
    except ValueError:
        return math.nan if text.strip().lower() in _MISSING else None
    if "_" in text:
        return None
    return value if -LARGEST_VALUE < value < LARGEST_VALUE else math.nan
