"""Dialects: from the names, units and labels that a fleet's exporters use to catalog rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.dialects.dialect import Dialect, Mapped
from warpgauge.analyzer.dialects.node_exporter import NODE_EXPORTER
from warpgauge.analyzer.dialects.warpgauge import WARPGAUGE

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["DIALECTS", "Dialect", "Mapped", "is_known", "map_series"]

DIALECTS: Final[tuple[Dialect, ...]] = (WARPGAUGE, NODE_EXPORTER)
"""In the order in which they are asked."""


def map_series(name: str, labels: Mapping[str, str]) -> Mapped | None:
    """The catalog row that a series speaks of, None if no dialect has a row for it."""
    for dialect in DIALECTS:
        if name in dialect.names:
            return dialect.map(name, labels)
    return None


def is_known(name: str) -> bool:
    """Whether some dialect knows what the series is, even if the frame has no place for it."""
    return any(dialect.knows(name) for dialect in DIALECTS)
