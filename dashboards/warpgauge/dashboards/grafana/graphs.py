"""Lines and distributions over time, made from catalog rows."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.dashboards.grafana.model import Panel, Query
from warpgauge.dashboards.grafana.parts import (
    ABSENT,
    bounds,
    description_of,
    numbered,
    title_of,
)
from warpgauge.dashboards.grafana.units import GRAFANA_UNITS, unit_of

if TYPE_CHECKING:
    from warpgauge.core.catalog import Metric

__all__ = ["graph", "heatmap"]

_ROOM_FOR_A_LEGEND: Final = 12  # columns; below it would leave the lines too little
_LEAST_TOPS: Final = {"percentunit": 0.01, "short": 1, "cps": 1}
"""How high an axis is at least: else Grafana draws a flat zero on 0 to 100, and noise as a mountain."""


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
        description=description_of(metric, note),
        width=width,
        height=height,
        targets=numbered(queries),
        options={
            "legend": {
                "calcs": ["lastNotNull", "max"],
                "displayMode": "table",
                "placement": "right" if width >= _ROOM_FOR_A_LEGEND else "bottom",
                "showLegend": True,
                "sortBy": "Max",  # the worst first: of many lines a legend shows a few
                "sortDesc": True,
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
            **({"decimals": 1} if shown == "percentunit" else {}),
            "noValue": ABSENT,
            "unit": shown,
            **bounds(metric, shown),
        },
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
        description=description_of(metric, note),
        width=width,
        height=height,
        targets=numbered([Query(expr=expr, legend="{{le}}", format="heatmap")]),
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
