"""Drop-downs, links and annotations that every dashboard has."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.catalog import device
from warpgauge.core.promql import LabelValue, Matches, aggregate, increase, matchers
from warpgauge.dashboards.grafana.model import DATASOURCE, Variable

if TYPE_CHECKING:
    from warpgauge.core.catalog import Metric

__all__ = [
    "ALERTS_EXPRESSION",
    "TAG",
    "XIDS_EXPRESSION",
    "chosen",
    "datasource",
    "links",
    "marks",
    "number_box",
    "values_of",
]

TAG: Final = "warpgauge"
ALERTS_EXPRESSION: Final = 'ALERTS{alertstate="firing",cluster=~"$cluster",node=~"$node"}'


XIDS_EXPRESSION: Final = f"""{
    aggregate(
        "sum",
        increase(device.XID_EVENTS, "5m", cluster=Matches("$cluster"), node=Matches("$node")),
        by=("cluster", "node", "uuid", "xid"),
    )
} > 0"""


def datasource() -> Variable:
    """The Prometheus that all panels read."""
    return Variable(name="datasource", label="Data source", type="datasource", query="prometheus")


def values_of(label: str, metric: Metric, *, title: str, within: tuple[str, ...] = ()) -> Variable:
    """Values of a label on an inventory metric that always exists, narrowed by the variables before it."""
    block = matchers(metric, **chosen(*within))
    return Variable(name=label, label=title, query=f"label_values({metric.name}{block}, {label})")


def number_box(name: str, *, title: str, default: str) -> Variable:
    """A number that the person may change, for queries that multiply by it."""
    return Variable(name=name, label=title, type="textbox", query=default)


def chosen(*variables: str) -> dict[str, LabelValue]:
    """Matchers for what the person chose: `cluster=~"$cluster"`."""
    return {name: Matches(f"${name}") for name in variables}


def links() -> list[dict[str, Any]]:
    """One menu of all our dashboards; the time range and the chosen values go along."""
    return [
        {
            "asDropdown": True,
            "icon": "external link",
            "includeVars": True,
            "keepTime": True,
            "tags": [TAG],
            "targetBlank": False,
            "title": "warpgauge",
            "tooltip": "",
            "type": "dashboards",
            "url": "",
        }
    ]


def marks() -> list[dict[str, Any]]:
    """Grafana's own notes, and marks where an alert fired and where the driver reported an error."""
    return [
        {
            "builtIn": 1,
            "datasource": {"type": "grafana", "uid": "-- Grafana --"},
            "enable": True,
            "hide": True,
            "iconColor": "rgba(0, 211, 255, 1)",
            "name": "Annotations & Alerts",
            "type": "dashboard",
        },
        {
            "datasource": DATASOURCE,
            "enable": True,
            "expr": ALERTS_EXPRESSION,
            "hide": False,
            "iconColor": "orange",
            "name": "Alerts",
            "step": "30s",
            "tagKeys": "severity,scope",
            "textFormat": "{{node}} {{uuid}}",
            "titleFormat": "{{alertname}}",
        },
        {
            "datasource": DATASOURCE,
            "enable": True,
            "expr": XIDS_EXPRESSION,
            "hide": False,
            "iconColor": "red",
            "name": "Driver errors",
            "step": "60s",
            "tagKeys": "xid",
            "textFormat": "{{node}} {{uuid}}",
            "titleFormat": "XID {{xid}}",
        },
    ]
