"""Current Classic dashboard JSON (schemaVersion 42) from grafanalib's objects; the only importer of grafanalib.

grafanalib 0.7.1 still emits schemaVersion 12 with removed keys, halved resolution and panel models that Grafana
dropped, so its classes are kept as carriers and each says here what it writes. Grafana's own SDK reads the result
back without dropping a field (tests/dashboards/test_sdk_round_trip.py).
"""

from __future__ import annotations

import json
import zlib
from typing import Any, Final, TypeVar, cast

import attr
from grafanalib import core
from grafanalib._gen import DashboardEncoder

__all__ = [
    "DATASOURCE",
    "SCHEMA_VERSION",
    "Dashboard",
    "Panel",
    "Query",
    "Row",
    "Variable",
    "changed",
    "encode",
    "grid",
    "stable_id",
]

SCHEMA_VERSION: Final = 42
DATASOURCE: Final = {"type": "prometheus", "uid": "${datasource}"}

Json = dict[str, Any]
_PartT = TypeVar("_PartT")


@attr.s(auto_attribs=True, kw_only=True)
class Query(core.Target):  # type: ignore[misc]  # grafanalib ships no types
    """One PromQL query; `legend` is a Grafana legend template, "__auto" lists the labels."""

    expr: str
    legend: str = "__auto"
    instant: bool = False
    format: str = "time_series"
    refId: str = ""  # noqa: N815 - grafanalib's name

    def to_json_data(self) -> Json:
        """Write a query as Grafana's own editor would save it."""
        return {
            "datasource": DATASOURCE,
            "editorMode": "code",
            "expr": self.expr,
            "format": self.format,
            "instant": self.instant,
            "legendFormat": self.legend,
            "range": not self.instant,
            "refId": self.refId,
        }


@attr.s(auto_attribs=True, kw_only=True)
class Panel(core.Panel):  # type: ignore[misc]  # grafanalib ships no types
    """A panel of any current plugin; `width` and `height` are what the flow layout places."""

    title: str
    description: str
    kind: str
    width: int
    height: int
    targets: list[Query]
    options: Json
    defaults: Json
    overrides: list[Json] = attr.Factory(list)
    transformations: list[Json] = attr.Factory(list)
    max_points: int | None = None  # columns of a panel of cells; Grafana's own choice, one per pixel, else
    gridPos: core.GridPos | None = None  # noqa: N815 - grafanalib's name
    id: int | None = None

    def to_json_data(self) -> Json:
        """Write the panel without the keys that say nothing."""
        return _pruned(
            {
                "datasource": DATASOURCE,
                "description": self.description,
                "fieldConfig": {"defaults": self.defaults, "overrides": self.overrides},
                "gridPos": self.gridPos,
                "id": self.id,
                "maxDataPoints": self.max_points,
                "options": self.options,
                "targets": self.targets,
                "title": self.title,
                "transformations": self.transformations,
                "type": self.kind,
            }
        )


@attr.s(auto_attribs=True, kw_only=True)
class Row(core.RowPanel):  # type: ignore[misc]  # grafanalib ships no types
    """A heading; the panels below it follow in the list, or stand inside it while collapsed."""

    title: str
    gridPos: core.GridPos  # noqa: N815 - grafanalib's name
    id: int
    collapsed: bool = False
    panels: list[Panel] = attr.Factory(list)

    def to_json_data(self) -> Json:
        """Write the row header."""
        return {
            "collapsed": self.collapsed,
            "gridPos": self.gridPos,
            "id": self.id,
            "panels": self.panels,
            "title": self.title,
            "type": "row",
        }


@attr.s(auto_attribs=True, kw_only=True)
class Variable(core.Template):  # type: ignore[misc]  # grafanalib ships no types
    """A drop-down: all data sources of type Prometheus, or the values of a label; or a box for a number."""

    name: str
    label: str
    query: str
    type: str = "query"
    chosen: str = ""  # of data sources: the uid at first; empty means Grafana's default one

    def to_json_data(self) -> Json:
        """Write the variable; label variables are read anew with each change of the time range."""
        common = {"hide": 0, "label": self.label, "name": self.name, "skipUrlSync": False, "type": self.type}
        if self.type == "textbox":
            return {**common, "current": {"text": self.query, "value": self.query}, "query": self.query}
        if self.type == "datasource":
            return {
                **common,
                "current": {"text": self.chosen or "default", "value": self.chosen or "default"},
                "multi": False,
                "query": self.query,
                "refresh": 1,
                "regex": "",
            }
        return {
            **common,
            "allValue": ".+",
            "current": {"text": "All", "value": "$__all"},
            "datasource": DATASOURCE,
            "definition": self.query,
            "includeAll": True,
            "multi": True,
            "query": {"qryType": 1, "query": self.query, "refId": "StandardVariableQuery"},
            "refresh": 2,
            "regex": "",
            "sort": 7,  # natural order: node-2 before node-10
        }


@attr.s(auto_attribs=True, kw_only=True)
class Dashboard(core.Dashboard):  # type: ignore[misc]  # grafanalib ships no types
    """A dashboard that Grafana 11 and newer load as it is, without a migration."""

    title: str
    uid: str
    description: str
    tags: list[str]
    templating: list[Variable]
    annotations: list[Json]
    links: list[Json]
    panels: list[Panel | Row]
    refresh: str = "30s"
    time_from: str = "now-1h"

    def to_json_data(self) -> Json:
        """Write the dashboard; no `id`, so that any Grafana can take it, and a constant version."""
        return {
            "annotations": {"list": self.annotations},
            "description": self.description,
            "editable": False,
            "fiscalYearStartMonth": 0,
            "graphTooltip": 1,
            "links": self.links,
            "panels": self.panels,
            "preload": False,
            "refresh": self.refresh,
            "schemaVersion": SCHEMA_VERSION,
            "tags": self.tags,
            "templating": {"list": self.templating},
            "time": {"from": self.time_from, "to": "now"},
            "timepicker": {"refresh_intervals": ["10s", "30s", "1m", "5m"]},
            "timezone": "browser",
            "title": self.title,
            "uid": self.uid,
            "version": 1,
            "weekStart": "",
        }


def changed(part: _PartT, **fields: Any) -> _PartT:  # noqa: ANN401 - of any part its own fields
    """A dashboard, panel, query or variable with other values in some of its fields."""
    return cast(_PartT, attr.evolve(cast(Any, part), **fields))


def grid(*, x: int, y: int, width: int, height: int) -> core.GridPos:
    """Place in the 24-column grid."""
    return core.GridPos(x=x, y=y, w=width, h=height)


def stable_id(*path: str) -> int:
    """Panel id from its titles: links to a panel survive that others come and go."""
    return zlib.crc32("/".join(path).encode()) % 1_000_000 + 1


def encode(dashboard: Dashboard) -> str:
    """JSON text with sorted keys, two spaces and a final newline: the same bytes on every machine."""
    text = json.dumps(dashboard, cls=DashboardEncoder, sort_keys=True, indent=2, ensure_ascii=False)
    return f"{text}\n"


def _pruned(document: Json) -> Json:
    return {key: value for key, value in document.items() if value not in (None, "", [])}
