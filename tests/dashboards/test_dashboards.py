"""The dashboards as data: dashboard-linter's rules and our own, over every panel."""

from __future__ import annotations

import itertools
import json
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest
import yaml

from tests.dcgm_series import DCGM_SERIES
from tests.promql_lint import PARTS, Lint
from warpgauge.core.catalog import BY_NAME, Family
from warpgauge.core.links import dashboard_path, dashboard_uid
from warpgauge.dashboards.generate import DASHBOARDS, DCGM_DASHBOARDS, files
from warpgauge.dashboards.grafana.layout import COLUMNS
from warpgauge.dashboards.provisioning import FIRST_LINE

if TYPE_CHECKING:
    from collections.abc import Collection

GENERATED = Path(__file__).parents[2] / "dashboards/generated"
FILES = files()
DOCUMENTS = {name: json.loads(FILES[f"{name}.json"]) for name in (*DASHBOARDS, *DCGM_DASHBOARDS)}
PANELS = [(name, panel) for name, document in DOCUMENTS.items() for panel in document["panels"]]
DRAWN = [(name, panel) for name, panel in PANELS if panel["type"] != "row"]
LINT = Lint(foreign=DCGM_SERIES)
UNFILTERED = {"ALERTS"} | {  # the analyzer speaks of every cluster, and stands in one itself
    f"{row.name}{part}" for row in BY_NAME.values() if row.family is Family.ANALYZER for part in ("", *PARTS)
}
INVENTORIES = {"accel_device_up", "host_info"} | {  # and what is there as long as there is any job or server
    "accel_workload_info",
    "serving_requests_running",
}

every_dashboard = pytest.mark.parametrize("name", DOCUMENTS)
every_own_dashboard = pytest.mark.parametrize("name", DASHBOARDS)


def panels_of(names: Collection[str]) -> pytest.MarkDecorator:
    of = [(name, panel) for name, panel in DRAWN if name in names]
    return pytest.mark.parametrize("panel", [p for _, p in of], ids=[f"{name}/{p['title']}" for name, p in of])


every_panel = panels_of(DOCUMENTS)
every_own_panel = panels_of(DASHBOARDS)
every_dcgm_panel = panels_of(DCGM_DASHBOARDS)


def variables(name: str) -> list[dict[str, Any]]:
    return [one for one in DOCUMENTS[name]["templating"]["list"] if one["type"] == "query"]


def test_the_committed_files_are_what_the_generator_writes():
    committed = {str(path.relative_to(GENERATED)): path.read_text() for path in GENERATED.rglob("*") if path.is_file()}
    assert committed == FILES


@every_dashboard
def test_a_dashboard_is_current_and_read_only(name: str):
    document = DOCUMENTS[name]
    assert (document["schemaVersion"], document["editable"], document["refresh"]) == (42, False, "30s")
    assert "id" not in document


@every_dashboard
def test_keys_are_sorted_so_that_diffs_are_small(name: str):
    assert FILES[f"{name}.json"] == json.dumps(DOCUMENTS[name], sort_keys=True, indent=2, ensure_ascii=False) + "\n"


def test_uids_are_the_ones_that_links_use():
    assert {name: document["uid"] for name, document in DOCUMENTS.items()} == {
        name: dashboard_uid(name) for name in DOCUMENTS
    }


@every_dashboard
def test_panel_ids_differ(name: str):
    ids = [panel["id"] for panel in DOCUMENTS[name]["panels"]]
    assert len(ids) == len(set(ids))


@every_dashboard
def test_no_panel_lies_on_another(name: str):
    places = [panel["gridPos"] for panel in DOCUMENTS[name]["panels"]]
    overlaps = [
        (one, other)
        for one, other in itertools.combinations(places, 2)
        if one["x"] < other["x"] + other["w"]
        and other["x"] < one["x"] + one["w"]
        and one["y"] < other["y"] + other["h"]
        and other["y"] < one["y"] + one["h"]
    ]
    assert overlaps == []


@every_panel
def test_a_panel_stays_within_the_columns(panel: dict[str, Any]):
    assert panel["gridPos"]["x"] + panel["gridPos"]["w"] <= COLUMNS


@every_panel
def test_a_panel_has_title_description_unit_and_a_word_for_absence(panel: dict[str, Any]):
    defaults = panel["fieldConfig"]["defaults"]
    assert all((panel["title"], panel["description"], defaults["unit"], defaults["noValue"]))


@every_panel
def test_a_panel_reads_the_chosen_data_source(panel: dict[str, Any]):
    chosen = {"type": "prometheus", "uid": "${datasource}"}
    assert [panel["datasource"], *(target["datasource"] for target in panel["targets"])] == [chosen] * (
        len(panel["targets"]) + 1
    )


@every_panel
def test_queries_keep_to_the_catalog(panel: dict[str, Any]):
    assert [complaint for target in panel["targets"] for complaint in LINT.complaints(target["expr"])] == []


@every_own_panel
def test_every_selector_follows_the_variables(panel: dict[str, Any]):
    for target in panel["targets"]:
        for selector in LINT.selectors(target["expr"]):
            chosen = {matcher.name: matcher.value for matcher in selector.matchers.matchers}
            if selector.name not in UNFILTERED:
                assert {"cluster": "$cluster", "node": "$node"}.items() <= chosen.items()


