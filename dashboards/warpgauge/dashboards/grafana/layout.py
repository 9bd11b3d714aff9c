"""Places panels on Grafana's 24 columns, in reading order, without gaps or overlaps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import attr

from warpgauge.dashboards.grafana.model import Panel, Row, grid, stable_id

if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["COLUMNS", "Section", "flow"]

COLUMNS: Final = 24


@dataclass(frozen=True, slots=True)
class Section:
    """A heading and the panels below it."""

    title: str
    panels: tuple[Panel, ...]


def flow(sections: Sequence[Section]) -> list[Panel | Row]:
    """Panels with places and stable ids; ValueError where two panels would share an id."""
    placed: list[Panel | Row] = []
    y = 0
    for section in sections:
        placed.append(
            Row(title=section.title, gridPos=grid(x=0, y=y, width=COLUMNS, height=1), id=stable_id(section.title))
        )
        panels, y = _place(section, y + 1)
        placed.extend(panels)
    _demand_distinct_ids(placed)
    return placed


def _place(section: Section, y: int) -> tuple[list[Panel], int]:
    """Fill lines from left to right; a line is as high as its highest panel. Also returns the y below the last."""
    placed: list[Panel] = []
    x = line_height = 0
    for panel in section.panels:
        if x + panel.width > COLUMNS:
            x, y, line_height = 0, y + line_height, 0
        place = grid(x=x, y=y, width=panel.width, height=panel.height)
        placed.append(attr.evolve(panel, gridPos=place, id=stable_id(section.title, panel.title)))
        x, line_height = x + panel.width, max(line_height, panel.height)
    return placed, y + line_height


def _demand_distinct_ids(panels: Sequence[Panel | Row]) -> None:
    titles: dict[int, str] = {}
    for panel in panels:
        if panel.id in titles:
            msg = f"panels {titles[panel.id]!r} and {panel.title!r} share id {panel.id}: give one another title"
            raise ValueError(msg)
        titles[int(panel.id or 0)] = panel.title
