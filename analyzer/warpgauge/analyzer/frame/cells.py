"""Where each series' values go: table, channel, row, and with which other series they fold into one value."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from warpgauge.analyzer.frame.rooms import room, roomy, widened
from warpgauge.analyzer.frame.schema import Reduce
from warpgauge.analyzer.frame.states import ColumnValues

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from warpgauge.analyzer.frame.states import Doubles
    from warpgauge.analyzer.frame.table import Ints

__all__ = ["NOWHERE", "Cells", "combine", "fold"]

NOWHERE: Final = -1
"""Table number of a series without values over time (info series)."""

_FIRST_TURN: Final = 8  # after those of the series states
_NUMBERS: Final = {reduce: number for number, reduce in enumerate(Reduce)}
_TABLE_BITS: Final = 32  # channel numbers stay below


class Cells:
    """Arrays indexed by series id, grown beside the series states."""

    def __init__(self) -> None:
        self.size = 0
        self.table = room(_FIRST_TURN, np.int8)
        self.reduce = room(_FIRST_TURN + 1, np.int8)
        self.channel = room(_FIRST_TURN + 2, np.int64)
        self.row = room(_FIRST_TURN + 3, np.int64)
        self.origin = room(_FIRST_TURN + 4, np.int64)
        self._room = len(self.table)
        self._members: dict[int, Ints] | None = None
        self._in_table: dict[int, tuple[int, Ints]] = {}  # of so many series
        self._groups: Ints = np.empty(0, dtype=np.int64)
        self._sharing: Ints = np.empty(0, dtype=np.int64)  # of those that `_groups` knows, ids that may share a cell
        self._next_group = 0

    def add(self, table: int, reduce: Reduce, channel: int, row: int, origin: int) -> None:
        """Place the next series."""
        self._members = None
        if self.size == self._room:
            self._room = widened(self, _ARRAYS, self.size)
        self.table[self.size], self.reduce[self.size] = table, _NUMBERS[reduce]
        self.channel[self.size], self.row[self.size], self.origin[self.size] = channel, row, origin
        self.size += 1

    def keep(self, kept: Ints) -> None:
        """Forget all series but these, which are numbered anew in this order."""
        for name in _ARRAYS:
            array = getattr(self, name)
            array[: len(kept)] = array[kept]
        self.size = len(kept)
        self._forget()

    def content(self) -> dict[str, NDArray[Any]]:
        """A copy of all arrays, by name."""
        return {name: getattr(self, name)[: self.size].copy() for name in _ARRAYS}

    def fill(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `content` gave."""
        self.size = len(arrays[_ARRAYS[0]])
        self._forget()
        for turn, name in enumerate(_ARRAYS, start=_FIRST_TURN):
            setattr(self, name, roomy(arrays[name], turn, getattr(self, name).dtype))
        self._room = len(self.table)

    @property
    def groups(self) -> Ints:
        """Per series the number of the group (cell and origin) that it folds with, -1 where it has its cell alone."""
        if len(self._groups) < self.size:
            self._group(np.arange(len(self._groups), self.size))
        return self._groups

    def _group(self, new: Ints) -> None:
        """Number the groups anew of all rows that new series came to; the others keep their numbers."""
        self._groups = np.concatenate([self._groups, np.full(len(new), -1)])
        new = new[self._may_share(new)]
        if not len(new):
            return
        self._sharing = np.append(self._sharing, new)
        rows = self.row[self._sharing]
        is_touched = np.zeros(int(rows.max()) + 1, dtype=bool)
        is_touched[self.row[new]] = True
        touched = self._sharing[is_touched[rows]]
        keys = tuple(array[touched] for array in (self.origin, self.row, self.channel, self.table))
        order = np.lexsort(keys)
        cells = np.cumsum(_begins(keys[1:], order)) - 1
        is_shared = np.bincount(cells)[cells] > 1
        numbers = self._next_group + np.cumsum(_begins(keys, order))
        self._groups[touched[order]] = np.where(is_shared, numbers, -1)
        self._next_group = int(numbers[-1])

    def _may_share(self, ids: Ints) -> NDArray[np.bool_]:
        return np.asarray(self.reduce[ids] != _NUMBERS[Reduce.LAST])

    def _forget(self) -> None:
        """Drop what was worked out for the series as they were."""
        self._members, self._in_table = None, {}
        self._groups, self._sharing = self._groups[:0], self._sharing[:0]

    def in_table(self, table: int) -> Ints:
        """Ids of the series in a table, ascending; only those that are new are looked for."""
        seen, known = self._in_table.get(table, (0, np.empty(0, dtype=np.int64)))
        if seen < self.size:
            new = np.flatnonzero(self.table[seen : self.size] == table) + seen
            known = np.concatenate([known, new])
            self._in_table[table] = (self.size, known)
        return known

    def members(self, table: int, channel: int) -> Ints:
        """Ids of the series in a channel."""
        if self._members is None:
            keys = self.table[: self.size].astype(np.int64) << _TABLE_BITS | self.channel[: self.size]
            order = np.argsort(keys, kind="stable")
            parts = np.split(order, np.flatnonzero(np.diff(keys[order])) + 1) if self.size else []
            self._members = {int(keys[part[0]]): part for part in parts}
        return self._members.get(table << _TABLE_BITS | channel, np.empty(0, dtype=np.int64))


