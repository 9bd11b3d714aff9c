"""Panels made from catalog rows: unit, title and description come from the row and cannot drift from it.

Every panel shows absence as "not reported"; nothing here turns a missing series into a healthy zero.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.catalog import Unit
from warpgauge.dashboards.grafana.model import Panel, Query
from warpgauge.dashboards.grafana.units import GRAFANA_UNITS, unit_of

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from warpgauge.core.catalog import Metric

__all__ = [
    "ABSENT",
    "Column",
    "Levels",
    "bar_gauge",
    "graph",
    "heatmap",
    "node_graph",
    "query",
    "stat",
    "state_timeline",
    "status_history",
    "table",
    "title_of",
]

ABSENT: Final = "not reported"
"""What a panel says when there is no series: neither good nor bad."""

Json = dict[str, Any]

_REDUCE_LAST: Final = {"calcs": ["lastNotNull"], "fields": "", "values": False}
_PREFIXES: Final = ("accel_", "host_", "training_", "serving_", "warpgauge_", "agent_", "analyzer_")
_PALETTE: Final = ("green", "yellow", "red", "purple", "dark-red", "blue", "orange", "semi-dark-blue", "light-red")
_COLORS: Final = {
    "released": "blue",
    "denied": "orange",
    "lost": "red",
    "needs_reset": "purple",
    "hung": "dark-red",
    "inactive": "#808080",
    "active": "green",
    "sleep": "blue",
    "active_traffic_disabled": "orange",
    "not_started": "orange",
    "in_progress": "blue",
    "completed": "green",
    "failed": "red",
    "silent": "red",
    "ok": "green",
    "answers": "green",
    "held down": "orange",
}
"""Of states whose place in their row says nothing about how bad they are; the others take theirs from the palette."""

_LEAST_TOPS: Final = {"percentunit": 0.01, "short": 1, "cps": 1}
"""How high an axis is at least: else Grafana draws a flat zero on 0 to 100, and noise as a mountain."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Levels:
    """From where on a value is a warning and critical; both in the metric's own unit."""

    warning: float | None = None
    critical: float | None = None

    def steps(self) -> list[Json]:
        """Grafana threshold steps; without any level the value stays neutral."""
        if self.warning is None and self.critical is None:
            return [{"color": "blue", "value": None}]
        named = (("orange", self.warning), ("red", self.critical))
        return [
            {"color": "green", "value": None},
            *({"color": color, "value": value} for color, value in named if value is not None),
        ]


@dataclass(frozen=True, slots=True, kw_only=True)
class Column:
    """One value column of a table; `states` name the numbers 0, 1, 2 … that the query returns."""

    title: str
    expr: str
    metric: Metric
    levels: Levels = Levels()
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
                {"id": "mappings", "value": _mappings(self.states)},
                {"id": "custom.cellOptions", "value": {"type": "color-text"}},
            ]
        properties.append({"id": "thresholds", "value": _thresholds(self.levels)})
        return {"matcher": {"id": "byName", "options": self.title}, "properties": properties}


def query(expr: str, legend: str = "__auto", *, instant: bool = False) -> Query:
    """One query of a panel; `legend` is a Grafana template such as `{{node}}/gpu{{index}}`."""
    return Query(expr=expr, legend=legend, instant=instant)


def title_of(metric: Metric) -> str:
    """Words of the metric's name without prefix and unit: `accel_memory_used_bytes` is "Memory used"."""
    name = metric.name.removesuffix("_total").removesuffix("_info")
    name = name.removesuffix(f"_{metric.unit.value}") if metric.unit.value else name
    for prefix in _PREFIXES:
        name = name.removeprefix(prefix)
    return name.replace("_", " ").capitalize()


def graph(  # noqa: PLR0913 - a graph has that many looks, all with defaults
    metric: Metric,
    *queries: Query,
    title: str = "",
    note: str = "",
    width: int = 12,
    height: int = 8,
    stacked: bool = False,
    unit: str = "",
) -> Panel:
    """Lines over time; `note` is added to the row's own help text."""
    shown = unit or unit_of(metric)
    return Panel(
        kind="timeseries",
        title=title or title_of(metric),
        description=_description(metric, note),
        width=width,
        height=height,
        targets=_numbered(queries),
        options={
            "legend": {
                "calcs": ["lastNotNull", "max"],
                "displayMode": "table",
                "placement": "bottom",
                "showLegend": True,
            },
            "tooltip": {"hideZeros": False, "mode": "multi", "sort": "desc"},
        },
        defaults={
            "color": {"mode": "palette-classic"},
            "custom": {
                **({"axisSoftMax": _LEAST_TOPS[shown]} if shown in _LEAST_TOPS else {}),
                "drawStyle": "line",
                "fillOpacity": 60 if stacked else 8,
                "lineWidth": 1,
                "showPoints": "auto",
                "spanNulls": False,
                "stacking": {"group": "A", "mode": "normal" if stacked else "none"},
            },
            "noValue": ABSENT,
            "unit": shown,
            **_range(metric, shown),
        },
    )


