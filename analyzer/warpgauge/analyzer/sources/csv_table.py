"""Long tables as CSV: `timestamp,metric,value` and a column per label, read row by row.

Timestamps are seconds since the epoch or RFC 3339 (without a zone: UTC). A value that is empty, NaN, null or infinite
was not measured; an empty label is absent.
"""

from __future__ import annotations

import csv
import math
from array import array
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.sources.long_table import FIXED, LongTable, check_labels
from warpgauge.analyzer.sources.series_file import fields_of, lines_of, number_of, seconds_of
from warpgauge.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

    from warpgauge.analyzer.frame.states import Doubles
    from warpgauge.analyzer.frame.table import Ints

__all__ = ["read_csv"]

_PIECE_ROWS: Final = 65_536


def read_csv(path: Path, *, span: tuple[float, float] | None = None) -> LongTable:
    """The rows of a file; `span` in seconds since the epoch leaves out what is not in it.

    Raises:
        InputError: it cannot be read or a row is malformed; the message names the line, the column and the mend.

    """
    table, reader = LongTable(str(path)), _Reader(str(path))
    try:
        with path.open(encoding="utf-8-sig", newline="") as stream:
            rows = fields_of(csv.reader(lines_of(stream, str(path)), strict=True), str(path))
            reader.begin(next(rows, (0, []))[1])
            for piece in reader.pieces(rows, table, span or (-math.inf, math.inf)):
                table.add(*piece)
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror or error}"
        raise InputError(msg) from error
    return table


class _Reader:
    """What is known of one file's columns, and which series its texts mean."""

    def __init__(self, name: str) -> None:
        self._name = name
        self._columns: list[str] = []
        self._at: tuple[int, ...] = ()
        self._known: dict[tuple[str, ...], int] = {}

    def begin(self, header: list[str]) -> None:
        """Take the first line."""
        if not header:
            msg = f"{self._name} is empty; a long table begins with a line timestamp,metric,value and labels"
            raise InputError(msg)
        self._columns = [name.strip() for name in header]
        check_labels(self._name, self._columns)
        self._at = tuple(self._columns.index(name) for name in FIXED)

    def pieces(
        self, rows: Iterator[tuple[int, list[str]]], table: LongTable, span: tuple[float, float]
    ) -> Iterator[tuple[Ints, Ints, Doubles]]:
        """Numbers of series, times and values, some rows at a time."""
        numbers, times, values = array("q"), array("d"), array("d")
        for line, row in rows:
            seconds, value = self._measured(line, row)
            if math.isnan(value) or not span[0] <= seconds <= span[1]:
                continue
            numbers.append(self._number(line, row, table))
            times.append(seconds)
            values.append(value)
            if len(numbers) >= _PIECE_ROWS:
                yield _arrays(numbers, times, values)
                numbers, times, values = array("q"), array("d"), array("d")
        yield _arrays(numbers, times, values)

    def _measured(self, line: int, row: list[str]) -> tuple[float, float]:
        if len(row) != len(self._columns):
            wanted = f"as many as the first line ({len(self._columns)})"
            msg = f"{self._name} line {line}: {len(row)} fields, expected {wanted}; quote a text that holds a comma"
            raise InputError(msg)
        time_at, _, value_at = self._at
        seconds, value = seconds_of(row[time_at]), number_of(row[value_at])
        if seconds is None:
            wanted = "seconds since the epoch or RFC 3339"
            msg = f"{self._name} line {line}: timestamp {row[time_at][:80]!r} must be {wanted}"
            raise InputError(msg)
        if value is None:
            msg = f"{self._name} line {line}: value {row[value_at][:80]!r} must be a number, empty or NaN"
            raise InputError(msg)
        return seconds, value

    def _number(self, line: int, row: list[str], table: LongTable) -> int:
        time_at, metric_at, value_at = self._at
        key = tuple(field for at, field in enumerate(row) if at not in {time_at, value_at})
        known = self._known.get(key)
        if known is None:
            labels = {
                name: field
                for at, (name, field) in enumerate(zip(self._columns, row, strict=True))
                if field and at not in self._at
            }
            try:
                known = self._known[key] = table.number(row[metric_at], labels)
            except InputError as error:
                msg = str(error).replace(self._name, f"{self._name} line {line}", 1)
                raise InputError(msg) from error
        return known


def _arrays(numbers: array[int], times: array[float], values: array[float]) -> tuple[Ints, Ints, Doubles]:
    return (
        np.array(numbers, dtype=np.int64),
        np.rint(np.array(times) * 1000.0).astype(np.int64),
        np.array(values, dtype=np.float64),
    )
