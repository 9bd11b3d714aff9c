"""State of each series between batches, and the step from raw samples to one value per series and column.

Counters become rates here, in float64: a column's rate is the increase over the time between the samples that end in
it. A fall (reset or wrap), a first sample and a gap longer than the hold time give no rate. A rate stands in every
column that its two samples span; a gauge is carried through the columns between two samples that are no further apart
than the hold time.
"""

from __future__ import annotations

from dataclasses import dataclass
from enum import IntEnum
from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np
from numpy.typing import NDArray

from warpgauge.analyzer.frame.rooms import room, roomy, widened
from warpgauge.analyzer.frame.table import Ints

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping

    from warpgauge.analyzer.frame.batch import Batch

__all__ = ["Behavior", "ColumnValues", "Doubles", "SeriesStates"]

Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]
T = TypeVar("T", Ints, Doubles)

_LARGEST: Final = 1e30  # nothing measured is larger; what is cannot be kept as float32
_NEVER: Final = int(np.iinfo(np.int64).min) // 4
_HOLDS_IN_RUN: Final = 2  # hold times: two or three scrapes that failed do not end what a job holds
_EACH: Final = slice(None)  # every sample begins and ends a column of its own: the usual batch, one sample a series


class Behavior(IntEnum):
    """What a series' samples mean."""

    GAUGE = 0
    COUNTER = 1
    AGE = 2  # a timestamp, kept as sample time minus value
    INFO = 3  # its presence is the message


@dataclass(frozen=True, slots=True)
class ColumnValues:
    """Values for (series, column) pairs; columns are counted from the epoch. NaN where there is no value."""

    ids: Ints
    columns: Ints | int  # one number where all stand in the same
    values: Doubles

    def only(self, chosen: Ints) -> ColumnValues:
        """Some of them, by index."""
        columns = self.columns if isinstance(self.columns, int) else self.columns[chosen]
        return ColumnValues(self.ids[chosen], columns, self.values[chosen])


@dataclass(frozen=True, slots=True)
class _Pieces:
    """What counters grew by from sample to sample, and in what time: 0 after a gap. `starts` begin a column each."""

    ids: Ints
    increase: Doubles
    elapsed_ms: Ints
    starts: Ints | slice


