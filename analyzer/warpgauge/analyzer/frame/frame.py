"""The frame: a window of all values that detectors read, as arrays [entity, column] per metric.

How to read it (what detectors use):

    frame.devices.entities[row]                          DeviceEntity(cluster, node, uuid, instance_id, index, ...)
    frame.nodes.entities[row], frame.ranks.entities[row] NodeEntity, RankEntity
    frame.servers.entities[row]                          ServerEntity(cluster, node, server, endpoint, model, ...)
    frame.values(device.POWER)                           float32 [device, column], newest column last, NaN = gap
    frame.values(device.UTILIZATION, "compute")          kept labels follow in the order of `schema.PLACES[...].keep`
    frame.values(host.CPU_SECONDS, "idle", seconds=60)   a counter is a rate per second (CPU-seconds per second, all
                                                         CPUs of the node summed); only the last 60 s
    frame.values(training.STEP_SECONDS, "mean")          histograms: mean of what ended in the column; "count" and
                                                         "sum" per second
    frame.values(training.PHASE_SECONDS, "input")        seconds per second, host and device clock summed;
                                                         `frame.has_device_clock` tells per rank whether any device
                                                         clock exists
    frame.values(device.LAST_SAMPLE)                     timestamps are kept as ages in seconds
    frame.latest(device.POWER)                           float32 [device], the newest value of the last minute
    frame.has(metric, *extra), frame.channels(metric)    whether the channel ever appeared; all its extras
    frame.jobs[(cluster, job_id)]                        Job with rows of `ranks` and `devices`
    frame.device_job[row], frame.allocated_since[row]    job key or None; seconds since the epoch or NaN
    frame.left_lately(300)                               holdings (job, device) that ended within the last 300 s
    frame.sites                                          which node each device stands on, as numbers
    frame.layout.name(Level.RACK, cluster, node)         what nodes share above them, "" where nothing tells

What a detector asks at every tick it asks as a standing window, which costs what changed since the last tick and not
the length of the window; and it looks closely, with `values`, only at the few rows that this leaves suspicious:

    CLOCK = channel(device.CLOCK, "sm")                  a signal: a channel, or `Signal(name, table, read)` made of
                                                         several, column by column
    seen = frame.window(CLOCK, 300)                      its last 300 s per entity: seen.mean, .coverage, .count,
                                                         .total, .peak, .least
    frame.once("my groups", build, frame.job_version)    what `build` gave, until the jobs change; without a third
                                                         argument until anything in the frame changes
    frame.of_jobs("my nodes", build)                     the same job by job: `build(key, job)` of those that changed
    frame.of_job(job_key, "its nodes", build)            of one job; both may look at entities and at no values

Arrays are read-only views, valid until the next `ingest`. Info series (device, workload, host) have no values: they
fill the entities and jobs. A row number is valid for one frame state only; remember scopes, not rows.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final, TypeVar

import numpy as np

from warpgauge.analyzer.frame.cells import combine
from warpgauge.analyzer.frame.layout import Layout
from warpgauge.analyzer.frame.rolling import FEW_VALUES, Columns, Rolling, Signal, Window
from warpgauge.analyzer.frame.samples import Samples
from warpgauge.analyzer.frame.schema import PLACES, TableName
from warpgauge.analyzer.frame.sites import Sites
from warpgauge.core.catalog import Kind

if TYPE_CHECKING:
    from collections.abc import Callable, Hashable, Mapping, Sequence

    from numpy.typing import NDArray

    from warpgauge.analyzer.frame.entities import DeviceEntity, Job, JobKey, NodeEntity, RankEntity, ServerEntity
    from warpgauge.analyzer.frame.states import Doubles
    from warpgauge.analyzer.frame.table import Floats, Ints, Table
    from warpgauge.core.catalog import Metric

    Array = NDArray[np.floating[Any]]
    Rows = int | slice | Sequence[int] | Ints

__all__ = ["Frame", "channel"]

T = TypeVar("T")
_FRESH_SECONDS: Final = 60.0  # how far `latest` looks back
_TABLES: Final = tuple(TableName)
_ALL_ROWS: Final = slice(None)
_UNKNOWN: Final = np.float32(np.nan)


def channel(metric: Metric, *extra: str) -> Signal:
    """The signal that is a channel as it stands; `extra` as in `Frame.values`."""
    name = " ".join((metric.name, *extra))
    if metric.kind is Kind.HISTOGRAM and extra == ("mean",):
        return Signal(name, PLACES[metric.name].table, lambda columns: _mean_of(columns, metric))
    return Signal(name, PLACES[metric.name].table, lambda columns: columns.of(metric, *extra))


class Frame(Samples):
    """A sliding window of values per device, node, rank and server; see the module's text for how to read it."""

    def __init__(
        self, *, step_seconds: float = 10.0, window_seconds: float = 3600.0, few_values: int = FEW_VALUES
    ) -> None:
        super().__init__(step_seconds, window_seconds)
        self.layout = Layout()
        self.pace_seconds = 0.0  # how long what takes minutes to change may stand; 0 where nobody asks at every tick
        self.close_up: Frame | None = None  # the same fleet in columns of a second, as far as it is read so often
        self._rolling = tuple(Rolling(table, few_values) for table in self._tables.by_number)
        self._memory: dict[Hashable, tuple[Hashable, Any]] = {}
        self._sites = Sites()
        self._sites_state = -1

    @property
    def devices(self) -> Table[DeviceEntity]:
        """Devices and MIG instances."""
        return self._tables.devices

    @property
    def nodes(self) -> Table[NodeEntity]:
        """Machines."""
        return self._tables.nodes

    @property
    def ranks(self) -> Table[RankEntity]:
        """Ranks of training jobs that report steps."""
        return self._tables.ranks

    @property
    def servers(self) -> Table[ServerEntity]:
        """Models of inference servers."""
        return self._tables.servers

    def values(
        self,
        metric: Metric,
        *extra: str,
        seconds: float | None = None,
        rows: Rows = _ALL_ROWS,
    ) -> Floats:
        """Values [entity, column] of a channel, all NaN if it never appeared; the last `seconds` only if given.

        With `rows` only these, and [column] for a single one: what is not asked for costs nothing.
        """
        table, rows = self.table_of(metric), _index(rows)
        first = 0 if seconds is None else self.columns - self._columns_of(seconds)
        if metric.kind is Kind.HISTOGRAM and extra == ("mean",):
            return self._mean(table, metric, first, rows)
        found = table.rows_of_columns(metric.name, extra, first, self.columns)
        if found is None:
            found = table.blank(self.columns - first)
        return _picked(found, rows)

    def columns_of(self, table: TableName, first: int = 0) -> Columns:
        """The window of a table from column `first` on, for what a `Signal` reads: [column, entity]."""
        return Columns(self._tables.by_number[_TABLES.index(table)], first, self.columns)

    def window(self, signal: Signal, seconds: float) -> Window:
        """The last `seconds` of a signal, summed up per entity: a standing window, cheap to ask for at every tick."""
        rolling = self._rolling[_TABLES.index(signal.table)]
        return rolling.window(signal, self._columns_of(seconds), self._newest if self._newest is not None else 0)

    def trace(self, table: TableName, key: Hashable, read: Callable[[Columns], Array]) -> Array:
        """A value per column, [column] or [column, member], read anew only where something was written since.

        For the onset of what a detector found: `key` names the rows it is about, `read` gives that of a range of
        columns of `table`, each from that column alone.
        """
        newest = self._newest if self._newest is not None else 0
        return self._rolling[_TABLES.index(table)].trace(key, newest, read)

    def once(self, key: Hashable, build: Callable[[], T], depends: Hashable = None) -> T:
        """What `build` gave for this key, kept while `depends` is the same; None stands for the whole frame."""
        state: tuple[Hashable, ...] = (depends, self.generation)
        if depends is None:
            state = (self._changes, *(len(table) for table in self._tables.by_number))
        found = self._memory.get(key)
        if found is None or found[0] != state:
            found = self._memory[key] = (state, build())
        value: T = found[1]
        return value

    def turn(self, offset: int = 0, lap: int = 0, laps: int = 1) -> Hashable:
        """What is the same for `pace_seconds` and then another; with `offset` columns it changes so much earlier.

        With several `laps` it is the same for so many times as long, and with a `lap` it changes so many paces earlier.
        """
        pace = round(self.pace_seconds / self.step_seconds)
        columns = laps * pace
        return ((self._newest or 0) + offset + lap * pace) // columns if columns > 1 else self._changes

    def of_jobs(self, key: Hashable, build: Callable[[JobKey, Job], T]) -> dict[JobKey, T]:
        """What `build` gives for each job, by job, worked out anew only for jobs that are not the same as before."""
        return self.once(("of jobs", key), lambda: self._of_jobs(("by job", key), build), self.job_version)

    def of_job(self, name: JobKey, key: Hashable, build: Callable[[], T]) -> T:
        """What `build` gave about one job that holds or reports something, kept while it is the same."""
        known = self.of_jobs("what is known", _nothing_yet)[name]
        if key not in known:
            known[key] = build()
        value: T = known[key]
        return value

    def _of_jobs(self, key: Hashable, build: Callable[[JobKey, Job], T]) -> dict[JobKey, T]:
        kept: dict[JobKey, tuple[Job, T]] = self.once(key, dict, "kept")
        current = {}
        for name, job in self.jobs.items():
            before = kept.get(name)
            current[name] = before if before is not None and before[0] is job else (job, build(name, job))
        kept.clear()
        kept.update(current)
        return {name: value for name, (_, value) in current.items()}

    def latest(self, metric: Metric, *extra: str, seconds: float = _FRESH_SECONDS, rows: Rows = _ALL_ROWS) -> Floats:
        """Newest value [entity] of a channel within the last `seconds`, NaN where there is none."""
        if not self.has(metric, *extra):
            return np.full(len(np.arange(len(self.table_of(metric)))[rows]), np.nan, dtype=np.float32)
        columns = self.values(metric, *extra, seconds=seconds, rows=rows).T
        picked: Floats = columns[-1].copy()
        for column in columns[-2::-1]:
            is_missing = np.isnan(picked)
            if not is_missing.any():
                break
            np.copyto(picked, column, where=is_missing)
        return picked

    def instant(self, metric: Metric, *extra: str) -> Doubles:
        """The newest sample [entity] of a channel; of a counter the rate between its last two samples.

        Follows a load from one scrape to the next, where a column averages over the whole step. NaN when silent.
        """
        table = self.table_of(metric)
        found = np.full(len(table), np.nan)
        number = table.number_of(metric.name, extra)
        if number is None:
            return found
        ids = self._cells.members(self._tables.by_number.index(table), number)
        states = self._states
        ids = ids[states.last_ms[ids] + states.hold_ms[ids] >= self._newest_ms]
        rows, values = combine(self._cells, ids, states.newest(ids))
        found[rows] = values
        return found

    def has(self, metric: Metric, *extra: str) -> bool:
        """Whether the channel ever appeared."""
        wanted = ("count",) if metric.kind is Kind.HISTOGRAM and extra == ("mean",) else extra
        return self.table_of(metric).window(metric.name, wanted) is not None

    def channels(self, metric: Metric) -> list[tuple[str, ...]]:
        """All extras of a metric that appeared."""
        return self.table_of(metric).extras(metric.name)

    @property
    def jobs(self) -> Mapping[JobKey, Job]:
        """Jobs that hold devices or report steps now."""
        return self._current_roster().jobs

    @property
    def device_job(self) -> list[JobKey | None]:
        """Per device: the job that holds it; of several, the one that came last."""
        return self._current_roster().device_job

    @property
    def job_names(self) -> Sequence[JobKey | None]:
        """Jobs by number, those that are over among them; the first is none."""
        return self._current_roster().names

    @property
    def device_job_names(self) -> Ints:
        """Per device the number of its `device_job` in `job_names`."""
        return self._current_roster().device_names

    @property
    def allocated_since(self) -> Doubles:
        """Per device: when its job was first seen on it, without a gap of five scrapes since; NaN without a job."""
        return self._current_roster().allocated_since

    @property
    def job_version(self) -> int:
        """Rises whenever a job or an entity of one changed; a job that did not change is the same object."""
        return self._current_roster().version

    @property
    def sites(self) -> Sites:
        """Which node each row stands on."""
        renumberings = self.devices.renumberings + self.nodes.renumberings
        if renumberings != self._sites_state:
            self._sites, self._sites_state = Sites(), renumberings
        self._sites.extend(self.nodes, self.devices)
        return self._sites

    @property
    def has_device_clock(self) -> NDArray[np.bool_]:
        """Per rank: whether any of its phases was ever timed by the device and not by the host."""
        depends = (len(self.ranks), self._tables.clocks)
        return self.once("device clocks", self._tables.device_clocks, depends)

    def table_of(self, metric: Metric) -> Table[Any]:
        """The table that a metric's values stand in."""
        place = PLACES.get(metric.name)
        if place is None:
            msg = f"the frame keeps no values of {metric.name}"
            raise KeyError(msg)
        return self._tables.by_number[_TABLES.index(place.table)]

    def _mean(self, table: Table[Any], metric: Metric, first: int, rows: int | slice | Ints) -> Floats:
        return _mean_of(Columns(table, first, self.columns), metric, rows).T

    def _columns_of(self, seconds: float) -> int:
        return min(self.columns, max(1, round(seconds / self.step_seconds)))


def _nothing_yet(_key: JobKey, _job: Job) -> dict[Hashable, Any]:
    return {}


def _mean_of(columns: Columns, metric: Metric, rows: int | slice | Ints = _ALL_ROWS) -> Floats:
    """Mean of a histogram's observations that ended in each column, [column, entity] of some rows."""
    total, count = columns.of(metric, "sum")[:, rows], columns.of(metric, "count")[:, rows]
    with np.errstate(divide="ignore", invalid="ignore"):
        mean: Floats = np.where(count > 0, total / count, _UNKNOWN)
    return mean


def _picked(values: Floats, rows: int | slice | Ints) -> Floats:
    """[entity, column] of some rows of [column, entity], gathered in the order of memory."""
    picked: Floats = values[:, rows].T
    return picked


def _index(rows: Rows) -> int | slice | Ints:
    return rows if isinstance(rows, (int, slice)) else np.asarray(rows, dtype=np.int64)
