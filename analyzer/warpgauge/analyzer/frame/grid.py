"""Which series stands at which place of a column, so that a whole column is written at once, not value by value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

    from warpgauge.analyzer.frame.cells import Cells
    from warpgauge.analyzer.frame.states import ColumnValues
    from warpgauge.analyzer.frame.table import Floats, Ints

__all__ = ["Grid"]

_NOBODY: Final = 0  # in the place of a series' id + 1


class Grid:
    """Made of the cells, and carried on as series come; a series that shares its place with another has none here."""

    def __init__(self, tables: int) -> None:
        self.entity: NDArray[np.int32] = np.empty(0, dtype=np.int32)  # [series], whom it speaks about
        self.shares: NDArray[np.bool_] = np.empty(0, dtype=bool)  # [series], whether others have its place too
        self._series: list[Ints] = [np.zeros((0, 0), dtype=np.int64) for _ in range(tables)]  # [channel, row], id + 1
        self._extents = [(0, 0)] * tables
        self._table_bits = tables.bit_length()  # of an `entity` the lowest are the table's number + 1

    def follow(self, cells: Cells) -> None:
        """Take in the series that came since last asked."""
        known = len(self.entity)
        if known == cells.size:
            return
        new = slice(known, cells.size)
        table = cells.table[new].astype(np.int64)
        entity = cells.row[new] << self._table_bits | table + 1
        self.entity = np.concatenate([self.entity, entity.astype(np.int32)])
        self.shares = np.concatenate([self.shares, np.zeros(cells.size - known, dtype=bool)])
        for number in range(len(self._series)):
            own = known + np.flatnonzero(table == number)
            if len(own):
                self._place(number, own, cells.channel[own], cells.row[own])

    def rows(self, entities: NDArray[np.int32]) -> Iterator[tuple[Ints, NDArray[np.int32]]]:
        """Per table where those of it stand among some `entity` numbers, and their rows."""
        tables, rows = entities & ((1 << self._table_bits) - 1), entities >> self._table_bits
        for number in range(len(self._series)):
            own = np.flatnonzero(tables == number + 1)
            yield own, rows.take(own)

    def columns(self, parts: Iterable[ColumnValues]) -> list[Floats]:
        """Per table the values [channel, row] of a column, a gap where none of these series stands.

        Each series comes once, and none of them shares its place.
        """
        told = np.full(len(self.entity) + 1, np.nan, dtype=np.float32)
        for part in parts:
            told[1:][part.ids] = part.values.astype(np.float32)
        extents = zip(self._series, self._extents, strict=True)
        return [told.take(series[:channels, :rows]) for series, (channels, rows) in extents]

    def _place(self, table: int, own: Ints, channels: Ints, rows: Ints) -> None:
        series = self._series[table] = self._with_room(table, int(channels.max()) + 1, int(rows.max()) + 1)
        before = series[channels, rows]
        series[channels, rows] = own + 1
        after = series[channels, rows]
        meets = (before != _NOBODY) | (after != own + 1)
        for sharing in (own[meets], after[meets] - 1, before[before != _NOBODY] - 1):
            self.shares[sharing] = True

    def _with_room(self, table: int, channels: int, rows: int) -> Ints:
        series, extent = self._series[table], self._extents[table]
        self._extents[table] = extent = (max(extent[0], channels), max(extent[1], rows))
        if extent[0] <= series.shape[0] and extent[1] <= series.shape[1]:
            return series
        wider = np.full(tuple(most + most // 4 for most in extent), _NOBODY, dtype=np.int64)
        wider[: series.shape[0], : series.shape[1]] = series
        return wider