_ARRAYS: Final = ("table", "reduce", "channel", "row", "origin")


def fold(cells: Cells, found: Iterable[ColumnValues]) -> Iterator[ColumnValues]:
    """Give (series id, column, value) with one entry for all series that fold together, those alone first.

    Series of one cell fold only within one origin (one scraped endpoint) and batch, so that two exporters on a node
    are never added up. A sum with an unknown part is unknown.
    """
    shared = []
    for part in found:
        is_alone = cells.groups.take(part.ids) < 0
        if is_alone.all():
            yield part
        else:
            yield part.only(np.flatnonzero(is_alone))
            shared.append(part.only(np.flatnonzero(~is_alone)))
    if shared:
        columns = [np.broadcast_to(part.columns, len(part.ids)) for part in shared]
        ids, values = (
            np.concatenate(arrays) for arrays in zip(*((one.ids, one.values) for one in shared), strict=True)
        )
        yield from _folded(cells, ids, np.concatenate(columns), values)


def _folded(cells: Cells, ids: Ints, columns: Ints, values: Doubles) -> Iterator[ColumnValues]:
    reduce = cells.reduce[ids]
    for how in (Reduce.SUM, Reduce.MAX):
        members = np.flatnonzero(reduce == _NUMBERS[how])
        if len(members):
            keys = (columns[members], cells.groups[ids[members]])
            order = np.lexsort(keys)
            starts = np.flatnonzero(_begins(keys, order))
            ordered, firsts = values[members][order], members[order[starts]]
            folded = np.fmax.reduceat(ordered, starts) if how is Reduce.MAX else np.add.reduceat(ordered, starts)
            yield ColumnValues(ids[firsts], columns[firsts], folded)


def _begins(keys: tuple[NDArray[Any], ...], order: Ints) -> NDArray[np.bool_]:
    """Where in an order that brings equal keys together another key begins."""
    begins = np.ones(len(order), dtype=bool)
    begins[1:] = np.logical_or.reduce([key[order][1:] != key[order][:-1] for key in keys])
    return begins


def combine(cells: Cells, ids: Ints, values: Doubles) -> tuple[Ints, Doubles]:
    """Give (row, value) for the series of one channel, folded as in `fold`."""
    if not len(ids):
        return np.empty(0, dtype=np.int64), np.empty(0)
    folded = list(fold(cells, [ColumnValues(ids, 0, values)]))
    ids, values = (np.concatenate(arrays) for arrays in zip(*((one.ids, one.values) for one in folded), strict=True))
    return cells.row[ids], values
