"""A dashboard as one site needs it: queries, legends, columns, links and drop-downs; titles and places stay."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.links import dashboard_path, runbook_path
from warpgauge.core.promql_site import CLUSTER
from warpgauge.dashboards.grafana import Panel, Variable, changed

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.dashboards.grafana import Dashboard, Row
    from warpgauge.dashboards.site import Site

__all__ = ["adapted"]

_TIME: Final = "&${__url_time_range}"  # the end of every link from a table
_KIND: Final = "Kind"
_BY_LABEL: Final = ("excludeByName", "indexByName", "renameByName")

Json = dict[str, Any]


def adapted(dashboard: Dashboard, site: Site) -> Dashboard:
    """The dashboard with everything that the site has otherwise."""
    return changed(
        dashboard,
        tags=[*dashboard.tags, *site.extra_tags],
        refresh=site.refresh,
        time_from=f"now-{site.time_range}",
        templating=_variables(dashboard.templating, site),
        annotations=[_mark(mark, site) for mark in dashboard.annotations],
        panels=[_panel(panel, site) for panel in dashboard.panels],
    )


def _variables(own: Sequence[Variable], site: Site) -> list[Variable]:
    """The data source first, then what the site chooses by, then our own, each narrowed by those before it."""
    first, *rest = own
    inventory = next(found[1] for one in rest if (found := re.match(r"label_values\((\w+)", one.query)))
    chosen = [changed(first, chosen=site.datasource)]
    narrowing = [site.selector] if site.selector else []
    for label, title in site.extra_variables.items():
        block = f"{{{','.join(narrowing)}}}" if narrowing else ""
        chosen.append(Variable(name=label, label=title, query=f"label_values({inventory}{block}, {label})"))
        narrowing.append(f'{label}=~"${label}"')
    return [*chosen, *(changed(one, query=site.adapted(one.query)) for one in rest)]


def _mark(mark: Json, site: Site) -> Json:
    """Alerts are marked by their own labels, which are none of the site's: the name of the cluster is all they have."""
    if "expr" not in mark:
        return mark
    is_alerts = mark["expr"].startswith("ALERTS{")
    return {**mark, "expr": site.relabeled(mark["expr"]) if is_alerts else site.adapted(mark["expr"])}


def _panel(panel: Panel | Row, site: Site) -> Panel | Row:
    if not isinstance(panel, Panel):
        return panel
    return changed(
        panel,
        targets=[changed(one, expr=site.adapted(one.expr), legend=site.relabeled(one.legend)) for one in panel.targets],
        transformations=[_step(step, site) for step in panel.transformations],
        overrides=[*(kept for one in panel.overrides if (kept := _override(one, site))), *_runbooks(panel, site)],
    )


def _step(step: Json, site: Site) -> Json:
    if step["id"] != "organize":
        return step
    renamed = {
        part: {
            (site.cluster_label if name == CLUSTER else name): value for name, value in step["options"][part].items()
        }
        for part in _BY_LABEL
        if part in step["options"]
    }
    return {**step, "options": {**step["options"], **renamed}}


def _override(override: Json, site: Site) -> Json | None:
    """The override; None if all it did was to lead to a dashboard that the site has not."""
    properties = [kept for one in override["properties"] if (kept := _property(one, site))]
    return {**override, "properties": properties} if properties else None


def _property(one: Json, site: Site) -> Json | None:
    if one["id"] != "links":
        return one
    gone = {dashboard_path(name) for name in site.disabled}
    along = "".join(f"&${{{label}:queryparam}}" for label in site.extra_variables)
    kept = [
        {**link, "url": link["url"].replace(_TIME, f"{along}{_TIME}")}
        for link in one["value"]
        if link["url"].partition("?")[0] not in gone
    ]
    return {**one, "value": kept} if kept else None


def _runbooks(panel: Panel, site: Site) -> list[Json]:
    """Behind each kind of finding what it means and how it is mended, and its device on the analyzer's console."""
    columns = [step["options"]["renameByName"] for step in panel.transformations if step["id"] == "organize"]
    if not any(names.get("kind") == _KIND and "severity" in names for names in columns):
        return []  # no table of findings
    places = {
        "Open runbook": f"{site.runbooks_url}{runbook_path('')}${{__value.raw}}",
        "Open console": f"{site.runbooks_url}/#device=${{__data.fields.UUID}}",
    }
    links = [{"targetBlank": True, "title": title, "url": url} for title, url in places.items()]
    return [{"matcher": {"id": "byName", "options": _KIND}, "properties": [{"id": "links", "value": links}]}]
