"""Circles and arrows."""

from __future__ import annotations

from warpgauge.dashboards.grafana.model import Panel, Query
from warpgauge.dashboards.grafana.parts import (
    ABSENT,
    numbered,
)

__all__ = ["node_graph"]


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
        targets=numbered(targets),
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
