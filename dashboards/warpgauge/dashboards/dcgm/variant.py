"""A dashboard of ours over dcgm-exporter's series: the same panels, without what the exporter cannot tell."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.dcgm import FIELDS
from warpgauge.core.links import dashboard_path, dashboard_uid
from warpgauge.dashboards import grafana
from warpgauge.dashboards.dcgm.instead import INSTEAD, LEFT_OUT, SECTIONS, TEXTS
from warpgauge.dashboards.dcgm.rows import INVENTORY, LABELS
from warpgauge.dashboards.dcgm.words import expression, legend
from warpgauge.dashboards.grafana import Panel, Row, Section, Variable, changed
from warpgauge.dashboards.grafana.layout import COLUMNS

if TYPE_CHECKING:
    from collections.abc import Collection, Iterable, Mapping, Sequence

    from warpgauge.dashboards.grafana import Dashboard, Query

__all__ = ["PREFIX", "variant"]

PREFIX: Final = "dcgm-"

_FIELD: Final = re.compile(r"DCGM_\w+")
_OFF: Final = frozenset(one.name for one in FIELDS if not one.is_default)
_HEADINGS: Final = {"Job": "Pod", "User": "Namespace"}
_BY_LABEL: Final = ("excludeByName", "indexByName", "renameByName")
_XIDS: Final = 'count_values by (cluster, Hostname, UUID) ("xid", DCGM_FI_DEV_XID_ERRORS{{Hostname=~"$node"}} {})'
_MARKS: Final[Mapping[str, Mapping[str, str]]] = {
    "Alerts": {"expr": 'ALERTS{alertstate="firing",node=~"$node"}'},  # the rules over DCGM's series name it so
    "Driver errors": {
        # The code is a label too, so another one is another series: `changes` sees none.
        "expr": f"{_XIDS.format('> 0')} unless {_XIDS.format('offset 5m')}",
        "textFormat": "{{Hostname}} {{UUID}}",
    },
}

Json = dict[str, Any]


def variant(own: Dashboard, name: str, description: str, others: Collection[str]) -> Dashboard:
    """The dashboard `name` over DCGM's series; `others` are the dashboards that links may lead to."""
    chosen = [one.name for one in own.templating if one.name in {"node", "uuid"}]
    where = ",".join(f'{LABELS[one]}=~"${one}"' for one in chosen)
    return changed(
        own,
        uid=dashboard_uid(f"{PREFIX}{name}"),
        title=own.title.replace("/ ", "/ DCGM ").replace(f"DCGM {name.capitalize()}", f"DCGM {name}"),
        description=description,
        templating=list(_variables(own.templating)),
        annotations=[{**mark, **_MARKS.get(mark["name"], {})} for mark in own.annotations],
        panels=grafana.flow(list(_sections(own.panels, where, others))),
    )


def _variables(own: Sequence[Variable]) -> Iterable[Variable]:
    """Devices by node and uuid; a cluster is the site's to choose by, its targets may have no such label."""
    queries = {
        "node": f"label_values({INVENTORY}, Hostname)",
        "uuid": f'label_values({INVENTORY}{{Hostname=~"$node"}}, UUID)',
    }
    for one in own:
        if one.name in queries:
            yield changed(one, query=queries[one.name])
        elif one.name != "cluster":
            yield one


def _sections(panels: Sequence[Panel | Row], where: str, others: Collection[str]) -> Iterable[Section]:
    title, kept = "", list[Panel]()
    for one in [*panels, None]:
        if isinstance(one, Panel):
            kept += [told for told in (_panel(one, where, others),) if told is not None]
            continue
        if kept:
            yield Section(SECTIONS.get(title, title), tuple(_stretched(kept)))
        title, kept = one.title if one else "", []


def _stretched(panels: Sequence[Panel]) -> Iterable[Panel]:
    """The panels, the last of each line as wide as there is room; figures stay as small as they are."""
    taken = 0
    for panel, following in zip(panels, [*panels[1:], None], strict=True):
        taken = (taken if taken + panel.width <= COLUMNS else 0) + panel.width
        is_last = following is None or taken + following.width > COLUMNS
        room = COLUMNS - taken if is_last and panel.kind != "stat" else 0
        yield changed(panel, width=panel.width + room)


def _panel(own: Panel, where: str, others: Collection[str]) -> Panel | None:
    if (own.title, own.kind) in INSTEAD:
        return INSTEAD[own.title, own.kind](where)
    told = {one.refId: expr for one in own.targets if (expr := expression(one.expr, one.legend)) is not None}
    is_whole = len(told) == len(own.targets)
    if not told or own.title in LEFT_OUT or (own.kind == "nodeGraph" and not is_whole):
        return None
    title, description = TEXTS.get(own.title, (own.title, own.description))
    return changed(
        own,
        title=title,
        description=f"{description} {_sources(told.values())}",
        targets=[_query(one, told[one.refId]) for one in own.targets if one.refId in told],
        transformations=[_step(step, own.targets, told) for step in own.transformations],
        overrides=[kept for one in own.overrides if (kept := _override(one, _headings(own, told), others))],
    )


def _query(own: Query, expr: str) -> Query:
    return changed(own, expr=expr, legend=legend(own.legend))


def _sources(told: Iterable[str]) -> str:
    """Which fields it is read from, and which of them a person has to switch on first."""
    names = sorted(set(_FIELD.findall(" ".join(told))))
    off = [name for name in names if name in _OFF]
    return f"From {', '.join(names)}." + (f" Off in the exporter's own list: {', '.join(off)}." if off else "")


def _step(step: Json, targets: Sequence[Query], told: Mapping[str, str]) -> Json:
    """Columns under the exporter's labels, without those that are gone."""
    if step["id"] != "organize":
        return step
    gone = {f"Value #{one.refId}" for one in targets if one.refId not in told}
    alone = {f"Value #{name}": "Value" for name in told} if len(told) == 1 else {}  # then Grafana adds no letter
    parts = {
        part: {
            alone.get(name, LABELS.get(name, name)): _HEADINGS.get(value, value) if isinstance(value, str) else value
            for name, value in step["options"][part].items()
            if name not in gone
        }
        for part in _BY_LABEL
        if part in step["options"]
    }
    return {**step, "options": {**step["options"], **parts}}


def _headings(own: Panel, told: Mapping[str, str]) -> set[str]:
    """Headings of the columns that stay."""
    renamed = [step["options"]["renameByName"] for step in own.transformations if step["id"] == "organize"]
    lost = {f"Value #{one.refId}" for one in own.targets if one.refId not in told}
    return {heading for names in renamed for name, heading in names.items() if name not in lost}


def _override(override: Json, headings: Collection[str], others: Collection[str]) -> Json | None:
    heading = override["matcher"]["options"]
    if heading not in headings:
        return None
    properties = [kept for one in override["properties"] if (kept := _property(one, others))]
    matcher = {**override["matcher"], "options": _HEADINGS.get(heading, heading)}
    return {"matcher": matcher, "properties": properties} if properties else None


def _property(one: Json, others: Collection[str]) -> Json | None:
    """The property; of links those to dashboards that there are, without the cluster, which none of them chooses by."""
    if one["id"] != "links":
        return one
    found = {dashboard_path(name): dashboard_path(f"{PREFIX}{name}") for name in others}
    links = []
    for link in one["value"]:
        path, _, query = link["url"].partition("?")
        if path in found:
            query = query.replace("&var-cluster=${__data.fields.Cluster}", "")
            links.append({**link, "url": f"{found[path]}?{query}"})
    return {**one, "value": links} if links else None
