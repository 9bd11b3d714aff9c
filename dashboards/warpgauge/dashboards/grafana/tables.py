"""Instant queries side by side in a table."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import Unit
from warpgauge.dashboards.grafana.model import Panel, Query
from warpgauge.dashboards.grafana.parts import (
    ABSENT,
    NEUTRAL,
    Json,
    Levels,
    letter,
    mappings,
    numbered,
    thresholds,
)
from warpgauge.dashboards.grafana.units import unit_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from warpgauge.core.catalog import Metric

__all__ = ["Column", "table"]

_NARROWEST: Final = 100  # pixels; Grafana's own 150 push the last of many columns out of sight
_WIDTHS: Final = {"Index": 70, "Model": 170, "Endpoint": 220}  # of what is shorter or longer than the others


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One value column of a table; `states` name the numbers 0, 1, 2 … that the query returns."""

    title: str
    expr: str
    metric: Metric
    levels: Levels = NEUTRAL
    states: Sequence[str] = ()
    hidden: bool = False
    unit: str = ""  # Grafana's unit where the query gives something else than the metric

    def override(self) -> Json:
        """Unit, thresholds and cell of this column."""
        properties: list[Json] = [{"id": "unit", "value": self.unit or unit_of(self.metric)}]
        if self.metric.unit is Unit.RATIO:
            properties += [
                {"id": "min", "value": 0},
                {"id": "max", "value": 1},
                {"id": "custom.cellOptions", "value": {"mode": "basic", "type": "gauge", "valueDisplayMode": "text"}},
            ]
        if self.states:
            properties += [
                {"id": "mappings", "value": mappings(self.states)},
                {"id": "custom.cellOptions", "value": {"type": "color-text"}},
            ]
        properties.append({"id": "thresholds", "value": thresholds(self.levels)})
        return {"matcher": {"id": "byName", "options": self.title}, "properties": properties}


def table(  # noqa: PLR0913 - a table has that many looks, all with defaults
    title: str,
    columns: Sequence[Column],
    *,
    keys: Mapping[str, str],
    description: str,
    links: Mapping[str, str] | None = None,
    width: int = 24,
    height: int = 10,
) -> Panel:
    """Instant queries side by side, one row per value of `keys` (label to heading); a gap says "not reported".

    `links` maps a heading to the address behind its cells.
    """
    targets = [Query(expr=column.expr, instant=True, format="table") for column in columns]
    return Panel(
        kind="table",
        title=title,
        description=description,
        width=width,
        height=height,
        targets=numbered(targets),
        options={"cellHeight": "sm", "showHeader": True},
        defaults={
            "custom": {
                "align": "auto",
                "cellOptions": {"type": "auto"},
                "filterable": True,
                "inspect": False,
                "minWidth": _NARROWEST,
            },
            "noValue": ABSENT,
            "thresholds": thresholds(),
            "unit": "short",
        },
        overrides=[
            *(_key(heading) for heading in keys.values()),
            *(column.override() for column in columns if not column.hidden),
            *(_link(heading, url) for heading, url in (links or {}).items()),
        ],
        transformations=[{"id": "merge", "options": {}}, _organize(columns, keys)],
    )


def _organize(columns: Sequence[Column], keys: Mapping[str, str]) -> Json:
    fields = {value_name(number, len(columns)): column for number, column in enumerate(columns)}
    order = [*keys, *fields]
    return {
        "id": "organize",
        "options": {
            "excludeByName": {"Time": True, **{name: True for name, column in fields.items() if column.hidden}},
            "indexByName": {name: number for number, name in enumerate(order)},
            "renameByName": {**keys, **{name: column.title for name, column in fields.items() if not column.hidden}},
        },
    }


def value_name(number: int, of: int) -> str:
    """What Grafana calls the values of a table's query: only where there are several it adds the letter."""
    return f"Value #{letter(number)}" if of > 1 else "Value"


def _key(heading: str) -> Json:
    """Labels are text: with a unit Grafana would write the job 412345 as "412 K"."""
    properties: list[Json] = [{"id": "unit", "value": "string"}]
    if heading in _WIDTHS:
        properties.append({"id": "custom.width", "value": _WIDTHS[heading]})
    return {"matcher": {"id": "byName", "options": heading}, "properties": properties}


def _link(heading: str, url: str) -> Json:
    link = {"targetBlank": False, "title": f"Open {heading.lower()}", "url": url}
    return {"matcher": {"id": "byName", "options": heading}, "properties": [{"id": "links", "value": [link]}]}
