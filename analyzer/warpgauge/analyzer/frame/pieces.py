"""Aggregates over ranges of columns, put together from pieces that stand until one of their columns is written again.

Columns are counted since the epoch; a tile is three of them, a block eight tiles, a span eight blocks. A range of any
length is at most about a dozen pieces: a tile that is cut, the tail of a block and of a span, whole spans, the head of
a span and of a block, and the newest tiles. A tail is made of the next shorter one, and a head grows, so that a tick
costs a few columns and merges: O(metrics x devices) per new column. Nothing is ever subtracted, so a huge value that
leaves the window leaves no rounding error behind, and the answer does not depend on when it was asked before.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final
from zlib import crc32

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

    from numpy.typing import NDArray

    from warpgauge.analyzer.frame.table import Floats

    Parts = tuple[NDArray[Any], ...]

__all__ = ["LEAST", "PEAK", "SHORT_COLUMNS", "SUMS", "TILE_COLUMNS", "Aggregate", "Pieces"]

TILE_COLUMNS: Final = 3
SHORT_COLUMNS: Final = 2 * TILE_COLUMNS  # of so few the pieces would be all columns too
_UNITS: Final = (TILE_COLUMNS, 8 * TILE_COLUMNS, 64 * TILE_COLUMNS)
"""Columns of a tile, a block and a span."""


@dataclass(frozen=True, slots=True)
class Aggregate:
    """How columns become one value per entity, and two such values one."""

    name: str
    of: Callable[[Floats], Parts]
    merges: tuple[np.ufunc, ...]
    neutral: tuple[float, ...]
    types: tuple[type[np.generic], ...]

    def merged(self, pieces: Sequence[Parts], entities: int) -> Parts:
        """One out of several; the entities that came later had no value in older pieces."""
        by_part = zip(zip(*pieces, strict=True), self.merges, self.neutral, strict=True)
        return tuple(_merged(parts, merge, nothing, entities) for parts, merge, nothing in by_part)

    def of_nothing(self, entities: int) -> Parts:
        """What columns without any value give."""
        return tuple(np.full(entities, one, dtype=type_) for one, type_ in zip(self.neutral, self.types, strict=True))


@dataclass(frozen=True, slots=True)
class _Piece:
    """The aggregates of the columns up to `last`, valid while none of them was written later than `writes`."""

    writes: int
    last: int
    parts: Parts


class Pieces:
    """The pieces of one signal and aggregate; `look` before each use says how the table stands."""

    def __init__(self, name: str, how: Aggregate, read: Callable[[int, int], Floats]) -> None:
        self._how = how
        self._read_columns = read  # first and last place in the table -> [column, entity]
        self._shift = crc32(name.encode()) % _UNITS[-1]  # so that not all signals begin a block in one tick
        self._tiles: dict[int, _Piece] = {}
        self._tails: tuple[dict[int, _Piece], ...] = ({}, {})
        self._heads: tuple[dict[int, _Piece], ...] = ({}, {})
        self._longest = 0

    def look(self, oldest: int, stamps: Sequence[int], writes: int, entities: int) -> None:
        """Take in the number of the table's first column, when each was written, and how many entities there are."""
        self._offset = oldest + self._shift
        self._stamps, self._writes, self._entities = stamps, writes, entities

    def newest(self, columns: int) -> Parts:
        """Aggregates of so many columns."""
        self._longest = max(columns, self._longest)
        last = self._offset + len(self._stamps)
        self._forget(last - self._longest)
        return self._how.merged([one.parts for one in self._range(last - columns, last)], self._entities)

    def _range(self, first: int, last: int) -> Iterator[_Piece]:
        start, end = -(-first // TILE_COLUMNS) * TILE_COLUMNS, last // TILE_COLUMNS * TILE_COLUMNS
        if start > end:
            yield self._read(first, last)
            return
        if first < start:
            yield self._read(first, start)
        settled = max(start, end - TILE_COLUMNS)  # late samples come into the newest tiles
        yield from self._whole(0, start, settled)
        if settled < end:
            yield self._unit(0, settled)
        if end < last:
            yield self._tile(end, last)

    def _whole(self, level: int, first: int, last: int) -> Iterator[_Piece]:
        """Units of a level from `first` up to `last`, both at the edge of one."""
        group = _UNITS[level + 1] if level + 1 < len(_UNITS) else last + 1  # of spans there are no larger groups
        start, end = -(-first // group) * group, last // group * group
        if start > end:
            yield from (self._unit(level, at) for at in range(first, last, _UNITS[level]))
            return
        if first < start:
            yield self._tail(level, first, start)
        yield from self._whole(level + 1, start, end)
        if end < last:
            yield self._head(level, end, last)

    def _unit(self, level: int, first: int) -> _Piece:
        last = first + _UNITS[level]
        return self._tile(first, last) if level == 0 else self._head(level - 1, first, last)

    def _tail(self, level: int, first: int, last: int) -> _Piece:
        kept, rest = self._tails[level], first + _UNITS[level]
        tail = kept.get(first)
        if tail is None or not self._holds(tail, first):
            unit = self._unit(level, first)
            tail = unit if rest == last else self._joined(unit, self._tail(level, rest, last))
            kept[first] = tail
        return tail

    def _head(self, level: int, first: int, last: int) -> _Piece:
        kept = self._heads[level]
        head = kept.get(first)
        if head is None or head.last > last or not self._holds(head, first):
            head = self._unit(level, first)
        while head.last < last:
            head = self._joined(head, self._unit(level, head.last))
        kept[first] = head
        return head

    def _tile(self, first: int, last: int) -> _Piece:
        tile = self._tiles.get(first)
        if tile is None or tile.last != last or not self._holds(tile, first):
            tile = self._tiles[first] = self._read(first, last)
        return tile

    def _read(self, first: int, last: int) -> _Piece:
        values = self._read_columns(first - self._offset, last - self._offset)
        return _Piece(self._writes, last, self._how.of(values))

    def _joined(self, earlier: _Piece, later: _Piece) -> _Piece:
        return _Piece(self._writes, later.last, self._how.merged([earlier.parts, later.parts], self._entities))

    def _holds(self, piece: _Piece, first: int) -> bool:
        return max(self._stamps[first - self._offset : piece.last - self._offset]) <= piece.writes

    def _forget(self, oldest: int) -> None:
        """Drop what slid out of the longest window that anyone asks for."""
        kept: tuple[tuple[dict[int, _Piece], int], ...] = ((self._tiles, TILE_COLUMNS),)
        kept += tuple(zip(self._tails, _UNITS, strict=False)) + tuple(zip(self._heads, _UNITS[1:], strict=True))
        for pieces, columns in kept:
            while pieces and (first := next(iter(pieces))) + columns <= oldest:
                del pieces[first]


def _merged(parts: Sequence[NDArray[Any]], merge: np.ufunc, nothing: float, entities: int) -> NDArray[Any]:
    """A new array; the first two of full length are merged into it, which saves a copy."""
    whole: NDArray[Any]
    if len(parts) > 1 and len(parts[0]) == len(parts[1]) == entities:
        whole, others = merge(parts[0], parts[1]), parts[2:]
    else:
        whole, others = _padded(parts[0], entities, nothing), parts[1:]
    for part in others:
        own = whole[: len(part)]
        merge(own, part, out=own)
    return whole


def _padded(part: NDArray[Any], entities: int, nothing: float) -> NDArray[Any]:
    """A copy with room for rows that came later."""
    if len(part) == entities:
        return part.copy()
    return np.concatenate([part, np.full(entities - len(part), nothing, dtype=part.dtype)])


def _sums(values: Floats) -> Parts:
    is_there = np.isfinite(values)
    if len(values) <= SHORT_COLUMNS:  # in two types throughout: a reduction that converts takes twice as long
        known = values.astype(np.float64)
        if not is_there.all():
            known[~is_there] = 0.0
        return np.add.reduce(known, axis=0), np.add.reduce(is_there.view(np.int8), axis=0, dtype=np.int8).astype(
            np.int32
        )
    total = np.add.reduce(values, axis=0, dtype=np.float64, where=is_there)
    return total, np.add.reduce(is_there, axis=0, dtype=np.int32)


def _peak(values: Floats) -> Parts:
    return (np.fmax.reduce(values, axis=0),)


def _least(values: Floats) -> Parts:
    return (np.fmin.reduce(values, axis=0),)


SUMS: Final = Aggregate("sum", _sums, (np.add, np.add), (0.0, 0), (np.float64, np.int32))
PEAK: Final = Aggregate("peak", _peak, (np.fmax,), (np.nan,), (np.float32,))
LEAST: Final = Aggregate("least", _least, (np.fmin,), (np.nan,), (np.float32,))
