"""Dialects of inference servers whose own metrics pages a Prometheus scrapes, made of the names that the agent reads.

Each series is about the pod or address that was scraped: that is the `endpoint` of our rows. Several engines behind one
page stay apart by their own labels and fold in the frame.
"""

from __future__ import annotations

import math
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.dialects.dialect import Mapped
from warpgauge.analyzer.dialects.rows import MOST, Readings, Row
from warpgauge.analyzer.frame.schema import PLACES

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.core.inference_servers import Server, Source

__all__ = ["ServingDialect"]

_LABELS: Final = ("server", "endpoint", "model")


class ServingDialect:
    """One kind of server; what only a look at a whole page can tell (`Source.is_fallback`) is not read."""

    def __init__(self, server: Server) -> None:
        self.name = server.title
        self._server = server
        self._sources: dict[str, list[Source]] = {}
        for source in server.sources:
            if source.metric.name in PLACES and not source.is_fallback:
                self._sources.setdefault(source.name, []).append(source)
        self.names = frozenset(self._sources)
        self.metrics = frozenset(source.metric for group in self._sources.values() for source in group)

    @property
    def rows(self) -> Readings:
        """The table, by the names of foreign series."""
        return {name: tuple(map(self._row, sources)) for name, sources in self._sources.items()}

    def knows(self, name: str) -> bool:
        """Whether the server has a series of this name, used or not."""
        return name.startswith(self._server.prefixes)

    def map(self, name: str, labels: Mapping[str, str]) -> tuple[Mapped, ...]:
        """What the server says of one model; nothing of a rank that repeats another one's numbers."""
        pod = "/".join(filter(None, (labels.get("namespace"), labels.get("pod")))) if labels.get("pod") else ""
        values = (self._server.name, pod or labels.get("instance", ""), self._server.model(labels))
        ours = {**labels, **dict(zip(_LABELS, values, strict=True))}
        return tuple(
            Mapped(
                metric=source.metric,
                labels=ours,
                factor=source.scale,
                most=MOST.get(source.metric.unit, math.inf),
            )
            for source in self._sources[name]
            if self._server.counts(source, labels)
        )

    def _row(self, source: Source) -> Row:
        only = () if source.where is None else ((source.where[0], frozenset({source.where[1]})),)
        return Row(source.metric, source.scale, only=only)