class SeriesStates:
    """Arrays indexed by series id; about 55 bytes a series."""

    def __init__(self) -> None:
        self.size = 0
        self.holds = 0  # rises when one of `hold_ms` changes
        self.behavior = room(0, np.uint8)
        self.hold_ms = room(1, np.int32)
        self.last_ms: Ints = room(2, np.int64)
        self.last: Doubles = room(3, np.float64)
        self.increase: Doubles = room(4, np.float64)  # within the column of the last sample
        self.covered_ms: Ints = room(5, np.int64)  # the time that `increase` took
        self.instant: Doubles = room(6, np.float64)  # newest rate of a counter
        self.run_start_ms: Ints = room(7, np.int64)  # first sample since the last long gap
        self._room = len(self.behavior)

    def add(self, behavior: Behavior) -> int:
        """Make room for one more series; gives its id."""
        if self.size == self._room:
            self._room = widened(self, _ARRAYS, self.size)
        self.behavior[self.size] = behavior
        self.last_ms[self.size] = _NEVER
        self.size += 1
        return self.size - 1

    def keep(self, kept: Ints) -> None:
        """Forget all series but these, which are numbered anew in this order."""
        for name in _ARRAYS:
            array = getattr(self, name)
            array[: len(kept)] = array[kept]
        self.size = len(kept)

    def content(self) -> dict[str, NDArray[np.generic]]:
        """A copy of all arrays, by name."""
        return {name: getattr(self, name)[: self.size].copy() for name in _ARRAYS}

    def fill(self, arrays: Mapping[str, NDArray[Any]]) -> None:
        """Take over what `content` gave."""
        self.size = len(arrays[_ARRAYS[0]])
        for turn, name in enumerate(_ARRAYS):
            setattr(self, name, roomy(arrays[name], turn, getattr(self, name).dtype))
        self._room = len(self.behavior)

    def absorb(self, batch: Batch, step_ms: int, hold_ms: int) -> Iterator[ColumnValues]:
        """Take in samples sorted by (id, time), all fresh, no two of a series at one time; gives column values.

        Where it gives several for one place, the last one stands.
        """
        ids, times_ms, values = batch.ids, batch.times_ms, batch.values
        behavior = self.behavior[ids]
        values = _sound(values, times_ms, behavior == Behavior.AGE)
        columns = times_ms // step_ms
        new_series = _changes(ids)
        starts, ends = _bounds(new_series, columns)
        before_ms = _shifted(times_ms, batch.before_ms, new_series)
        before = _shifted(values, self.last[ids], new_series)
        elapsed_ms = times_ms - before_ms
        is_near = elapsed_ms <= hold_ms
        rates, fillers = values[ends].copy(), before[starts].copy()
        gaps = np.where(is_near[starts], columns[starts] - before_ms[starts] // step_ms, 1)
        counts = behavior == Behavior.COUNTER
        of_counters = np.flatnonzero(counts[starts])
        if len(of_counters):
            chosen = np.flatnonzero(counts)
            pieces = _Pieces(
                ids[chosen],
                values[chosen] - before[chosen],
                np.where(is_near[chosen], elapsed_ms[chosen], 0),
                _EACH if isinstance(starts, slice) else np.searchsorted(chosen, starts[of_counters]),
            )  # all samples of a series are counters or none is
            begins = of_counters if isinstance(starts, slice) else starts[of_counters]
            carried = new_series[begins] & (before_ms[begins] // step_ms == columns[begins])
            rates[of_counters], fillers[of_counters] = self._rates(pieces, carried)
        self._remember(ids, times_ms, values, elapsed_ms, hold_ms)
        yield ColumnValues(ids[ends], columns[ends], rates)
        yield from _between(ids[ends], columns[ends], gaps, fillers)

    def absorb_column(self, batch: Batch, step_ms: int, hold_ms: int) -> Iterator[ColumnValues]:
        """What `absorb` gives, in a third of the time, where each series has one sample and all lie in one column."""
        ids, times_ms, values, before_ms = batch.ids, batch.times_ms, batch.values, batch.before_ms
        column = int(times_ms[0]) // step_ms
        start_ms = column * step_ms
        behavior = self.behavior.take(ids)
        values = _sound(values, times_ms, behavior == Behavior.AGE)
        before = self.last.take(ids)
        elapsed_ms = times_ms - before_ms
        far = np.flatnonzero(before_ms < start_ms - step_ms)
        wide = far[elapsed_ms[far] <= hold_ms]
        gaps, fillers = column - before_ms[wide] // step_ms, before[wide]
        counters = np.flatnonzero(behavior == Behavior.COUNTER)
        rates = values
        if len(counters):
            increase = values.take(counters) - before.take(counters)
            near_ms = elapsed_ms.take(counters)
            near_ms[near_ms > hold_ms] = 0
            pieces = _Pieces(ids.take(counters), increase, near_ms, _EACH)
            rates = values.copy()
            rates[counters], firsts = self._rates(pieces, before_ms.take(counters) >= start_ms)
            is_counter = behavior[wide] == Behavior.COUNTER
            fillers[is_counter] = firsts[np.searchsorted(counters, wide[is_counter])]
        self._remember(ids, times_ms, values, elapsed_ms, hold_ms)
        yield ColumnValues(ids, column, rates)
        yield from _between(ids[wide], np.full(len(wide), column), gaps, fillers)

    def _rates(self, pieces: _Pieces, carried: Bools) -> tuple[Doubles, Doubles]:
        """Rate per (series, column), and the rate between its first sample and the one before that."""
        ids, starts, increase, elapsed_ms = pieces.ids, pieces.starts, pieces.increase, pieces.elapsed_ms
        is_unknown = ~((increase >= 0) & (elapsed_ms > 0))  # True for NaN too
        increase[is_unknown], elapsed_ms[is_unknown] = 0.0, 0
        rates = each = _ratio(increase, elapsed_ms)
        self.instant[ids] = each  # the last one of a series stands
        has_several = False
        if not isinstance(starts, slice) and len(starts) < len(ids):
            has_several = True
            increase, elapsed_ms = np.add.reduceat(increase, starts), np.add.reduceat(elapsed_ms, starts)
        owners, is_carried = ids[starts], carried.any()
        if is_carried:
            increase = increase + np.where(carried, self.increase[owners], 0.0)
            elapsed_ms = elapsed_ms + np.where(carried, self.covered_ms[owners], 0)
        self.increase[owners], self.covered_ms[owners] = increase, elapsed_ms  # a series' last column stands
        if has_several or is_carried:
            rates = _ratio(increase, elapsed_ms)
        return rates, each[starts]

    def newest(self, ids: Ints) -> Doubles:
        """The newest sample of each series, of counters the rate between the last two."""
        return np.where(self.behavior[ids] == Behavior.COUNTER, self.instant[ids], self.last[ids])

    def _remember(self, ids: Ints, times_ms: Ints, values: Doubles, elapsed_ms: Ints, hold_ms: int) -> None:
        self.last_ms[ids], self.last[ids] = times_ms, values
        among = self.hold_ms[ids[0] : ids[-1] + 1]  # all between are looked at first, which takes no picking
        if (among != hold_ms).any() and (self.hold_ms.take(ids) != hold_ms).any():
            self.hold_ms[ids] = hold_ms
            self.holds += 1
        begins = np.flatnonzero(elapsed_ms > _HOLDS_IN_RUN * hold_ms)
        self.run_start_ms[ids[begins]] = times_ms[begins]


_ARRAYS: Final = ("behavior", "hold_ms", "last_ms", "last", "increase", "covered_ms", "instant", "run_start_ms")


def _sound(values: Doubles, times_ms: Ints, is_age: Bools) -> Doubles:
    """Timestamps as ages, and NaN for what nothing measured can be."""
    values = np.asarray(values, dtype=np.float64)
    if is_age.any():
        values = np.where(is_age, times_ms / 1000.0 - values, values)
    if values.min(initial=0.0) >= -_LARGEST and values.max(initial=0.0) <= _LARGEST:  # False where one is NaN
        return values
    return np.where(np.abs(values) <= _LARGEST, values, np.nan)


def _between(ids: Ints, columns: Ints, gaps: Ints, fillers: Doubles) -> Iterator[ColumnValues]:
    """The `gaps - 1` columns before each value, all holding that value's filler."""
    for back in range(1, int(gaps.max(initial=1))):
        wide = np.flatnonzero(gaps > back)
        yield ColumnValues(ids[wide], columns[wide] - back, fillers[wide])


def _changes(values: Ints) -> Bools:
    changes = np.ones(len(values), dtype=bool)
    changes[1:] = values[1:] != values[:-1]
    return changes


def _bounds(new_series: Bools, columns: Ints) -> tuple[Ints | slice, Ints | slice]:
    """First and last sample of each (series, column)."""
    if new_series.all():
        return _EACH, _EACH
    starts = np.flatnonzero(new_series | _changes(columns))
    return starts, np.append(starts[1:], len(columns)) - 1


def _shifted(values: T, before: T, is_first: Bools) -> T:
    """The value before each one: of the same series in this batch, else what the state remembers."""
    if is_first.all():
        return before
    shifted = before.copy()
    shifted[1:][~is_first[1:]] = values[:-1][~is_first[1:]]
    return shifted


def _ratio(increase: Doubles, elapsed_ms: Ints) -> Doubles:
    rates = increase * 1000.0
    with np.errstate(divide="ignore", invalid="ignore"):
        rates /= elapsed_ms
    rates[elapsed_ms <= 0] = np.nan
    return rates