@every_dcgm_panel
def test_every_dcgm_selector_follows_the_variables(panel: dict[str, Any]):
    for target in panel["targets"]:
        for selector in LINT.selectors(target["expr"]):
            chosen = {matcher.name: matcher.value for matcher in selector.matchers.matchers}
            assert {"Hostname": "$node"}.items() <= chosen.items()


@pytest.mark.parametrize("panel", [p for name, p in DRAWN if name == "dcgm-device"], ids=lambda panel: panel["title"])
def test_the_dcgm_dashboard_of_a_device_shows_the_chosen_ones_alone(panel: dict[str, Any]):
    assert all(target["expr"].count("DCGM_") == target["expr"].count('UUID=~"$uuid"') for target in panel["targets"])


@every_panel
def test_rates_use_the_interval_that_fits_the_scrapes(panel: dict[str, Any]):
    ranges = [found for target in panel["targets"] for found in re.findall(r"\[(.+?)\]", target["expr"])]
    assert set(ranges) <= {"$__rate_interval", "$__range"}
    whole = [target for target in panel["targets"] if "$__range" in target["expr"]]
    assert all(target["instant"] for target in whole)  # one figure for the chosen time, never a line of them


@every_panel
def test_legends_and_columns_name_labels_that_the_query_keeps(panel: dict[str, Any]):
    for target in panel["targets"]:
        assert set(re.findall(r"\{\{(\w+)\}\}", target["legendFormat"])) <= LINT.labels_of(target["expr"])


@every_panel
def test_a_table_column_is_renamed_overridden_and_linked_under_one_heading(panel: dict[str, Any]):
    renamed = {
        heading
        for step in panel.get("transformations", ())
        if step["id"] == "organize"
        for heading in step["options"]["renameByName"].values()
    }
    assert {override["matcher"]["options"] for override in panel["fieldConfig"]["overrides"]} <= renamed


@every_panel
def test_a_table_row_is_identified_by_labels_of_every_query(panel: dict[str, Any]):
    if panel["type"] == "table":
        common = frozenset.intersection(*(LINT.labels_of(target["expr"]) for target in panel["targets"]))
        shown = set(panel["transformations"][1]["options"]["renameByName"])
        shown -= {"model", "modelName", "profile"} - common  # of a device or its part: from one query alone
        assert {label for label in shown if not label.startswith("Value")} == common


def links_of(panel: dict[str, Any]) -> list[str]:
    """Addresses of dashboards behind a panel's cells."""
    return [
        link["url"]
        for override in panel["fieldConfig"]["overrides"]
        for one in override["properties"]
        if one["id"] == "links"
        for link in one["value"]
        if link["title"] not in {"Open runbook", "Open console"}
    ]


@every_panel
def test_a_link_leads_to_a_dashboard_of_ours_and_keeps_the_time(panel: dict[str, Any]):
    for url in links_of(panel):
        assert url.partition("?")[0] in {dashboard_path(other) for other in DOCUMENTS}
        assert url.endswith("${__url_time_range}")


@every_own_panel
def test_a_link_names_the_cluster_of_what_it_leads_to(panel: dict[str, Any]):
    assert all("var-cluster=" in url for url in links_of(panel))


@every_panel
def test_a_figure_shows_the_newest_value_never_an_average_over_time(panel: dict[str, Any]):
    if panel["type"] in {"stat", "bargauge", "table"}:
        assert all(target["instant"] and not target["range"] for target in panel["targets"])


@every_dashboard
def test_variables_follow_the_time_range_and_all_means_there(name: str):
    assert {(one["refresh"], one["allValue"], one["includeAll"], one["multi"]) for one in variables(name)} == {
        (2, ".+", True, True)
    }


@every_own_dashboard
def test_variables_are_read_from_inventories_that_always_exist(name: str):
    for one in variables(name):
        metric, label = re.fullmatch(r"label_values\((\w+)(?:\{.*\})?, (\w+)\)", one["query"]["query"]).groups()
        assert metric in INVENTORIES
        assert metric in BY_NAME
        assert label == one["name"]


@every_own_dashboard
def test_alerts_and_driver_errors_are_marked_on_every_graph(name: str):
    _, *marks = DOCUMENTS[name]["annotations"]["list"]
    assert [complaint for mark in marks for complaint in LINT.complaints(mark["expr"])] == []
    assert [one.name for mark in marks for one in LINT.selectors(mark["expr"])] == ["ALERTS", "accel_xid_events_total"]


@every_dashboard
def test_the_menu_keeps_time_and_variables(name: str):
    (menu,) = DOCUMENTS[name]["links"]
    assert (menu["keepTime"], menu["includeVars"], menu["tags"]) == (True, True, DOCUMENTS[name]["tags"])


@pytest.mark.parametrize("name", [name for name in FILES if name.endswith(".yaml")])
def test_provisioning_says_that_it_is_generated_and_is_yaml(name: str):
    assert FILES[name].splitlines()[0] == FIRST_LINE
    assert yaml.safe_load(FILES[name])["apiVersion"] == 1
