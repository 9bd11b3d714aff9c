"""Judging the past: all samples of a span are run through the frame in order of time, with ticks in between.

What `warpgauge analyze` does. Ticks are `TICK_SECONDS` apart, further in a long span, so that a condition that came
and went is found too, with its onset and end.
"""

from __future__ import annotations

import itertools
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.dialects.naming import NodeNames
from warpgauge.analyzer.frame import Frame
from warpgauge.analyzer.incidents import join
from warpgauge.analyzer.incidents.breaker import suspicions
from warpgauge.analyzer.incidents.engine import EngineState, Result, analyze
from warpgauge.analyzer.incidents.muting import NOTHING_MUTED
from warpgauge.analyzer.incidents.presence import Presence
from warpgauge.analyzer.intake import Counts, Intake, Samples

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from warpgauge.analyzer.detection import Detector
    from warpgauge.analyzer.incidents.muting import Muting
    from warpgauge.analyzer.sources import Batch
    from warpgauge.core.finding import Finding, Incident

__all__ = ["Replay", "Report"]

TICK_SECONDS: Final = 30.0
_MOST_TICKS: Final = 240


@dataclass(frozen=True, slots=True, kw_only=True)
class Report:
    """What was found in a span; `last` is None when there was no sample that counts."""

    findings: tuple[Finding, ...]  # those that hold at the end, ranked, then those that ended, youngest first
    incidents: tuple[Incident, ...]
    last: Result | None
    start: float
    end: float
    nodes: int
    devices: int
    unresolved_devices: int  # nothing tells whose node they are
    samples: Counts


class Replay:
    """Collects batches, in any order, then judges them."""

    def __init__(
        self, *, window_seconds: float, cluster: str, detectors: Sequence[Detector], muting: Muting = NOTHING_MUTED
    ) -> None:
        self._frame = Frame(window_seconds=window_seconds)
        self._intake = Intake(self._frame, NodeNames(cluster))
        self._detectors = detectors
        self._muting = muting
        self._batches: list[Samples] = []

    def add(self, batch: Batch) -> None:
        """Map a batch and keep it.

        Raises:
            InputError: it is malformed.

        """
        self._batches.append(self._intake.read(batch))

    @property
    def frame(self) -> Frame:
        """Where the samples stand, after `report` as of its end."""
        return self._frame

    def report(self) -> Report:
        """Run all that was added through the frame."""
        state, last = EngineState(), None
        seen: dict[str, Finding] = {}
        for _ in self._ticks():
            last = analyze(
                self._frame,
                state,
                self._detectors,
                join=join,
                suspect=suspicions,
                has_gap=Presence(self._frame).has_gap,
                muting=self._muting,
            )
            state = last.state
            seen |= {finding.id: finding for finding in (*last.findings, *last.ended)}
        holding = last.findings if last else ()
        ids = {finding.id for finding in holding}
        ended = sorted((one for one in seen.values() if one.id not in ids), key=lambda one: -(one.ended or 0.0))
        return Report(
            findings=(*holding, *ended),
            incidents=last.incidents if last else (),
            last=last,
            start=self._first_seconds(),
            end=self._frame.newest_sample,
            nodes=len(self._frame.nodes),
            devices=len(self._frame.devices),
            unresolved_devices=sum(not device.node for device in self._frame.devices.entities),
            samples=self._intake.counts,
        )

    def _first_seconds(self) -> float:
        return min((float(one.times_ms.min()) for one in self._batches if len(one.times_ms)), default=0.0) / 1000.0

    def _ticks(self) -> Iterator[None]:
        """Bring the samples in, a slice of time after the other; yields after each."""
        filled = [samples for samples in self._batches if len(samples.ids)]
        if not filled:
            return
        times_ms = np.concatenate([samples.times_ms for samples in filled])
        ids = np.concatenate([samples.ids for samples in filled])
        values = np.concatenate([samples.values for samples in filled])
        holds = np.concatenate([np.full(len(samples.ids), samples.hold_seconds) for samples in filled])
        order = np.argsort(times_ms, kind="stable")
        times_ms, ids, values, holds = times_ms[order], ids[order], values[order], holds[order]
        for first, last in _slices(times_ms):
            for hold in np.unique(holds[first:last]):
                chosen = first + np.flatnonzero(holds[first:last] == hold)
                taken = self._frame.ingest(ids[chosen], times_ms[chosen], values[chosen], hold_seconds=float(hold))
                self._intake.counts.mapped += taken.kept
                self._intake.counts.late += taken.late
            yield


def _slices(times_ms: np.ndarray[tuple[int], np.dtype[np.int64]]) -> Iterator[tuple[int, int]]:
    """Index ranges of sorted times, each as long as the distance between two ticks."""
    span_seconds = float(times_ms[-1] - times_ms[0]) / 1000.0
    tick_ms = max(TICK_SECONDS, span_seconds / _MOST_TICKS) * 1000.0
    edges = np.searchsorted(times_ms, np.arange(float(times_ms[0]) + tick_ms, float(times_ms[-1]), tick_ms))
    bounds = np.unique(np.concatenate([[0], edges, [len(times_ms)]]))
    for first, last in itertools.pairwise(bounds):
        yield int(first), int(last)
