"""Standing windows: mean, coverage, peak and least of the newest minutes, at the cost of what changed since last asked.

The columns of a signal are summed up in tiles of `TILE_COLUMNS`, aligned to the column number since the epoch. A tile
is kept until one of its columns is written again (the newest columns, a late sample), and so are blocks of
`BLOCK_TILES` tiles; a window costs a few columns, the tiles at its ends and its blocks: O(metrics x devices) per new
column. Nothing is ever subtracted, so a huge value that leaves the window leaves no rounding error behind, and the
answer does not depend on when it was asked before.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Iterable, Iterator, Sequence

    from numpy.typing import NDArray

    from warpgauge.analyzer.schema import TableName
    from warpgauge.analyzer.table import Floats, Ints, Table
    from warpgauge.core.catalog import Metric

    Array = NDArray[np.floating[Any]]
    Doubles = NDArray[np.float64]

__all__ = ["BLOCK_TILES", "FEW_VALUES", "TILE_COLUMNS", "Columns", "Picked", "Rolling", "Signal", "Window"]

TILE_COLUMNS: Final = 3
BLOCK_TILES: Final = 8
_BLOCK_COLUMNS: Final = BLOCK_TILES * TILE_COLUMNS
FEW_VALUES: Final = 20_000  # below, reading a whole window anew takes less time than asking for its pieces


class Columns:
    """A range of columns of one table, [column, entity]; what a signal is computed from."""

    def __init__(self, table: Table[Any], first: int, last: int) -> None:
        self._table = table
        self._first = first
        self._last = last

    def of(self, metric: Metric, *extra: str) -> Floats:
        """A channel's values, read-only; NaN if it never appeared."""
        found = self._table.rows_of_columns(metric.name, extra, self._first, self._last)
        return self._table.blank(self._last - self._first) if found is None else found


class Picked(Columns):
    """The columns of some rows only; with `columns` only these of them."""

    def __init__(self, whole: Columns, rows: Sequence[int] | Ints, columns: slice = slice(None)) -> None:
        self._whole = whole
        self._rows = rows if isinstance(rows, np.ndarray) else list(rows)
        self._columns = columns

    def of(self, metric: Metric, *extra: str) -> Floats:
        """A channel's values, [column, picked row]."""
        picked: Floats = self._whole.of(metric, *extra)[self._columns][:, self._rows]
        return picked


@dataclass(frozen=True, slots=True)
class Signal:
    """A value per entity and column: a channel, or what `read` makes of several channels of one table.

    `read` works column by column (column k of the answer depends on column k of what it reads) and on nothing else,
    because its sums are kept under `name`, which no other signal has.
    """

    name: str
    table: TableName
    read: Callable[[Columns], Floats]


@dataclass(frozen=True, slots=True)
class _Aggregate:
    """How columns become one value per entity, and two such values one."""

    name: str
    of: Callable[[Floats], tuple[NDArray[Any], ...]]
    merges: tuple[np.ufunc, ...]
    neutral: tuple[float, ...]


@dataclass(frozen=True, slots=True)
class _Tile:
    """The aggregates of some columns, valid while none of them was written later than `writes`."""

    writes: int
    first: int
    last: int
    parts: tuple[NDArray[Any], ...]


@dataclass(frozen=True, slots=True)
class _Trace:
    """What was read of the columns up to `newest`, as they were after so many `writes`."""

    writes: int
    newest: int
    values: Array


class Window:
    """The newest `columns` columns of a signal, per entity. Arrays are shared: do not write into them."""

    def __init__(self, rolling: Rolling, signal: Signal, columns: int) -> None:
        self._rolling = rolling
        self._signal = signal
        self.columns = columns

    @cached_property
    def _sums(self) -> tuple[NDArray[Any], ...]:
        return self._rolling.merged(self._signal, self.columns, _SUMS)

    @property
    def count(self) -> NDArray[np.int32]:
        """How many columns were measured."""
        counts: NDArray[np.int32] = self._sums[1]
        return counts

    @property
    def total(self) -> Doubles:
        """Sum of what was measured, 0 where nothing was."""
        total: Doubles = self._sums[0]
        return total

    @cached_property
    def mean(self) -> Doubles:
        """Mean of what was measured, NaN where nothing was: `windows.mean` of the same columns."""
        count = self.count
        mean = np.full(len(count), np.nan)
        np.divide(self.total, count, out=mean, where=count > 0)
        return mean

    @cached_property
    def coverage(self) -> Doubles:
        """Share of the columns that was measured, 0-1: `windows.coverage` of the same columns."""
        coverage: Doubles = self.count / self.columns
        return coverage

    @cached_property
    def peak(self) -> Floats:
        """Greatest value, NaN where nothing was measured."""
        peak: Floats = self._rolling.merged(self._signal, self.columns, _PEAK)[0]
        return peak

    @cached_property
    def least(self) -> Floats:
        """Smallest value, NaN where nothing was measured."""
        least: Floats = self._rolling.merged(self._signal, self.columns, _LEAST)[0]
        return least


