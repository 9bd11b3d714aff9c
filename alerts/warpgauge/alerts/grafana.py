"""The alerts as Grafana-managed ones, in Grafana's file provisioning (apiVersion 1).

They ask the same Prometheus, and recorded series must still be recorded there. Our tests never load them into a running
Grafana: the file is checked against Grafana's own model of a rule, no more.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from warpgauge.alerts.rule import Rule

if TYPE_CHECKING:
    from collections.abc import Iterable

    from warpgauge.alerts.rule import Group
    from warpgauge.alerts.site import Site

__all__ = ["DATASOURCE_UID", "document"]

DATASOURCE_UID: Final = "warpgauge-prometheus"
"""The uid that the Prometheus must have in Grafana, as in the data source that the dashboards' provisioning makes."""

_EXPRESSIONS: Final = "__expr__"
_QUERY, _CONDITION = "A", "B"
_LOOK_BACK_SECONDS: Final = 600
_UID_MAX: Final = 40  # Grafana refuses longer ones


def document(groups: Iterable[Group], site: Site) -> dict[str, Any]:
    """Every group's alerts, in the folder warpgauge."""
    return {"apiVersion": 1, "groups": [_group(group, site) for group in groups]}


def _group(group: Group, site: Site) -> dict[str, Any]:
    return {
        "orgId": 1,
        "name": f"warpgauge-{group.name}",
        "folder": "warpgauge",
        "interval": group.interval,
        "rules": [_rule(rule, site) for rule in group.rules_at(site) if isinstance(rule, Rule)],
    }


def _rule(rule: Rule, site: Site) -> dict[str, Any]:
    return {
        "uid": f"warpgauge-{rule.alert}"[:_UID_MAX],
        "title": rule.alert,
        "condition": _CONDITION,
        "data": [_query(rule, site), _is_there()],
        "for": rule.hold_at(site),
        "noDataState": "OK",  # no series is what all is well looks like
        "execErrState": "Error",
        "labels": {**site.extra_labels, **rule.labels_at(site)},
        "annotations": {name: _templated(text) for name, text in rule.annotations(site).items()},
        "isPaused": False,
    }


def _query(rule: Rule, site: Site) -> dict[str, Any]:
    model = {"refId": _QUERY, "expr": rule.expression(site), "instant": True, "range": False}
    return _data(_QUERY, DATASOURCE_UID, model)


def _is_there() -> dict[str, Any]:
    """True for every series of the query, also for one whose value is 0."""
    model = {"refId": _CONDITION, "type": "math", "expression": f"${_QUERY} * 0 + 1"}
    return _data(_CONDITION, _EXPRESSIONS, model)


def _data(ref: str, datasource: str, model: dict[str, Any]) -> dict[str, Any]:
    return {
        "refId": ref,
        "relativeTimeRange": {"from": _LOOK_BACK_SECONDS, "to": 0},
        "datasourceUid": datasource,
        "model": model,
    }


def _templated(text: str) -> str:
    """Prometheus' $value is a number; in Grafana that is a string, and the number stands under the query's name.

    A $ needs no escape: Grafana replaces variables of its environment neither in annotations nor in queries.
    """
    return re.sub(r"\$value\b", f"$values.{_QUERY}.Value", text)
