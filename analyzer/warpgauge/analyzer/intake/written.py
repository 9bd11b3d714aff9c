"""From remote-write requests to the frame.

A scrape's samples come in several requests, as Prometheus shards its queue, but values that fold into one (the CPUs of
a node) must come into the frame together. So samples wait here for a few seconds, longer at the start until the series
that tell nodes' names are there too, and go in as a whole.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.dialects.naming import DESCRIBING
from warpgauge.analyzer.intake import hold_of
from warpgauge.analyzer.intake.replica_election import Election
from warpgauge.analyzer.sources.replicas import without
from warpgauge.analyzer.sources.write_request import SeriesBook, labels_in

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from warpgauge.analyzer.dialects.pod_jobs import PodKey
    from warpgauge.analyzer.frame.states import Doubles
    from warpgauge.analyzer.frame.table import Ints
    from warpgauge.analyzer.intake import Intake

__all__ = ["WrittenSamples"]

SETTLE_SECONDS: Final = 6.0  # Prometheus sends a scrape's last samples at most 5 s late (batch_send_deadline)
FIRST_SETTLE_SECONDS: Final = 70.0  # by then each target was scraped once, at intervals of up to a minute
RENAME_SECONDS: Final = 120.0  # how soon new names of nodes let all series be looked at anew; doubled each time
MOST_RENAME_SECONDS: Final = 3600.0
SILENT_MS: Final = 3_600_000  # label blocks of series that are silent for longer are forgotten, once they are many
LEAST_SWEEP: Final = 100_000  # series
MOST_WAITING: Final = 8_000_000  # samples; with more, those that wait go in at once
_UNRESOLVED: Final = -(1 << 62)
_FIRST_CAPACITY: Final = 1024
_USUAL_INTERVALS_MS: Final = np.array([1_000, 5_000, 10_000, 15_000, 30_000, 60_000, 120_000, 300_000])


@dataclass(frozen=True, slots=True)
class _Waiting:
    arrived: float  # monotonic seconds
    numbers: Ints
    times_ms: Ints
    values: Doubles


class WrittenSamples:
    """Samples that were written to us, on their way into one frame; owned by whoever owns the frame."""

    def __init__(self, intake: Intake, replica_labels: Sequence[str], least_sweep: int = LEAST_SWEEP) -> None:
        self._intake = intake
        self._replica_labels = frozenset(replica_labels)
        self._book = SeriesBook()
        self._election = Election(replica_labels)
        self._waiting: list[_Waiting] = []
        self._count = 0
        self._settled_at: float | None = None
        self._ids: Ints = np.full(_FIRST_CAPACITY, _UNRESOLVED, dtype=np.int64)
        self._last_ms: Ints = np.zeros(_FIRST_CAPACITY, dtype=np.int64)
        self._interval_ms: Ints = np.zeros(_FIRST_CAPACITY, dtype=np.int64)
        self._least_sweep = self._next_sweep = least_sweep
        self._generation = self._names = -1
        self._named_at, self._rename_seconds = 0.0, RENAME_SECONDS
        self._unsettled: dict[PodKey, list[int]] = {}  # series of pods that nothing described when they came

    def take(self, body: bytes, now: float, *, not_after: float | None = None) -> int:
        """Keep the samples of a request; gives how many; `now` in monotonic seconds.

        Raises:
            InputError: it is malformed; nothing of it was kept.

        """
        written = self._book.read(body)
        self._enroll()
        counts = self._intake.counts
        is_chosen = self._election.counts(written.numbers, now)
        chosen = int(np.count_nonzero(is_chosen))
        counts.duplicate += len(written.numbers) - chosen
        counts.histogram += written.histograms
        counts.refused += written.refused
        if self._settled_at is None:
            self._settled_at = now + FIRST_SETTLE_SECONDS
        self._waiting.append(
            _Waiting(now, written.numbers[is_chosen], written.times_ms[is_chosen], written.values[is_chosen])
        )
        self._count += chosen
        if self._count > MOST_WAITING:
            self.flush(now, not_after=not_after, at_once=True)
        return chosen

    def flush(self, now: float, *, not_after: float | None = None, at_once: bool = False) -> None:
        """Bring what has waited long enough into the frame."""
        if not at_once and (self._settled_at is None or now < self._settled_at):
            return
        due = [batch for batch in self._waiting if at_once or batch.arrived <= now - SETTLE_SECONDS]
        if not due:
            return
        self._enroll()  # a request that was refused may have brought new series before its fault
        self._waiting = [] if at_once else self._waiting[len(due) :]
        numbers = np.concatenate([batch.numbers for batch in due])
        self._count -= len(numbers)
        times_ms = np.concatenate([batch.times_ms for batch in due])
        values = np.concatenate([batch.values for batch in due])
        values[np.isnan(values)] = np.nan  # a stale marker is a signaling NaN, which arithmetic complains about
        self._resolve(numbers, times_ms, now)
        self._ingest(numbers, times_ms, values, not_after)
        if len(self._book) >= self._next_sweep:
            self._sweep()

    def _sweep(self) -> None:
        """Forget series that vanished: pods come and go, and the book would grow for ever."""
        known = self._last_ms[: len(self._book)]
        is_alive = known >= known.max() - SILENT_MS
        for batch in self._waiting:
            is_alive[batch.numbers] = True
        kept = np.flatnonzero(is_alive)
        renumbered = np.cumsum(is_alive) - 1
        self._waiting = [replace(batch, numbers=renumbered[batch.numbers]) for batch in self._waiting]
        self._book.keep(kept)
        self._unsettled.clear()  # they wait until all series are looked at anew
        self._election.keep(kept)
        for array, empty in ((self._ids, _UNRESOLVED), (self._last_ms, 0), (self._interval_ms, 0)):
            array[: len(kept)] = array[kept]
            array[len(kept) :] = empty
        self._next_sweep = max(self._least_sweep, 2 * len(kept))

    def _ingest(self, numbers: Ints, times_ms: Ints, values: Doubles, not_after: float | None) -> None:
        intervals = self._intervals(numbers, times_ms)
        counts = self._intake.counts
        for interval_ms in np.unique(intervals):
            of_interval = intervals == interval_ms
            samples = self._intake.converted(
                self._ids[numbers[of_interval]],
                times_ms[of_interval],
                values[of_interval],
                hold_of(float(interval_ms) / 1000.0),
            )
            ingested = self._intake.frame.ingest(
                samples.ids, samples.times_ms, samples.values, hold_seconds=samples.hold_seconds, not_after=not_after
            )
            counts.mapped += ingested.kept
            counts.late += ingested.late

    def _intervals(self, numbers: Ints, times_ms: Ints) -> Ints:
        """The usual interval next to each series' own; it follows a change within two samples."""
        distance = times_ms - self._last_ms[numbers]
        known = self._interval_ms[numbers]
        is_first = self._last_ms[numbers] == 0
        grown = np.where((known > 0) & (distance > 2 * known), 2 * known, distance)
        self._interval_ms[numbers] = np.where(is_first | (distance <= 0), known, grown)
        np.maximum.at(self._last_ms, numbers, times_ms)
        told = np.maximum(known, self._interval_ms[numbers])
        nearest = np.searchsorted(_USUAL_INTERVALS_MS, 0.8 * told).clip(0, len(_USUAL_INTERVALS_MS) - 1)
        return np.where(told > 0, _USUAL_INTERVALS_MS[nearest], 15_000)

    def _enroll(self) -> None:
        """Look at the labels of series seen for the first time: who writes them, and whether they name nodes."""
        for number, labels in enumerate(self._book.fresh, start=len(self._book) - len(self._book.fresh)):
            self._election.enroll(number, labels)
            if labels["__name__"] in DESCRIBING:
                self._intake.names.learn(labels["__name__"], without(labels, ("__name__",)))
        self._book.fresh.clear()
        while len(self._book) > len(self._ids):
            self._ids = np.concatenate([self._ids, np.full_like(self._ids, _UNRESOLVED)])
            self._last_ms = np.concatenate([self._last_ms, np.zeros_like(self._last_ms)])
            self._interval_ms = np.concatenate([self._interval_ms, np.zeros_like(self._interval_ms)])

    def _resolve(self, numbers: Ints, times_ms: Ints, now: float) -> None:
        """Find the frame's ids of series that have none, or none that holds any more."""
        frame, names = self._intake.frame, self._intake.names
        is_renamed = names.version != self._names and now - self._named_at >= self._rename_seconds
        if is_renamed:
            self._rename_seconds = min(2 * self._rename_seconds, MOST_RENAME_SECONDS)
        if frame.generation != self._generation or is_renamed:
            self._generation, self._names, self._named_at = frame.generation, names.version, now
            self._ids[:] = _UNRESOLVED
            self._unsettled.clear()
        for pod in names.jobs.take_arrived():
            self._ids[self._unsettled.pop(pod, [])] = _UNRESOLVED
        is_new = self._ids[numbers] == _UNRESOLVED
        new, places = np.unique(numbers[is_new], return_inverse=True)
        newest = np.zeros(len(new), dtype=np.int64)
        np.maximum.at(newest, places, times_ms[is_new])
        for number, at_ms in zip(new.tolist(), newest.tolist(), strict=True):
            self._ids[number] = self._id_of(number, labels_in(self._book.blocks[number]), at_ms)

    def _id_of(self, number: int, labels: Mapping[str, str], at_ms: int) -> int:
        own = without(labels, {"__name__", *self._replica_labels})
        origin = f"{own.get('job', '')} {own.get('instance', '')}"
        found = self._intake.resolve(labels["__name__"], own, origin, at_ms=at_ms)
        pod = self._intake.names.pod(own)
        if self._intake.names.jobs.is_awaited(pod):
            self._unsettled.setdefault(pod, []).append(number)
        return found
