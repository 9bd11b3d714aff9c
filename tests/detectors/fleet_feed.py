"""Drives the fleet model into a frame, column by column, through the same `ingest` as scraped pages."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from warpgauge.analyzer.detectors import DETECTORS
from warpgauge.analyzer.engine import EngineState, Result, analyze
from warpgauge.analyzer.frame import Frame
from warpgauge.core.sample import Histogram
from warpgauge.exporters.synthetic.fleet import CLUSTER, PAST_SECONDS, Fleet

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from warpgauge.exporters.synthetic.series import Series

START = 1_750_000_000.0
STEP_SECONDS = 10.0


class FleetFeed:
    """A fleet and the frame that watches it."""

    def __init__(self, seed: int, faults: Sequence[str]) -> None:
        self.fleet = Fleet(seed, faults, start=START)
        self.frame = Frame(step_seconds=STEP_SECONDS, window_seconds=3600.0)
        self.state = EngineState()
        self._readers = [
            (self._ids(node, series), series) for node in self.fleet.node_names for series in self.fleet.series(node)
        ]

    def advance(self, to: float) -> None:
        """Move the model to `to` and take one scrape of every node."""
        self.fleet.advance(to)
        ids: list[int] = []
        values: list[float] = []
        for (first, second), series in self._readers:
            value = series.read()
            if isinstance(value, Histogram):
                ids += (first, second)
                values += (value.sum, float(value.counts[-1]))
            else:
                ids.append(first)
                values.append(value)
        order = np.argsort(np.array(ids, dtype=np.int64), kind="stable")
        numbers = np.array(ids, dtype=np.int64)[order]
        times_ms = np.full(len(numbers), round(to * 1000), dtype=np.int64)
        self.frame.ingest(numbers, times_ms, np.array(values)[order], hold_seconds=2.5 * STEP_SECONDS)

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

    def _ids(self, node: str, series: Series) -> tuple[int, int]:
        labels = {**dict(zip(series.metric.labels, series.labels, strict=True)), "cluster": CLUSTER, "node": node}
        if isinstance(series.read(), Histogram):
            first, second = (
                self.frame.series_id(series.metric, labels, part=part, origin=node) for part in ("sum", "count")
            )
            return first, second
        return self.frame.series_id(series.metric, labels, origin=node), -1
