"""The address that an alert sends a person to: a dashboard that shows what it is about, narrowed to where it is."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any

import pytest

from tests.dcgm_series import DCGM_SERIES
from tests.promql_lint import FOREIGN, Lint, row_of
from warpgauge.alerts import dcgm
from warpgauge.alerts.groups import GROUPS
from warpgauge.alerts.rule import RecordingRule
from warpgauge.alerts.site import Site
from warpgauge.core.links import dashboard_path
from warpgauge.dashboards.generate import DASHBOARDS, DCGM_DASHBOARDS, files

if TYPE_CHECKING:
    from warpgauge.alerts.rule import Rule

SITE = Site()
PATHS = {dashboard_path(name): name for name in (*DASHBOARDS, *DCGM_DASHBOARDS)}
FILES = files()
ALL_GROUPS = (*GROUPS, dcgm.GROUP)
RECORDED = {one.record: one.expr for group in ALL_GROUPS for one in group.rules if isinstance(one, RecordingRule)}
RULES = [(group.name, rule) for group in ALL_GROUPS for rule in group.alerts]

NO_PANEL = {"dcgm/DevicePageRetirementPending"}  # of old boards, and off in the exporter's list
every_alert = pytest.mark.parametrize(("group", "rule"), RULES, ids=[f"{group}/{rule.alert}" for group, rule in RULES])


def linked(rule: Rule) -> tuple[dict[str, Any], set[str]]:
    """The dashboard behind an alert, and the variables that its address sets."""
    path, _, query = rule.annotations(SITE)["dashboard_url"].removeprefix(SITE.grafana_url).partition("?")
    return json.loads(FILES[f"{PATHS[path]}.json"]), set(re.findall(r"var-(\w+)=", query))


def series_of(expression: str) -> set[str]:
    """What an expression reads, recorded series resolved; nothing of `up`, which is Prometheus' own."""
    names = {one.name for one in Lint(foreign=DCGM_SERIES).selectors(expression)}
    resolved = [series_of(RECORDED[name]) for name in names if name in RECORDED]
    return (names - RECORDED.keys() - set(FOREIGN)).union(*resolved)


def rows_of(names: set[str]) -> set[str]:
    """Series by their rows: the parts of a histogram are one."""
    return {row.name if (row := row_of(name)) else name for name in names}


@every_alert
def test_the_dashboard_behind_an_alert_shows_a_series_that_it_reads(group: str, rule: Rule):
    document, _ = linked(rule)
    told = rows_of(series_of(rule.expression(SITE)))
    shown = rows_of(
        set().union(*(series_of(one["expr"]) for it in document["panels"] for one in it.get("targets", ())))
    )
    assert told & shown or not told or f"{group}/{rule.alert}" in NO_PANEL  # rules on `up` read nothing of ours


@every_alert
def test_an_alerts_link_chooses_by_what_its_dashboard_lets_choose(group: str, rule: Rule):
    document, chosen = linked(rule)
    assert chosen <= {one["name"] for one in document["templating"]["list"]}
    assert chosen or not {"cluster", "node"} & set(rule.labels) or group == "dcgm"


@every_alert
def test_an_alert_over_dcgms_series_leads_to_a_dashboard_over_them(group: str, rule: Rule):
    path = rule.annotations(SITE)["dashboard_url"].removeprefix(SITE.grafana_url).partition("?")[0]
    assert PATHS[path].startswith("dcgm-") is (group == "dcgm")


def test_a_device_is_chosen_by_its_uuid_and_a_job_on_all_its_nodes():
    chosen = {rule.alert: linked(rule)[1] for group, rule in RULES if group != "dcgm"}
    assert chosen["DeviceLost"] == {"cluster", "node", "uuid"}
    assert chosen["JobStraggler"] == {"cluster", "job_id"}