class Rolling:
    """The tiles of one table's signals, and the windows made of them since the table last changed."""

    def __init__(self, table: Table[Any], few_values: int = FEW_VALUES) -> None:
        self._table = table
        self._few_values = few_values
        self._tiles: dict[tuple[str, str], dict[int, _Tile]] = {}
        self._blocks: dict[tuple[str, str], dict[int, _Tile]] = {}
        self._longest: dict[tuple[str, str], int] = {}  # columns that were asked for
        self._windows: dict[tuple[str, int], Window] = {}
        self._state: tuple[int, ...] = ()
        self._renumberings = table.renumberings
        self._traces: dict[Hashable, _Trace] = {}
        self._older_traces: dict[Hashable, _Trace] = {}
        self._oldest = 0  # number since the epoch of the table's first column

    def window(self, signal: Signal, columns: int, newest: int) -> Window:
        """The newest columns of a signal; `newest` is the number of the table's last column since the epoch."""
        self._look(newest)
        key = (signal.name, columns)
        found = self._windows.get(key)
        if found is None:
            found = self._windows[key] = Window(self, signal, columns)
        return found

    def _look(self, newest: int) -> None:
        """Drop what no longer holds, because the table was written, moved on or got other rows."""
        state = (self._table.writes, newest, len(self._table), self._table.renumberings)
        if state == self._state:
            return
        if self._renumberings != self._table.renumberings:
            self._renumberings = self._table.renumberings
            self._tiles, self._blocks, self._traces = {}, {}, {}
        self._state, self._windows = state, {}
        self._older_traces, self._traces = self._traces, {}
        self._oldest = newest - self._table.columns + 1

    def trace(self, key: Hashable, newest: int, read: Callable[[Columns], Array]) -> Array:
        """A value per column of the table, [column] or [column, member]; only what was written since is read anew.

        `read` works column by column as that of a `Signal`. A trace that was not asked for since the table changed
        twice is forgotten.
        """
        self._look(newest)
        columns = self._table.columns
        known = self._traces.get(key) or self._older_traces.get(key)
        if known is None or newest - known.newest >= columns:
            values = read(Columns(self._table, 0, columns))
        elif (first := self._first_changed(known, newest)) < columns:
            kept = known.values[newest - known.newest :][:first]
            values = np.concatenate([kept, read(Columns(self._table, first, columns))])
        else:
            values = known.values
        self._traces[key] = _Trace(self._table.writes, newest, values)
        return values

    def _first_changed(self, known: _Trace, newest: int) -> int:
        """The first column that was written since, or that is new."""
        written = np.flatnonzero(self._table.stamps > known.writes)
        is_new = self._table.columns - (newest - known.newest)
        return min(int(written[0]), is_new) if len(written) else is_new

    def merged(self, signal: Signal, columns: int, how: _Aggregate) -> tuple[NDArray[Any], ...]:
        """Aggregates over a window: of whole blocks and tiles from what is kept, of a cut tile anew.

        Of a window with few values all is read anew.
        """
        if columns * len(self._table) <= self._few_values:
            return how.of(signal.read(Columns(self._table, self._table.columns - columns, self._table.columns)))
        return self._merged(self._pieces_of(signal, columns, how), how)

    def _merged(self, pieces: Iterable[_Tile], how: _Aggregate) -> tuple[NDArray[Any], ...]:
        entities = len(self._table)
        parts: list[NDArray[Any]] = []
        for piece in pieces:
            if not parts:
                parts = [
                    _padded(part, entities, nothing) for part, nothing in zip(piece.parts, how.neutral, strict=True)
                ]
                continue
            for known, part, merge in zip(parts, piece.parts, how.merges, strict=True):
                own = known[: len(part)]  # rows that came later had no value in this tile
                merge(own, part, out=own)
        return tuple(parts)

    def _pieces_of(self, signal: Signal, columns: int, how: _Aggregate) -> Iterator[_Tile]:
        key = (signal.name, how.name)
        tiles, blocks = self._tiles.setdefault(key, {}), self._blocks.setdefault(key, {})
        last = self._table.columns
        first = last - columns
        self._longest[key] = max(columns, self._longest.get(key, 0))
        oldest = self._oldest + last - self._longest[key]
        _forget(tiles, TILE_COLUMNS, oldest)
        _forget(blocks, _BLOCK_COLUMNS, oldest)
        while first < last:
            start = self._oldest + first
            if start % _BLOCK_COLUMNS == 0 and first + _BLOCK_COLUMNS <= last:
                yield self._block(blocks, tiles, first, signal, how)
                first += _BLOCK_COLUMNS
                continue
            end = min(last, (start // TILE_COLUMNS + 1) * TILE_COLUMNS - self._oldest)
            yield self._tile(tiles, first, end, signal, how)
            first = end

    def _holds(self, piece: _Tile | None, first: int, end: int) -> bool:
        """Whether a kept piece is of these columns, none of which was written since."""
        return (
            piece is not None
            and (piece.first, piece.last) == (self._oldest + first, self._oldest + end)
            and bool(self._table.stamps[first:end].max() <= piece.writes)
        )

    def _block(
        self, kept: dict[int, _Tile], tiles: dict[int, _Tile], first: int, signal: Signal, how: _Aggregate
    ) -> _Tile:
        number, end = (self._oldest + first) // _BLOCK_COLUMNS, first + _BLOCK_COLUMNS
        block = kept.get(number)
        if block is None or not self._holds(block, first, end):
            of = (self._tile(tiles, at, at + TILE_COLUMNS, signal, how) for at in range(first, end, TILE_COLUMNS))
            parts = self._merged(of, how)
            block = kept[number] = _Tile(self._table.writes, self._oldest + first, self._oldest + end, parts)
        return block

    def _tile(self, kept: dict[int, _Tile], first: int, end: int, signal: Signal, how: _Aggregate) -> _Tile:
        number = (self._oldest + first) // TILE_COLUMNS
        tile = kept.get(number)
        if tile is None or not self._holds(tile, first, end):
            values = signal.read(Columns(self._table, first, end))
            tile = _Tile(self._table.writes, self._oldest + first, self._oldest + end, how.of(values))
            if first == max(0, number * TILE_COLUMNS - self._oldest):
                kept[number] = tile
        return tile


def _forget(kept: dict[int, _Tile], columns: int, oldest: int) -> None:
    """Drop pieces of so many columns that slid out of the longest window that anyone asks for."""
    for number in [one for one in kept if (one + 1) * columns <= oldest]:
        del kept[number]


def _padded(part: NDArray[Any], entities: int, nothing: float) -> NDArray[Any]:
    """A copy with room for rows that came later."""
    if len(part) == entities:
        return part.copy()
    return np.concatenate([part, np.full(entities - len(part), nothing, dtype=part.dtype)])


def _sums(values: Floats) -> tuple[NDArray[Any], ...]:
    is_there = np.isfinite(values)
    total = np.add.reduce(values, axis=0, dtype=np.float64, where=is_there)
    return total, np.add.reduce(is_there, axis=0, dtype=np.int32)


def _peak(values: Floats) -> tuple[NDArray[Any], ...]:
    return (np.fmax.reduce(values, axis=0),)


def _least(values: Floats) -> tuple[NDArray[Any], ...]:
    return (np.fmin.reduce(values, axis=0),)


_SUMS: Final = _Aggregate("sum", _sums, (np.add, np.add), (0.0, 0))
_PEAK: Final = _Aggregate("peak", _peak, (np.fmax,), (np.nan,))
_LEAST: Final = _Aggregate("least", _least, (np.fmin,), (np.nan,))