def stat(  # noqa: PLR0913 - a figure has that many looks, all with defaults
    metric: Metric,
    expr: str,
    *,
    title: str = "",
    note: str = "",
    width: int = 4,
    height: int = 4,
    levels: Levels = Levels(),
    unit: str = "",
    absent: str = ABSENT,
) -> Panel:
    """One figure: the newest value of an instant query, never an average over the chosen time."""
    return Panel(
        kind="stat",
        title=title or title_of(metric),
        description=_description(metric, note),
        width=width,
        height=height,
        targets=_numbered([query(expr, instant=True)]),
        options={
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "auto",
            "orientation": "auto",
            "percentChangeColorMode": "standard",
            "reduceOptions": _REDUCE_LAST,
            "showPercentChange": False,
            "textMode": "auto",
            "wideLayout": True,
        },
        defaults={
            "color": {"mode": "thresholds"},
            "noValue": absent,
            "thresholds": _thresholds(levels),
            "unit": unit or unit_of(metric),
        },
    )


def bar_gauge(  # noqa: PLR0913 - a gauge has that many looks, all with defaults
    metric: Metric,
    expr: str,
    legend: str,
    *,
    title: str = "",
    note: str = "",
    width: int = 8,
    height: int = 8,
    levels: Levels = Levels(),
    unit: str = "",
) -> Panel:
    """One bar per series, newest values."""
    shown = unit or unit_of(metric)
    return Panel(
        kind="bargauge",
        title=title or title_of(metric),
        description=_description(metric, note),
        width=width,
        height=height,
        targets=_numbered([query(expr, legend, instant=True)]),
        options={
            "displayMode": "basic",
            "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
            "maxVizHeight": 300,
            "minVizHeight": 16,
            "minVizWidth": 8,
            "namePlacement": "left",
            "orientation": "horizontal",
            "reduceOptions": _REDUCE_LAST,
            "showUnfilled": True,
            "sizing": "auto",
            "valueMode": "color",
        },
        defaults={
            "color": {"mode": "thresholds"},
            "noValue": ABSENT,
            "thresholds": _thresholds(levels),
            "unit": shown,
            **({"min": 0} | _range(metric, shown)),
        },
    )


def state_timeline(  # noqa: PLR0913 - a timeline has that many looks, all with defaults
    metric: Metric,
    expr: str,
    legend: str,
    *,
    states: Sequence[str] = (),
    title: str = "",
    note: str = "",
    width: int = 24,
    height: int = 8,
) -> Panel:
    """One lane per series; the numbers that the query returns are shown by their names, never by color alone."""
    return Panel(
        kind="state-timeline",
        title=title or title_of(metric),
        description=_description(metric, note),
        width=width,
        height=height,
        targets=_numbered([query(expr, legend)]),
        options={
            "alignValue": "left",
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": True},
            "mergeValues": True,
            "perPage": 24,
            "rowHeight": 0.85,
            "showValue": "auto",
            "tooltip": {"mode": "single", "sort": "none"},
        },
        defaults={
            "color": {"mode": "thresholds"},
            "custom": {"fillOpacity": 70, "lineWidth": 0, "spanNulls": False},
            "mappings": _mappings(states or metric.states),
            "noValue": ABSENT,
            "thresholds": _thresholds(Levels()),
            "unit": unit_of(metric),
        },
    )


def status_history(  # noqa: PLR0913 - a history has that many looks, all with defaults
    metric: Metric,
    expr: str,
    legend: str,
    *,
    title: str = "",
    note: str = "",
    width: int = 24,
    height: int = 10,
) -> Panel:
    """One row of cells per series, the fuller the brighter: a whole node or fleet at a glance."""
    shown = unit_of(metric)
    return Panel(
        kind="status-history",
        title=title or title_of(metric),
        description=_description(metric, note),
        width=width,
        height=height,
        targets=_numbered([query(expr, legend)]),
        options={
            "colWidth": 0.95,
            "legend": {"displayMode": "list", "placement": "bottom", "showLegend": False},
            "perPage": 32,
            "rowHeight": 0.9,
            "showValue": "never",
            "tooltip": {"mode": "single", "sort": "none"},
        },
        defaults={
            "color": {"mode": "continuous-viridis"},
            "custom": {"fillOpacity": 90, "lineWidth": 0},
            "noValue": ABSENT,
            "thresholds": _thresholds(Levels()),
            "unit": shown,
            **_range(metric, shown),
        },
        max_points=60,
    )


