"""Standing windows: mean, coverage, peak and least of the newest minutes, at the cost of what changed since last asked.

What they are put together from is in `pieces`.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, Final

import numpy as np

from warpgauge.analyzer.frame.pieces import LEAST, PEAK, SHORT_COLUMNS, SUMS, Pieces

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Sequence

    from numpy.typing import NDArray

    from warpgauge.analyzer.frame.pieces import Aggregate
    from warpgauge.analyzer.frame.schema import TableName
    from warpgauge.analyzer.frame.table import Floats, Ints, Table
    from warpgauge.core.catalog import Metric

    Array = NDArray[np.floating[Any]]
    Doubles = NDArray[np.float64]

__all__ = ["FEW_VALUES", "Columns", "Picked", "Rolling", "Signal", "Window"]

TRACE_COLUMNS: Final = 6  # who takes turns asks at every third
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

    def has(self, metric: Metric, *extra: str) -> bool:
        """Whether a channel ever appeared."""
        return self._table.number_of(metric.name, extra) is not None

    def told(self, metric: Metric, names: Sequence[str]) -> list[Floats]:
        """The values of those of several channels that ever appeared; where none did, one that is all gaps."""
        found = [self.of(metric, name) for name in names if self.has(metric, name)]
        return found or [self.of(metric, names[0])]


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

    def has(self, metric: Metric, *extra: str) -> bool:
        """Whether a channel ever appeared."""
        return self._whole.has(metric, *extra)


@dataclass(frozen=True, slots=True)
class Signal:
    """A value per entity and column: a channel, or what `read` makes of several channels of one table.

    `read` works column by column (column k of the answer depends on column k of what it reads) and on nothing else,
    because its sums are kept under `name`, which no other signal has.
    """

    name: str
    table: TableName
    read: Callable[[Columns], Floats]


class _Watched(Columns):
    """Columns that know whether any channel asked of them ever appeared."""

    has_any = False

    def of(self, metric: Metric, *extra: str) -> Floats:
        """A channel's values."""
        self.has_any |= self._table.number_of(metric.name, extra) is not None
        return super().of(metric, *extra)


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
        return self._rolling.merged(self._signal, self.columns, SUMS)

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
        peak: Floats = self._rolling.merged(self._signal, self.columns, PEAK)[0]
        return peak

    @cached_property
    def least(self) -> Floats:
        """Smallest value, NaN where nothing was measured."""
        least: Floats = self._rolling.merged(self._signal, self.columns, LEAST)[0]
        return least


class Rolling:
    """The pieces of one table's signals, and the windows made of them since the table last changed."""

    def __init__(self, table: Table[Any], few_values: int = FEW_VALUES) -> None:
        self._table = table
        self._few_values = few_values
        self._pieces: dict[tuple[str, str], Pieces] = {}
        self._blank: dict[str, tuple[int, bool]] = {}  # signals, with how many channels there were
        self._windows: dict[tuple[str, int], Window] = {}
        self._state: tuple[int, ...] = ()
        self._renumberings = table.renumberings
        self._traces: dict[Hashable, _Trace] = {}
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
            self._pieces, self._traces = {}, {}
        self._state, self._windows = state, {}
        self._traces = {key: one for key, one in self._traces.items() if newest - one.newest <= TRACE_COLUMNS}
        self._oldest = newest - self._table.columns + 1
        self._stamps: list[int] = self._table.stamps.tolist()

    def trace(self, key: Hashable, newest: int, read: Callable[[Columns], Array]) -> Array:
        """A value per column of the table, [column] or [column, member]; only what was written since is read anew.

        `read` works column by column as that of a `Signal`. A trace that was not asked for in `TRACE_COLUMNS` columns
        is forgotten.
        """
        self._look(newest)
        columns = self._table.columns
        known = self._traces.get(key)
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

    def merged(self, signal: Signal, columns: int, how: Aggregate) -> tuple[NDArray[Any], ...]:
        """Aggregates over a window; of one that is short all is read anew, of one without values nothing is read."""
        table = self._table
        has_few = columns * len(table) <= self._few_values
        if not has_few and self._is_blank(signal):
            return how.of_nothing(len(table))
        if has_few or columns <= SHORT_COLUMNS:
            return how.of(signal.read(Columns(table, table.columns - columns, table.columns)))
        pieces = self._pieces.get((signal.name, how.name))
        if pieces is None:
            pieces = Pieces(signal.name, how, lambda first, last: signal.read(Columns(table, first, last)))
            self._pieces[signal.name, how.name] = pieces
        pieces.look(self._oldest, self._stamps, table.writes, len(table))
        return pieces.newest(columns)

    def _is_blank(self, signal: Signal) -> bool:
        """Whether nothing that a signal reads ever appeared, so that each of its columns is one gap."""
        channels = len(self._table.channels)
        known = self._blank.get(signal.name)
        if known is None or known[0] != channels:
            columns = _Watched(self._table, self._table.columns - 1, self._table.columns)
            is_blank = bool(np.isnan(signal.read(columns)).all()) and not columns.has_any
            known = self._blank[signal.name] = (channels, is_blank)
        return known[1]
