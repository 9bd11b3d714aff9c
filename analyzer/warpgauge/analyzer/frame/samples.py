"""The writing side of the frame: series get ids, samples become columns, and what is silent for long is forgotten."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.frame.batch import Batch
from warpgauge.analyzer.frame.cells import NOWHERE, Cells, fold
from warpgauge.analyzer.frame.grid import Grid
from warpgauge.analyzer.frame.identities import Identities, digest_of
from warpgauge.analyzer.frame.placement import Tables
from warpgauge.analyzer.frame.schema import HISTOGRAM_PARTS, PLACES, Place, TableName
from warpgauge.analyzer.frame.states import Behavior, ColumnValues, SeriesStates
from warpgauge.analyzer.frame.workloads import Holding, Roster
from warpgauge.core.catalog import BY_NAME, Kind, device

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping

    from numpy.typing import NDArray

    from warpgauge.analyzer.frame.states import Doubles
    from warpgauge.analyzer.frame.table import Ints
    from warpgauge.core.catalog import Metric
__all__ = ["DESCRIPTION", "HOLD_INTERVALS", "NOT_KEPT", "FrameParts", "Ingested", "Samples"]

NOT_KEPT: Final = -1
"""Series id of what the frame has no place for."""

DESCRIPTION: Final = -2
"""Series id of what was taken in at once: an info series without values."""

HOLD_INTERVALS: Final = 2.5
"""Sample intervals for which a value stays known: one missed sample is bridged, two are a gap."""

_RANK_SILENCE_SECONDS: Final = 120.0  # a rank whose series vanished for longer is gone
_SILENT_HOLDS: Final = 2.0  # or so many times what may lie between two samples: read once a minute, two may be missed
_MOST_RANK_SILENCE_SECONDS: Final = 300.0
_DEAD_SHARE: Final = 0.25  # forget vanished series when they are this share of all
_TABLES: Final = tuple(TableName)
_WHOLE_SHARE: Final = 0.5  # of all series: with so many samples a column is written at once


@dataclass(frozen=True, slots=True)
class Ingested:
    """What became of the samples of one batch."""

    kept: int
    late: int  # older than the window or than the series' newest sample, or dated in the future


@dataclass(frozen=True, slots=True, kw_only=True)
class FrameParts:
    """What a frame consists of."""

    tables: Tables
    states: SeriesStates
    cells: Cells
    identities: Identities
    origins: dict[str, int]
    holdings: Mapping[int, Holding]
    newest: int | None  # number since the epoch of the newest column
    newest_ms: int  # time of the newest sample


class Samples:
    """Series, their columns and the jobs that they tell of; what a `Frame` reads.

    Not thread-safe: whoever made it owns it.
    """

    def __init__(self, step_seconds: float, window_seconds: float) -> None:
        self.step_seconds = step_seconds
        self.columns = max(2, round(window_seconds / step_seconds))
        self.generation = 0  # series ids given out under another generation are void
        self._step_ms = round(step_seconds * 1000)
        self._tables = Tables(self.columns)
        self._states = SeriesStates()
        self._cells = Cells()
        self._grid = Grid(len(_TABLES))
        self._identities = Identities()
        self._origins: dict[str, int] = {}
        self._newest: int | None = None  # column number since the epoch
        self._newest_ms = 0  # newest sample
        self._rank_silence_ms = _RANK_SILENCE_SECONDS * 1000.0
        self._intervals: dict[TableName, tuple[tuple[int, ...], Doubles]] = {}
        self._roster = Roster()
        self._is_roster_old = True
        self._changes = 0  # rises whenever something in the frame may read differently

    @property
    def series(self) -> int:
        """Series the frame knows."""
        return self._states.size

    @property
    def simulated_nodes(self) -> frozenset[tuple[str, str]]:
        """(cluster, node) of nodes that said they are simulated."""
        return self._tables.simulated_nodes

    @property
    def time_ms(self) -> Ints:
        """End of each column in milliseconds since the epoch."""
        newest = self._newest if self._newest is not None else 0
        ends: Ints = (np.arange(newest - self.columns + 1, newest + 1, dtype=np.int64) + 1) * self._step_ms
        return ends

    @property
    def now(self) -> float:
        """End of the newest column in seconds since the epoch: up to one step after the newest sample."""
        return ((self._newest if self._newest is not None else -1) + 1) * self._step_ms / 1000.0

    @property
    def newest_sample(self) -> float:
        """Time of the newest sample in seconds since the epoch, 0 before the first."""
        return self._newest_ms / 1000.0

    def series_id(self, metric: Metric, labels: Mapping[str, str], *, part: str = "", origin: str = "") -> int:
        """Id under which samples of this series are ingested, or NOT_KEPT, or DESCRIPTION (taken in already).

        `labels` are catalog labels plus `cluster` and `node`; `part` is a histogram's suffix (sum, count);
        `origin` names the scraped endpoint. Ask once per series and keep the id while `generation` stands.
        """
        if metric.kind is Kind.INFO:
            return self._info_id(metric, labels, origin)
        standing = _STANDINGS.get(metric.name)
        if standing is None or (metric.kind is Kind.HISTOGRAM and part not in HISTOGRAM_PARTS):
            return NOT_KEPT
        place, number, behavior = standing
        extra = tuple([labels.get(label, "") for label in place.keep]) + ((part,) if part else ())
        into = self._tables.by_number[number].channel(metric.name, extra)
        if into is None:
            return NOT_KEPT
        row = self._tables.row(place.table, labels)
        digest = digest_of(metric.name, labels, part, origin)
        known = self._identities.claim(digest)
        if known is not None:
            return known
        self._identities.add(digest)
        self._cells.add(number, place.reduce, into, row, self._origins.setdefault(origin, len(self._origins)))
        return self._states.add(behavior)

    def ingest(
        self, ids: Ints, times_ms: Ints, values: Doubles, *, hold_seconds: float = 25.0, not_after: float | None = None
    ) -> Ingested:
        """Take in samples of known series, in any order; ids below 0 are skipped.

        A batch is whole: all series that fold into one value (the CPUs of a node) come in one batch for the times it
        covers. `hold_seconds` bounds how far apart two samples may be for what lies between them to count as known:
        two and a half scrape intervals. Samples later than `not_after` (seconds since the epoch) are dropped.
        """
        if int(ids.min(initial=0)) < 0:
            known = ids >= 0
            ids, times_ms, values = ids[known], times_ms[known], values[known]
        if not len(ids):
            return Ingested(kept=0, late=0)
        batch = self._timely(Batch(ids, times_ms, values, self._states.last_ms.take(ids)), not_after)
        late = len(ids) - len(batch.ids)
        if not len(batch.ids):
            return Ingested(kept=0, late=late)
        batch = batch.in_order()
        silence = min(_SILENT_HOLDS * hold_seconds, _MOST_RANK_SILENCE_SECONDS)
        self._rank_silence_ms = max(self._rank_silence_ms, silence * 1000.0)
        self._advance_to(int(batch.times_ms.max()))
        self._grid.follow(self._cells)
        found, is_whole = self._absorbed(batch, round(hold_seconds * 1000)), self._is_whole(batch)
        for written in fold(self._cells, self._laid(found) if is_whole else found):
            self._write(written)
        for part in batch.parts() if is_whole else ():
            self._hear(part.ids, part.times_ms)
        self._change()
        return Ingested(kept=len(batch.ids), late=late)

    def advance(self, now: float) -> None:
        """Let time pass without samples, so that silence shows; `now` in seconds since the epoch."""
        if self._newest is not None and now * 1000.0 > self._newest_ms:
            self._advance_to(round(now * 1000.0))
            self._change()

    def interval_seconds(self, table: TableName) -> Doubles:
        """Per row: how far apart its samples are, by the source that tells of it most often; NaN without any.

        The array is shared: do not write into it.
        """
        number, rows = _TABLES.index(table), len(self._tables.by_number[_TABLES.index(table)])
        state = (self.generation, self._states.holds, rows)
        known = self._intervals.get(table)
        if known is None or known[0] != state:
            known = self._intervals[table] = (state, self._intervals_of(number, rows))
        return known[1]

    def _intervals_of(self, number: int, rows: int) -> Doubles:
        own = self._cells.in_table(number)
        holds_ms = self._states.hold_ms.take(own)
        is_told = holds_ms > 0
        if not is_told.all():
            own, holds_ms = own[is_told], holds_ms[is_told]
        rows_of = self._cells.row.take(own)
        seconds = np.full(rows, np.inf)
        if len(own) and holds_ms.min() == holds_ms.max():  # the usual case, in a fifth of the time
            seconds[rows_of] = holds_ms[0] / (1000.0 * HOLD_INTERVALS)
        else:
            np.minimum.at(seconds, rows_of, holds_ms / (1000.0 * HOLD_INTERVALS))
        return np.where(np.isfinite(seconds), seconds, np.nan)

    def left_lately(self, seconds: float) -> list[Holding]:
        """Holdings that were in force within the last so many seconds and are not now: given back, or silent."""
        states, roster = self._states, self._current_roster()
        over = roster.ids[roster.starts_ms < 0]
        over = over[(states.last[over] == 1.0) & (states.last_ms[over] > (self.now - seconds) * 1000.0)]
        return [roster.holdings[number] for number in over.tolist()]

    def is_new(self, ids: Ints, times_ms: Ints) -> NDArray[np.bool_]:
        """Which samples are newer than all that their series had before."""
        fresh: NDArray[np.bool_] = times_ms > self._states.last_ms.take(ids)
        return fresh

    def expire(self) -> None:
        """Forget series without a sample in the window, and entities without series, once they are many."""
        states = self._states
        oldest_ms = int(self.time_ms[0]) - self._step_ms
        is_dead = states.last_ms[: states.size] < oldest_ms
        if np.count_nonzero(is_dead) <= max(64, _DEAD_SHARE * states.size):
            return
        kept = np.flatnonzero(~is_dead)
        states.keep(kept)
        self._cells.keep(kept)
        self._identities.keep(kept)
        self._grid = Grid(len(_TABLES))
        new_ids = {int(old): new for new, old in enumerate(kept)}
        holdings = {new_ids[old]: holding for old, holding in self._roster.holdings.items() if old in new_ids}
        self._keep_rows(holdings)
        self.generation += 1
        self._change()

    def parts(self) -> FrameParts:
        """What a snapshot copies; the frame's own, to be read in the thread that owns it."""
        return FrameParts(
            tables=self._tables,
            states=self._states,
            cells=self._cells,
            identities=self._identities,
            origins=self._origins,
            holdings=self._roster.holdings,
            newest=self._newest,
            newest_ms=self._newest_ms,
        )

    def resume(self, holdings: Mapping[int, Holding], newest: int | None, newest_ms: int) -> None:
        """Go on from what a snapshot put into `parts`; series that are asked for again get the ids they had."""
        self._roster = Roster(holdings)
        self._newest, self._newest_ms = newest, newest_ms
        self._change()

    def _change(self) -> None:
        self._changes += 1
        self._is_roster_old = True

    def _keep_rows(self, holdings: Mapping[int, Holding]) -> None:
        table, row = self._cells.table[: self._cells.size], self._cells.row[: self._cells.size]
        held = np.fromiter((holding.device for holding in holdings.values()), dtype=np.int64)
        rows = [np.unique(row[table == number]) for number in range(len(_TABLES))]
        renumbered = self._tables.keep_rows((np.union1d(rows[0], held), *rows[1:]))
        for number, numbers in enumerate(renumbered):
            row[table == number] = numbers[row[table == number]]
        self._roster = Roster(
            {id_: replace(holding, device=int(renumbered[0][holding.device])) for id_, holding in holdings.items()}
        )

    def _timely(self, batch: Batch, not_after: float | None) -> Batch:
        """Those of a batch that are newer than their series' last and neither before the window nor in the future."""
        times_ms = batch.times_ms
        fresh = times_ms > batch.before_ms
        oldest_ms = 0 if self._newest is None else (self._newest - self.columns + 1) * self._step_ms
        if int(times_ms.min()) < oldest_ms:
            fresh &= times_ms >= oldest_ms
        if not_after is not None and int(times_ms.max()) > not_after * 1000.0:
            fresh &= times_ms <= not_after * 1000.0
        return batch if fresh.all() else batch.only(fresh)

    def _advance_to(self, time_ms: int) -> None:
        self._newest_ms = max(self._newest_ms, time_ms)
        column = time_ms // self._step_ms
        if self._newest is None:
            self._newest = column
        if column > self._newest:
            for table in self._tables.by_number:
                table.advance(column - self._newest)
            self._newest = column

    def _absorbed(self, batch: Batch, hold_ms: int) -> Iterator[ColumnValues]:
        """Column values of timely samples."""
        starts_ms = self._newest * self._step_ms if self._newest is not None else 0
        if batch.has_repeated or int(batch.times_ms.min()) < starts_ms:
            yield from self._states.absorb(batch, self._step_ms, hold_ms)
            return
        for part in batch.parts():
            yield from self._states.absorb_column(part, self._step_ms, hold_ms)

    def _is_whole(self, batch: Batch) -> bool:
        """Whether a batch is most of what is known, and the first that has anything for its column."""
        is_most = len(batch.ids) >= _WHOLE_SHARE * self._cells.size
        return is_most and all(table.is_blank for table in self._tables.by_number)

    def _laid(self, found: Iterable[ColumnValues]) -> Iterator[ColumnValues]:
        """Write the newest column, which is blank, at once; gives what is not for it or does not stand there alone."""
        alone: list[ColumnValues] = []
        others: list[ColumnValues] = []
        for part in found:
            shares = self._grid.shares.take(part.ids)
            if not isinstance(part.columns, int):
                others.append(part)
            elif shares.any():
                others.append(part.only(np.flatnonzero(shares)))
                alone.append(part.only(np.flatnonzero(~shares)))
            else:
                alone.append(part)
        for table, column in zip(self._tables.by_number, self._grid.columns(alone), strict=True) if alone else ():
            table.lay(column)
        yield from others

    def _write(self, found: ColumnValues) -> None:
        newest = self._newest if self._newest is not None else 0
        ids, values = found.ids, found.values.astype(np.float32)
        places = found.columns - (newest - self.columns + 1)
        if isinstance(places, np.ndarray) and (places < 0).any():
            kept = np.flatnonzero(places >= 0)
            ids, values, places = ids[kept], values[kept], places[kept]
        tables = self._cells.table.take(ids)
        for number, table in enumerate(self._tables.by_number):
            chosen = np.flatnonzero(tables == number)
            if len(chosen):
                own = ids.take(chosen)
                rows, at = self._cells.row.take(own), places if isinstance(places, int) else places[chosen]
                table.write(self._cells.channel.take(own), at, rows, values.take(chosen))
                np.maximum.at(table.last_seen_ms, rows, self._states.last_ms.take(own))

    def _hear(self, ids: Ints, times_ms: Ints) -> None:
        """Note when the entities of samples were last heard of; neighbors in a batch mostly say the same."""
        entities = self._grid.entity.take(ids)
        new = np.ones(len(ids), dtype=bool)
        new[1:] = entities[1:] != entities[:-1]
        if times_ms.min() != times_ms.max():
            new[1:] |= times_ms[1:] != times_ms[:-1]
        first = np.flatnonzero(new)
        times_ms = times_ms.take(first)
        for table, (own, rows) in zip(self._tables.by_number, self._grid.rows(entities.take(first)), strict=True):
            if len(own):
                np.maximum.at(table.last_seen_ms, rows, times_ms.take(own))

    def _info_id(self, metric: Metric, labels: Mapping[str, str], origin: str) -> int:
        if metric is device.DEVICE_INFO:
            self._tables.describe_device(labels)
        if metric is not device.WORKLOAD_INFO:
            return DESCRIPTION
        row = self._tables.device_row(labels)
        holding = Holding.from_labels(labels, cluster=labels.get("cluster", ""), device=row)
        if holding is None:
            return DESCRIPTION
        digest = digest_of(metric.name, labels, "", origin)
        known = self._identities.claim(digest)
        if known is not None:
            return known
        self._identities.add(digest)
        self._cells.add(NOWHERE, Place(table=TableName.DEVICES).reduce, 0, row, 0)
        number = self._states.add(Behavior.INFO)
        self._roster.add(number, holding)
        self._change()
        return number

    def _current_roster(self) -> Roster:
        devices, ranks = self._tables.devices, self._tables.ranks
        if self._is_roster_old or devices.touched or ranks.touched:
            seen_ms = ranks.last_seen_ms[: len(ranks)]
            reports = seen_ms >= self._newest_ms - self._rank_silence_ms
            self._roster.update(self._held_since_ms(), reports, devices, ranks)
            self._is_roster_old = False
        return self._roster

    def _held_since_ms(self) -> Ints:
        """Per workload info series when it came into force, -1 if it is not."""
        states, ids = self._states, self._roster.ids
        silence_ms = np.maximum(states.hold_ms.take(ids), self._step_ms)
        is_held = (states.last_ms.take(ids) + silence_ms >= self._newest_ms) & (states.last.take(ids) == 1.0)
        since: Ints = np.where(is_held, states.run_start_ms.take(ids), -1)
        return since


def _behavior(name: str, place: Place) -> Behavior:
    if place.is_age:
        return Behavior.AGE
    return Behavior.COUNTER if BY_NAME[name].is_cumulative else Behavior.GAUGE


_STANDINGS: Final = {
    name: (place, _TABLES.index(place.table), _behavior(name, place)) for name, place in PLACES.items()
}
"""By metric name: its place, the number of its table, and what its samples mean."""
