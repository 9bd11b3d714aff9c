"""From batches to the frame: parse, name the node, ask the dialects, remember each series' id."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.dialects import is_known, map_series
from warpgauge.analyzer.frame import DESCRIPTION, NOT_KEPT
from warpgauge.analyzer.naming import DESCRIBING
from warpgauge.analyzer.sources import Page
from warpgauge.core.errors import InputError
from warpgauge.core.exposition import labels_of, parse

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.naming import NodeNames
    from warpgauge.analyzer.sources import Batch, Points, Ranges, Target
    from warpgauge.analyzer.states import Doubles
    from warpgauge.analyzer.table import Ints
    from warpgauge.core.exposition import Line

__all__ = ["Counts", "Intake", "Samples"]

_FOREIGN: Final = -3
_LEAST_HOLD_SECONDS: Final = 25.0
_HOLD_INTERVALS: Final = 2.5  # one missed sample is bridged, two are a gap

Key = tuple[str, object]


@dataclass(slots=True)
class Counts:
    """Samples by what became of them, since the start."""

    mapped: int = 0
    unused: int = 0
    foreign: int = 0
    late: int = 0

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
    ids: dict[Key, int] = field(default_factory=dict)


class Intake:
    """The way into one frame; owned by whoever owns the frame."""

    def __init__(self, frame: Frame, names: NodeNames) -> None:
        self.frame = frame
        self.names = names
        self.counts = Counts()
        self._known: dict[str, _Known] = {}
        self._factors: Doubles = np.ones(256)

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
        self._count(ids)
        kept = ids >= 0
        ids, times_ms, values = ids[kept], times_ms[kept], values[kept]
        hold_seconds = max(_LEAST_HOLD_SECONDS, _HOLD_INTERVALS * batch.interval_seconds)
        return Samples(ids, times_ms, values * self._factors[ids], hold_seconds)

    def forget(self, target: str) -> None:
        """Drop what is remembered for a target that is gone."""
        self._known.pop(target, None)

    def _page(self, page: Page) -> tuple[Ints, Ints, Doubles]:
        lines = list(parse(page.text, place=page.target.name, openmetrics=page.is_openmetrics))
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
            found = known.ids[key] = self._resolve(line.name, labels, target.name)
        return found

    def _ranges(self, ranges: Ranges) -> tuple[Ints, Ints, Doubles]:
        points = ranges.points
        for series in points:
            if series.name in DESCRIBING:
                self.names.learn(series.name, ranges.target.complete(series.labels))
        known = self._known_of(ranges.target)
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
        key = (series.name, (self.names.version, frozenset(series.labels.items())))
        found = known.ids.get(key)
        if found is None:
            labels = target.complete(series.labels)
            origin = f"{labels.get('job', '')} {labels.get('instance', '')} {labels.get('replica', '')}"
            found = known.ids[key] = self._resolve(series.name, labels, origin)
        return found

    def _resolve(self, name: str, labels: Mapping[str, str], origin: str) -> int:
        mapped = map_series(name, labels)
        if mapped is None:
            return NOT_KEPT if is_known(name) else _FOREIGN
        located = self.names.located(mapped.labels)
        number = self.frame.series_id(mapped.metric, located, part=mapped.part, origin=origin)
        if number >= 0:
            self._remember_factor(number, mapped.factor)
        return number

    def _remember_factor(self, number: int, factor: float) -> None:
        if number >= len(self._factors):
            self._factors = np.concatenate([self._factors, np.ones(len(self._factors))])
        self._factors[number] = factor

    def _learn(self, lines: Sequence[Line], target: Target) -> bool:
        """Let describing lines tell the node's name; whether that changed anything."""
        describing = [line for line in lines if line.name in DESCRIBING]
        changes = [self.names.learn(line.name, target.complete(labels_of(line.labels))) for line in describing]
        return any(changes)

    def _known_of(self, target: Target) -> _Known:
        known = self._known.setdefault(target.name, _Known())
        if known.generation != self.frame.generation:
            known.ids.clear()
            known.generation = self.frame.generation
        return known

    def _count(self, ids: Ints) -> None:
        self.counts.foreign += int(np.count_nonzero(ids == _FOREIGN))
        self.counts.unused += int(np.count_nonzero(ids == NOT_KEPT))
        self.counts.mapped += int(np.count_nonzero(ids == DESCRIPTION))


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
