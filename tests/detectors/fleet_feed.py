"""Drives the fleet model into a frame, column by column, through the same `ingest` as scraped pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from warpgauge.analyzer.detectors import DETECTORS
from warpgauge.analyzer.frame import Frame
from warpgauge.analyzer.incidents.engine import EngineState, Result, analyze
from warpgauge.core.sample import Histogram
from warpgauge.exporters.synthetic.fleet import CLUSTER, PAST_SECONDS, Fleet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from warpgauge.exporters.synthetic.series import Series

START = 1_750_000_000.0
STEP_SECONDS = 10.0


class FleetFeed:
    """A fleet and the frame that watches it."""

    def __init__(self, seed: int, faults: Sequence[str]) -> None:
        self.fleet = Fleet(seed, faults, start=START)
        self.frame = Frame(step_seconds=STEP_SECONDS, window_seconds=3600.0)
        self.state = EngineState()
        self._numbers: list[Series] = []
        self._histograms: list[Series] = []
        ids = self._entered()
        self._order = np.argsort(ids, kind="stable")
        self._ids = ids[self._order]

    def advance(self, to: float) -> None:
        """Move the model to `to` and take one scrape of every node."""
        self.fleet.advance(to)
        values = [series.read() for series in self._numbers]
        for series in self._histograms:
            value = series.read()
            values += (value.sum, float(value.counts[-1]))
        times_ms = np.full(len(values), round(to * 1000), dtype=np.int64)
        self.frame.ingest(self._ids, times_ms, np.array(values)[self._order], hold_seconds=2.5 * STEP_SECONDS)

    def tick(self) -> Result:
        """Run the engine once."""
        result = analyze(self.frame, self.state, DETECTORS)
        self.state = result.state
        return result

    def past(self) -> None:
        """Feed the simulated hour before the start, without looking."""
        at = START - PAST_SECONDS
        while at < START:
            at += STEP_SECONDS
            self.advance(at)

    def live(self, seconds: float) -> Iterator[Result]:
        """Go on live, one tick per column."""
        at = self.fleet.time
        while at < START + seconds:
            at += STEP_SECONDS
            self.advance(at)
            yield self.tick()

    def _entered(self) -> NDArray[np.int64]:
        """Enter every series into the frame; the ids in the order in which they are read, plain numbers first."""
        ids: tuple[list[int], list[int]] = ([], [])
        for node in self.fleet.node_names:
            for series in self.fleet.series(node):
                labels = dict(zip(series.metric.labels, series.labels, strict=True))
                labels |= {"cluster": CLUSTER, "node": node}
                is_histogram = isinstance(series.read(), Histogram)
                (self._histograms if is_histogram else self._numbers).append(series)
                ids[is_histogram].extend(
                    self.frame.series_id(series.metric, labels, origin=node, **part)
                    for part in (({"part": "sum"}, {"part": "count"}) if is_histogram else ({},))
                )
        return np.array(ids[False] + ids[True], dtype=np.int64)