def heatmap(  # noqa: PLR0913 - as above
    metric: Metric, expr: str, *, title: str = "", note: str = "", width: int = 12, height: int = 8
) -> Panel:
    """A histogram over time: one column per step, the buckets on the axis, time or counts as color.

    `expr` keeps the label `le`.
    """
    return Panel(
        kind="heatmap",
        title=title or title_of(metric),
        description=_description(metric, note),
        width=width,
        height=height,
        targets=_numbered([Query(expr=expr, legend="{{le}}", format="heatmap")]),
        options={
            "calculate": False,
            "cellGap": 1,
            "color": {
                "exponent": 0.5,
                "fill": "dark-orange",
                "mode": "scheme",
                "reverse": False,
                "scale": "exponential",
                "scheme": "Viridis",
                "steps": 64,
            },
            "exemplars": {"color": "rgba(255,0,255,0.7)"},
            "filterValues": {"le": 1e-9},
            "legend": {"show": True},
            "rowsFrame": {"layout": "auto"},
            "tooltip": {"mode": "single", "showColorScale": False, "yHistogram": False},
            "yAxis": {"axisPlacement": "left", "reverse": False, "unit": GRAFANA_UNITS[metric.unit]},
        },
        defaults={
            "custom": {"hideFrom": {"legend": False, "tooltip": False, "viz": False}},
            "noValue": ABSENT,
            "unit": "percentunit",
        },
        max_points=120,
    )  # fmt: skip


def node_graph(  # noqa: PLR0913 - nodes and edges with their looks
    title: str, nodes: str, edges: str, *, description: str, width: int = 24, height: int = 14, unit: str = "short"
) -> Panel:
    """Circles and arrows: `nodes` has the labels id and title, `edges` id, source and target; values stand beside them.

    https://grafana.com/docs/grafana/latest/panels-visualizations/visualizations/node-graph/#data-api
    """
    targets = [Query(expr=expr, instant=True, format="table") for expr in (nodes, edges)]
    return Panel(
        kind="nodeGraph",
        title=title,
        description=description,
        width=width,
        height=height,
        targets=_numbered(targets),
        options={"edges": {}, "nodes": {}, "zoomMode": "cooperative"},
        defaults={"noValue": ABSENT, "unit": unit},
        transformations=[
            {
                "id": "organize",
                "options": {
                    "excludeByName": {"Time": True},
                    "renameByName": {"Value": "mainstat", "Value #A": "mainstat", "Value #B": "mainstat"},
                },
            }
        ],
    )


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
        targets=_numbered(targets),
        options={"cellHeight": "sm", "showHeader": True},
        defaults={
            "custom": {"align": "auto", "cellOptions": {"type": "auto"}, "filterable": True, "inspect": False},
            "noValue": ABSENT,
            "thresholds": _thresholds(Levels()),
            "unit": "short",
        },
        overrides=[
            *(column.override() for column in columns if not column.hidden),
            *(_link(heading, url) for heading, url in (links or {}).items()),
        ],
        transformations=[{"id": "merge", "options": {}}, _organize(columns, keys)],
    )


def _organize(columns: Sequence[Column], keys: Mapping[str, str]) -> Json:
    fields = {f"Value #{_letter(number)}": column for number, column in enumerate(columns)}
    order = [*keys, *fields]
    return {
        "id": "organize",
        "options": {
            "excludeByName": {"Time": True, **{name: True for name, column in fields.items() if column.hidden}},
            "indexByName": {name: number for number, name in enumerate(order)},
            "renameByName": {**keys, **{name: column.title for name, column in fields.items() if not column.hidden}},
        },
    }


def _link(heading: str, url: str) -> Json:
    link = {"targetBlank": False, "title": f"Open {heading.lower()}", "url": url}
    return {"matcher": {"id": "byName", "options": heading}, "properties": [{"id": "links", "value": [link]}]}


def _numbered(queries: Sequence[Query]) -> list[Query]:
    for number, one in enumerate(queries):
        one.refId = _letter(number)
    return list(queries)


def _letter(number: int) -> str:
    return chr(ord("A") + number)


def _thresholds(levels: Levels) -> Json:
    return {"mode": "absolute", "steps": levels.steps()}


def _mappings(states: Sequence[str]) -> list[Json]:
    names = {
        str(number): {"color": _color(number, state), "index": number, "text": state.replace("_", " ")}
        for number, state in enumerate(states)
    }
    return [{"options": names, "type": "value"}]


def _color(number: int, state: str) -> str:
    return _COLORS.get(state, _PALETTE[number % len(_PALETTE)])


def _description(metric: Metric, note: str) -> str:
    return f"{metric.help} {note}".strip()


def _range(metric: Metric, shown: str) -> Json:
    """Bounds of an axis: ratios end at 1, everything but temperatures starts at 0."""
    if shown == "percentunit" and metric.unit is Unit.RATIO:
        return {"max": 1, "min": 0}
    return {} if metric.unit in {Unit.CELSIUS, Unit.TIMESTAMP} else {"min": 0}
