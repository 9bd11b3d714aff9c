"""A lane per series: states by their names, or cells by their brightness."""

from __future__ import annotations

from typing import TYPE_CHECKING

from warpgauge.dashboards.grafana.model import Panel
from warpgauge.dashboards.grafana.parts import (
    ABSENT,
    bounds,
    description_of,
    mappings,
    numbered,
    query,
    thresholds,
    title_of,
)
from warpgauge.dashboards.grafana.units import unit_of

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.core.catalog import Metric

__all__ = ["state_timeline", "status_history"]


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
        description=description_of(metric, note),
        width=width,
        height=height,
        targets=numbered([query(expr, legend)]),
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
            "mappings": mappings(states or metric.states),
            "noValue": ABSENT,
            "thresholds": thresholds(),
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
        description=description_of(metric, note),
        width=width,
        height=height,
        targets=numbered([query(expr, legend)]),
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
            "thresholds": thresholds(),
            "unit": shown,
            **bounds(metric, shown),
        },
        max_points=60,
    )
