"""grafana/dashboard-linter's rules over our own parser, for any site; the Go program itself is not run here.

Not held to: target-job and target-instance. Our places are `cluster` and `node` (of DCGM `Hostname` and `UUID`), which
stay when a pod is replaced, and these are asked of every selector instead.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

from tests.dcgm_series import DCGM_SERIES
from tests.promql_lint import PARTS, Lint, parsed
from warpgauge.core.catalog import BY_NAME, Family
from warpgauge.dashboards.grafana.units import GRAFANA_UNITS

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warpgauge.dashboards.site import Site

__all__ = ["DashboardLint"]

UNITS: Final = {*GRAFANA_UNITS.values(), "cps", "currencyUSD", "none"}
FIGURES: Final = {"stat", "timeseries", "gauge", "bargauge"}
ANALYZERS: Final = {
    f"{row.name}{part}" for row in BY_NAME.values() if row.family is Family.ANALYZER for part in ("", *PARTS)
}
CHOSEN: Final = {
    "datasource": {"type": "prometheus", "uid": "${datasource}"},
}


@dataclass(frozen=True)
class DashboardLint:
    """Says what is wrong in a dashboard of a site, each in a line that begins with the rule's name."""

    site: Site

    def complaints(self, document: dict[str, Any]) -> Iterator[str]:
        if document["editable"]:
            yield "uneditable-dashboard"
        yield from self._variables(document["templating"]["list"])
        for panel in document["panels"]:
            if panel["type"] != "row":
                yield from self._panel(panel)

    def _variables(self, variables: list[dict[str, Any]]) -> Iterator[str]:
        first = variables[0]
        if (first["name"], first["label"], first["type"]) != ("datasource", "Data source", "datasource"):
            yield f"template-datasource-rule: {first['name']}"
        for one in (one for one in variables if one["type"] == "query"):
            found = re.fullmatch(r"label_values\((.+), (\w+)\)", one["query"]["query"])
            if found is None:
                yield f"template-label-promql-rule: {one['name']}"
                continue
            yield from (f"template-label-promql-rule: {text}" for text in self._selectors(found[1], chosen=()))
            if one["refresh"] != 2:
                yield f"template-on-time-change-reload-rule: {one['name']}"
            if (one["allValue"], one["multi"], one["datasource"]) != (".+", True, CHOSEN["datasource"]):
                yield f"template-rule: {one['name']}"

    def _panel(self, panel: dict[str, Any]) -> Iterator[str]:
        title = panel["title"]
        if not panel["targets"]:
            yield f"panel-no-targets-rule: {title}"
        if panel["datasource"] != CHOSEN["datasource"]:
            yield f"panel-datasource-rule: {title}"
        if panel["type"] in FIGURES and not (title and panel["description"]):
            yield f"panel-title-description-rule: {title}"
        if panel["type"] in FIGURES and panel["fieldConfig"]["defaults"]["unit"] not in UNITS:
            yield f"panel-units-rule: {title}: {panel['fieldConfig']['defaults']['unit']}"
        for target in panel["targets"]:
            yield from (f"{complaint} ({title})" for complaint in self._target(target))

    def _target(self, target: dict[str, Any]) -> Iterator[str]:
        expression = target["expr"]
        yield from (f"target-rate-interval-rule: [{found}]" for found in _fixed_ranges(expression))
        yield from self._selectors(expression, chosen=tuple(self.site.extra_variables))
        yield from (f"target-promql-rule: {text}" for text in self._lint.complaints(expression))
        keeps = self._lint.labels_of(expression)
        yield from (f"legend: {gone}" for gone in set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) - keeps)

    def _selectors(self, expression: str, *, chosen: tuple[str, ...]) -> Iterator[str]:
        """Every series of an expression that does not follow what the site and the person chose."""
        asked = set(re.findall(r"(\w+)(?:=~|!~|!=|=)", self.site.selector))
        for one in self._lint.selectors(expression):
            places = {matcher.name: matcher.value for matcher in one.matchers.matchers}
            if not asked <= places.keys():
                yield f"site-selector: {one.name}"
            if one.name not in ANALYZERS and not {label: f"${label}" for label in chosen}.items() <= places.items():
                yield f"site-variables: {one.name}"
            if places.keys() & {"cluster"} - {self.site.cluster_label}:
                yield f"site-cluster: {one.name}"

    @property
    def _lint(self) -> Lint:
        own = set(re.findall(r"(\w+)(?:=~|!~|!=|=)", self.site.selector))
        return Lint(
            foreign=DCGM_SERIES, site_labels=frozenset({self.site.cluster_label, *own, *self.site.extra_variables})
        )


def _fixed_ranges(expression: str) -> list[str]:
    parsed(expression)  # target-promql-rule: a syntax error ends the test
    return [found for found in re.findall(r"\[(.+?)\]", expression) if found not in {"$__rate_interval", "$__range"}]
