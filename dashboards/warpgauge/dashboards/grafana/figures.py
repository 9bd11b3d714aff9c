"""Newest values as figures and bars, made from catalog rows."""

from __future__ import annotations

from typing import TYPE_CHECKING

from warpgauge.dashboards.grafana.model import Panel
from warpgauge.dashboards.grafana.parts import (
    ABSENT,
    NEUTRAL,
    REDUCE_LAST,
    Levels,
    bounds,
    description_of,
    numbered,
    query,
    thresholds,
    title_of,
)
from warpgauge.dashboards.grafana.units import unit_of

if TYPE_CHECKING:
    from warpgauge.core.catalog import Metric

__all__ = ["bar_gauge", "stat"]


def stat(  # noqa: PLR0913 - a figure has that many looks, all with defaults
    metric: Metric,
    expr: str,
    *,
    title: str = "",
    note: str = "",
    width: int = 4,
    height: int = 4,
    levels: Levels = NEUTRAL,
    unit: str = "",
    absent: str = ABSENT,
) -> Panel:
    """One figure: the newest value of an instant query, never an average over the chosen time."""
    return Panel(
        kind="stat",
        title=title or title_of(metric),
        description=description_of(metric, note),
        width=width,
        height=height,
        targets=numbered([query(expr, instant=True)]),
        options={
            "colorMode": "value",
            "graphMode": "none",
            "justifyMode": "auto",
            "orientation": "auto",
            "percentChangeColorMode": "standard",
            "reduceOptions": REDUCE_LAST,
            "showPercentChange": False,
            "textMode": "auto",
            "wideLayout": True,
        },
        defaults={
            "color": {"mode": "thresholds"},
            "noValue": absent,
            "thresholds": thresholds(levels),
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
    levels: Levels = NEUTRAL,
    unit: str = "",
) -> Panel:
    """One bar per series, newest values."""
    shown = unit or unit_of(metric)
    return Panel(
        kind="bargauge",
        title=title or title_of(metric),
        description=description_of(metric, note),
        width=width,
        height=height,
        targets=numbered([query(expr, legend, instant=True)]),
        options={
            "displayMode": "basic",
            "legend": {"calcs": [], "displayMode": "list", "placement": "bottom", "showLegend": False},
            "maxVizHeight": 300,
            "minVizHeight": 16,
            "minVizWidth": 8,
            "namePlacement": "left",
            "orientation": "horizontal",
            "reduceOptions": REDUCE_LAST,
            "showUnfilled": True,
            "sizing": "auto",
            "valueMode": "color",
        },
        defaults={
            "color": {"mode": "thresholds"},
            "noValue": ABSENT,
            "thresholds": thresholds(levels),
            "unit": shown,
            **({"min": 0} | bounds(metric, shown)),
        },
    )
