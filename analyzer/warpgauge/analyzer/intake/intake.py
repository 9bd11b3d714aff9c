"""From batches to the frame: parse, name the node, ask the dialects, remember each series' id."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.dialects import Mapped, is_known, map_series, speaks_of_its_pod
from warpgauge.analyzer.dialects.conversions import Conversions
from warpgauge.analyzer.dialects.naming import DESCRIBING
from warpgauge.analyzer.frame import DESCRIPTION, NOT_KEPT
from warpgauge.analyzer.frame.layout import WHOLE_NODE
from warpgauge.analyzer.frame.samples import HOLD_INTERVALS
from warpgauge.analyzer.history.recording import Recording
from warpgauge.analyzer.intake.last_codes import LastCodes
from warpgauge.analyzer.intake.opt_outs import OptOuts
from warpgauge.analyzer.sources import Page
from warpgauge.core.catalog import device
from warpgauge.core.errors import InputError
from warpgauge.core.exposition import labels_of, parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from warpgauge.analyzer.dialects.naming import NodeNames
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.states import Doubles
    from warpgauge.analyzer.frame.table import Ints
    from warpgauge.analyzer.history.recorder import Recorder
    from warpgauge.analyzer.sources import Batch, Points, Ranges, Target
    from warpgauge.core.exposition import Line

__all__ = ["Counts", "Intake", "Samples", "hold_of"]

_FOREIGN: Final = -3
_FIRST_FAN: Final = -10  # a series that says several things: its entry in the list of fans, counted downward
_FIRST_ASIDE: Final = -(1 << 39)  # what only the history keeps: the number of its series there, counted downward
_FIRST_CODE: Final = -(1 << 40)  # a series that holds the last code: its number in `LastCodes`, counted downward
_LEAST_HOLD_SECONDS: Final = 25.0
_INDEX_DIGITS: Final = 4

Key = tuple[str, object]


@dataclass(slots=True)
class Counts:
    """Samples by what became of them, since the start."""

    mapped: int = 0
    unused: int = 0
    foreign: int = 0
    late: int = 0
    blank: int = 0  # markers for "not available" in the place of a value
    duplicate: int = 0  # written by the other Prometheus of an HA pair
    histogram: int = 0  # native histograms
    refused: int = 0  # of series beyond the most that are taken

    def copy(self) -> Counts:
        """The counts as they are now."""
        return replace(self)


@dataclass(frozen=True, slots=True)
class Samples:
    """A mapped batch: ids of frame series with their samples."""

    ids: Ints
    times_ms: Ints
    values: Doubles
    hold_seconds: float

    def only(self, chosen: NDArray[np.bool_]) -> Samples:
        """Some of the samples."""
        return replace(self, ids=self.ids[chosen], times_ms=self.times_ms[chosen], values=self.values[chosen])


@dataclass(slots=True)
class _Known:
    """Ids that were given out for one target, valid for one generation of the frame."""

    generation: int = -1
    names_version: int = -1
    ids: dict[Key, int] = field(default_factory=dict)


class Intake:
    """The way into one frame; owned by whoever owns the frame."""

    def __init__(self, frame: Frame, names: NodeNames, recorder: Recorder | None = None) -> None:
        """`recorder` is told all that the catalog knows, whether the frame keeps it or not."""
        self.frame = frame
        self.names = names
        self.counts = Counts()
        self.opt_outs = OptOuts()
        self._recording = Recording(recorder) if recorder is not None else None
        self._known: dict[str, _Known] = {}
        self._conversions = Conversions()
        self._codes = LastCodes()
        self._numbers: dict[int, int] = {}
        self._fans: list[Ints] = []
        self._generation = frame.generation

    def take(self, batch: Batch, *, not_after: float | None = None) -> int:
        """Bring a batch into the frame; gives the number of samples that were kept.

        Raises:
            InputError: a page is malformed; nothing of it was taken.

        """
        samples = self.read(batch)
        if not isinstance(batch, Page):
            samples = samples.only(self.frame.is_new(samples.ids, samples.times_ms))  # polls overlap on purpose
        ingested = self.frame.ingest(
            samples.ids, samples.times_ms, samples.values, hold_seconds=samples.hold_seconds, not_after=not_after
        )
        self.counts.late += ingested.late
        self.counts.mapped += ingested.kept
        return ingested.kept

    def read(self, batch: Batch) -> Samples:
        """Map a batch to series ids without ingesting it.

        Raises:
            InputError: a page is malformed.

        """
        if isinstance(batch, Page):
            ids, times_ms, values = self._page(batch)
        else:
            ids, times_ms, values = self._ranges(batch)
        return self.converted(ids, times_ms, values, hold_of(batch.interval_seconds))

    def converted(self, ids: Ints, times_ms: Ints, values: Doubles, hold_seconds: float) -> Samples:
        """What resolved samples say in our units; what the frame has no place for is counted and left out."""
        self._count(ids)
        ids, times_ms, values = self._spread(ids, times_ms, values)
        found, is_value = self._conversions.ours(ids, values)
        self.counts.blank += len(ids) - int(np.count_nonzero(is_value))
        samples = Samples(ids, times_ms, found, hold_seconds).only(is_value)
        if self._recording is not None:
            self._recording.take(samples.ids, samples.times_ms, samples.values, self.frame.simulated_nodes)
        return samples

    def _spread(self, ids: Ints, times_ms: Ints, values: Doubles) -> tuple[Ints, Ints, Doubles]:
        """Samples of series that the frame keeps; one that says several things stands there several times."""
        kept = ids >= 0
        if kept.all():
            return ids, times_ms, values
        is_aside = (ids <= _FIRST_ASIDE) & (ids > _FIRST_CODE)
        parts = [(ids[chosen], times_ms[chosen], values[chosen]) for chosen in (kept, is_aside)]
        fans = np.flatnonzero(ids <= _FIRST_FAN)
        if len(fans):
            found = [self._fans[_FIRST_FAN - number] if number > _FIRST_ASIDE else ids[:0] for number in ids[fans]]
            source = np.repeat(fans, [len(members) for members in found])
            parts.append((np.concatenate(found), times_ms[source], values[source]))
            codes = fans[ids[fans] <= _FIRST_CODE]
            if len(codes):
                parts.append(self._events(_FIRST_CODE - ids[codes], times_ms[codes], values[codes]))
        ids, times_ms, values = (np.concatenate(column) for column in zip(*parts, strict=True))
        kept = ids >= 0
        if self._recording is not None and not kept.all():
            aside = np.flatnonzero(ids <= _FIRST_ASIDE)
            self._recording.take_aside(_FIRST_ASIDE - ids[aside], times_ms[aside], values[aside])
        return ids[kept], times_ms[kept], values[kept]

    def _events(self, numbers: Ints, times_ms: Ints, values: Doubles) -> tuple[Ints, Ints, Doubles]:
        rows: list[tuple[int, int, float]] = []
        for number, time_ms, value in zip(numbers.tolist(), times_ms.tolist(), values.tolist(), strict=True):
            for event in self._codes.read(number, time_ms, value):
                labels = {**self._codes.labels(number), "xid": str(event.code)}
                counted, last = (
                    self._series(Mapped(metric=metric, labels=labels, is_shared=True), labels, "events")
                    for metric in (device.XID_EVENTS, device.XID_LAST)
                )
                rows.append((counted, event.time_ms, float(event.times)))
                if event.times:
                    rows.append((last, event.time_ms, event.last_ms / 1000.0))
        columns = zip(*rows, strict=True) if rows else ((), (), ())
        found, times, numbers_found = columns
        return (
            np.array(found, dtype=np.int64),
            np.array(times, dtype=np.int64),
            np.array(numbers_found, dtype=np.float64),
        )

    def forget(self, target: str) -> None:
        """Drop what is remembered for a target that is gone."""
        self._known.pop(target, None)

    def _page(self, page: Page) -> tuple[Ints, Ints, Doubles]:
        lines = list(parse(page.text, place=page.target.name, openmetrics=page.is_openmetrics))
        if page.span is not None:
            lines = [line for line in lines if line.timestamp is None or _is_in(page.span, line.timestamp)]
        known = self._known_of(page.target)
        if self._learn(lines, page.target):
            known.ids.clear()
        ids = [self._line_id(known, line, page.target) for line in lines]
        values = np.fromiter((line.value for line in lines), dtype=np.float64, count=len(lines))
        return np.array(ids, dtype=np.int64), _times_ms(lines, page), values

    def _line_id(self, known: _Known, line: Line, target: Target) -> int:
        key = (line.name, line.labels)
        found = known.ids.get(key)
        if found is None:
            labels = target.complete(labels_of(line.labels))
            found = known.ids[key] = self.resolve(line.name, labels, target.name)
        return found

    def _ranges(self, ranges: Ranges) -> tuple[Ints, Ints, Doubles]:
        points = ranges.points
        for series in points:
            if series.name in DESCRIBING:
                self.names.learn(series.name, ranges.target.complete(series.labels))
        known = self._known_of(ranges.target)
        if known.names_version != self.names.version:
            known.ids.clear()
            known.names_version = self.names.version
        ids = [self._points_id(known, series, ranges.target) for series in points]
        lengths = [len(series.times_ms) for series in points]
        if not points:
            return np.empty(0, dtype=np.int64), np.empty(0, dtype=np.int64), np.empty(0)
        return (
            np.repeat(np.array(ids, dtype=np.int64), lengths),
            np.concatenate([series.times_ms for series in points]),
            np.concatenate([series.values for series in points]),
        )

    def _points_id(self, known: _Known, series: Points, target: Target) -> int:
        key = (series.name, frozenset(series.labels.items()))
        found = known.ids.get(key)
        if found is None:
            labels = target.complete(series.labels)
            origin = f"{labels.get('job', '')} {labels.get('instance', '')} {labels.get('replica', '')}"
            found = known.ids[key] = self.resolve(series.name, labels, origin, at_ms=_newest_ms(series))
        return found

    def resolve(self, name: str, labels: Mapping[str, str], origin: str, *, at_ms: int = 0) -> int:
        """Under which number the samples of a series are to be `converted`, valid for one generation of the frame.

        `at_ms` is the time of its newest sample, by which what two series of one target say is put in order.
        """
        if not is_known(name):
            return _FOREIGN
        self._begin_generation()
        located = self.names.located(labels, is_of_its_pod=speaks_of_its_pod(name))
        mapped = [self._of_its_job(one, located["cluster"]) for one in map_series(name, located)]
        if name in DESCRIBING or any(one.metric is device.DEVICE_INFO for one in mapped):
            self._learn_layout(located, mapped)
            self.opt_outs.hear((located["cluster"], located["node"]), origin, located, at_ms)
        numbers = [self._series(one, located, origin) for one in mapped]
        if self._recording is not None and not mapped:
            numbers = [_FIRST_ASIDE - number for number in self._recording.unmapped(name, located)]
        kept = [number for number in numbers if number >= 0 or number <= _FIRST_ASIDE]
        if not kept:
            return DESCRIPTION if DESCRIPTION in numbers else NOT_KEPT
        if len(kept) == 1:
            return kept[0]
        self._fans.append(np.array(kept, dtype=np.int64))
        return _FIRST_FAN - (len(self._fans) - 1)

    def _of_its_job(self, mapped: Mapped, cluster: str) -> Mapped:
        """A pod's hold on a device as its job's; a job that the series names itself stays (a step timer, Slurm)."""
        labels = mapped.labels
        if mapped.metric is not device.WORKLOAD_INFO or labels.get("job_id") or not labels.get("pod"):
            return mapped
        job = self.names.jobs.of((cluster, labels.get("namespace", ""), labels["pod"]))
        return replace(mapped, labels={**labels, "job_id": job}) if job else mapped

    def _learn_layout(self, located: Mapping[str, str], mapped: Sequence[Mapped]) -> None:
        """What the target's labels say that the node and its devices belong to; of the info series only.

        Elsewhere `switch` and `rail` are labels of an exporter's own.
        """
        index = next((one.labels.get("index", "") for one in mapped if one.metric is device.DEVICE_INFO), "")
        at = int(index) if index.isascii() and index.isdecimal() and len(index) <= _INDEX_DIGITS else WHOLE_NODE
        self.frame.layout.learn(located["cluster"], located["node"], located, index=at)

    def _series(self, mapped: Mapped, located: Mapping[str, str], origin: str) -> int:
        """The frame's number for one thing that a series says; the same for all series that say the same.

        Asked for again (a node got another name), it is the same too unless that changed the labels. What is kept is a
        hash of the labels: two of a million series have the same one in 64 bits once in thirty million fleets.
        """
        place = {"cluster": located["cluster"], "node": located["node"]}
        labels = {**mapped.labels, **place}
        if mapped.is_last_code:
            return _FIRST_CODE - self._codes.number(labels)
        key = hash((mapped.metric.name, mapped.part, origin, *sorted(labels.items())))
        if key in self._numbers:
            return self._numbers[key]
        number = self.frame.series_id(mapped.metric, labels, part=mapped.part, origin=origin)
        if number >= 0:
            self._conversions.remember(number, mapped)
            self._numbers[key] = number
        if self._recording is not None:
            aside = self._recording.told(number, mapped, located)
            return number if aside is None else _FIRST_ASIDE - aside
        return number

    def _begin_generation(self) -> None:
        """Forget numbers of the frame that are void."""
        if self._generation != self.frame.generation:
            self._generation = self.frame.generation
            self._numbers.clear()
            self._fans.clear()
            if self._recording is not None:
                self._recording.begin()

    def _learn(self, lines: Sequence[Line], target: Target) -> bool:
        """Let describing lines tell the node's name; whether that changed anything."""
        describing = [line for line in lines if line.name in DESCRIBING]
        changes = [self.names.learn(line.name, target.complete(labels_of(line.labels))) for line in describing]
        return any(changes)

    def _known_of(self, target: Target) -> _Known:
        self._begin_generation()
        known = self._known.setdefault(target.name, _Known())
        if known.generation != self.frame.generation:
            known.ids.clear()
            known.generation = self.frame.generation
        return known

    def _count(self, ids: Ints) -> None:
        self.counts.foreign += int(np.count_nonzero(ids == _FOREIGN))
        self.counts.unused += int(np.count_nonzero(ids == NOT_KEPT))
        self.counts.mapped += int(np.count_nonzero(ids == DESCRIPTION))
        if self._recording is not None:
            aside = ids[(ids <= _FIRST_ASIDE) & (ids > _FIRST_CODE)]
            described = self._recording.descriptions(_FIRST_ASIDE - aside)
            self.counts.mapped += described
            self.counts.unused += len(aside) - described


def hold_of(interval_seconds: float) -> float:
    """How far apart two samples may be, in seconds, for what lies between them to count as known."""
    return max(_LEAST_HOLD_SECONDS, HOLD_INTERVALS * interval_seconds)


def _newest_ms(series: Points) -> int:
    return int(series.times_ms[-1]) if len(series.times_ms) else 0


def _is_in(span: tuple[float, float], seconds: float) -> bool:
    return span[0] <= seconds <= span[1]


def _times_ms(lines: Sequence[Line], page: Page) -> Ints:
    if page.time is not None:
        default = page.time
        times = (default if line.timestamp is None else line.timestamp for line in lines)
        return _to_ms(np.fromiter(times, dtype=np.float64, count=len(lines)))
    bare = next((line for line in lines if line.timestamp is None), None)
    if bare is not None:
        msg = f"{page.target.name}: a sample of {bare.name} has no timestamp, so it has no place in time"
        raise InputError(msg)
    times = (line.timestamp or 0.0 for line in lines)
    return _to_ms(np.fromiter(times, dtype=np.float64, count=len(lines)))


def _to_ms(seconds: Doubles) -> Ints:
    return np.rint(seconds * 1000.0).astype(np.int64)
