"""What the agent serves of the simulated fleet: a page per node, its past, the list of targets and the truth."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from warpgauge.core.errors import InputError
from warpgauge.core.exposition import FamilyRenderer, page
from warpgauge.core.sample import Sample
from warpgauge.exporters.synthetic.fleet import CLUSTER, PAST_SECONDS
from warpgauge.exporters.synthetic.past import OFTEN_SECONDS, Past

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Mapping, Sequence

    from warpgauge.core.catalog import Metric
    from warpgauge.core.clock import Clock
    from warpgauge.core.exposition import FamilyText, Format
    from warpgauge.exporters.synthetic.fleet import Fleet
    from warpgauge.exporters.synthetic.one_series import Series

__all__ = ["SimulatedPages"]

_TICK_SECONDS: Final = 1.0  # as an agent: no matter how often it is scraped, it reads once a second


class SimulatedPages:
    """Pages of a fleet that lives along with `clock`; one thread at a time, except `backfill` once prepared."""

    def __init__(self, fleet: Fleet, clock: Clock) -> None:
        self._fleet = fleet
        self._clock = clock
        self._pasts: dict[str, Past] = {}
        self._nodes = {name: _NodePage(fleet.series(name)) for name in fleet.node_names}

    def prepare(self) -> None:
        """Live the hour before the start, once: a second or two of CPU. Every other method does it when still due."""
        if self._pasts:
            return
        self._pasts = {name: Past(self._fleet.series(name)) for name in self._fleet.node_names}
        begin = self._fleet.start - PAST_SECONDS
        for moment in range(int(PAST_SECONDS) // OFTEN_SECONDS + 1):
            time = begin + moment * OFTEN_SECONDS
            if time >= self._fleet.time:
                self._fleet.advance(time)
                for past in self._pasts.values():
                    past.record(time)

    def metrics(self, node: str, fmt: Format) -> bytes:
        """The page of one node now.

        Raises:
            InputError: there is no such node.

        """
        self._known(node)
        now = self._clock.now()
        if now - self._fleet.time >= _TICK_SECONDS:
            self._fleet.advance(now)
        return page(self._nodes[node].families(self._fleet.time), fmt)

    def backfill(self, node: str) -> Iterator[bytes]:
        """The hour before the start of one node as OpenMetrics text with timestamps, in chunks.

        Raises:
            InputError: there is no such node.

        """
        self._known(node)
        return self._pasts[node].text()

    def service_discovery(self, base_url: str) -> list[dict[str, Any]]:
        """Prometheus http_sd groups, one per node, for a server that is reached at `base_url`."""
        parts = urlsplit(base_url)
        return [
            {
                "targets": [parts.netloc],
                "labels": {
                    "__scheme__": parts.scheme,
                    "__metrics_path__": f"/sim/{node}/metrics",
                    "__meta_warpgauge_backfill": f"/sim/{node}/backfill",
                    "cluster": CLUSTER,
                    "node": node,
                },
            }
            for node in self._fleet.node_names
        ]

    def truth(self) -> dict[str, Any]:
        """What is wrong with the fleet, for people and tests; the analyzer never asks."""
        return self._fleet.truth()

    def _known(self, node: str) -> None:
        if node not in self._nodes:
            names = self._fleet.node_names
            msg = f"no simulated node {node!r}; there are {names[0]} to {names[-1]}"
            raise InputError(msg)
        self.prepare()


class _NodePage:
    """One node's families: rendered once per tick, whoever asks in which format; what never moves, once at all."""

    def __init__(self, series: Sequence[Series]) -> None:
        moving = {row.metric for row in series if not row.is_constant}
        self._moving = [row for row in series if row.metric in moving]
        self._still = FamilyRenderer().render(_samples(row for row in series if row.metric not in moving))
        self._renderer = FamilyRenderer()
        self._rendered: tuple[float, Mapping[Metric, FamilyText]] = (0.0, {})

    def families(self, time: float) -> list[Mapping[Metric, FamilyText]]:
        if self._rendered[0] != time:
            self._rendered = (time, self._renderer.render(_samples(self._moving)))
        return [self._still, self._rendered[1]]


def _samples(series: Iterable[Series]) -> list[Sample]:
    return [Sample(row.metric, row.labels, row.read()) for row in series]
