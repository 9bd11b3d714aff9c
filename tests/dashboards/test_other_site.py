"""A second site that differs in everything it can: the same rules hold for its dashboards."""

from __future__ import annotations

import json
import re
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.dashboards.lint import DashboardLint
from warpgauge.cli.main import main
from warpgauge.core.config import Config, DashboardsConfig, load
from warpgauge.core.errors import ConfigError
from warpgauge.core.links import dashboard_path
from warpgauge.dashboards.generate import DASHBOARDS, DCGM_DASHBOARDS, files
from warpgauge.dashboards.settings import site_of
from warpgauge.dashboards.site import Site

if TYPE_CHECKING:
    from pathlib import Path

TOML: Final = """
[alerts]
runbooks_url = "https://gauge.test/"

[dashboards]
selector = 'env="prod",region=~"eu-.+"'
cluster_label = "k8s_cluster"
disabled = ["energy", "node", "dcgm-device"]
extra_variables = ["zone=Zone", "rack=Rack"]
extra_tags = ["ml-platform"]
extra_labels = ["grafana_instance=main"]
time_range = "6h"
refresh = "1m"
datasource = "thanos"
scrape_interval = "30s"
"""
OTHER: Final = {"energy", "node", "dcgm-device"}


def site_from(path: Path) -> Site:
    path.write_text(TOML)
    return site_of(load(path, {}, {}))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Site:
    return site_from(tmp_path_factory.mktemp("site") / "warpgauge.toml")


@pytest.fixture(scope="module")
def documents(site: Site) -> dict[str, dict[str, Any]]:
    return {name.removesuffix(".json"): json.loads(text) for name, text in files(site).items() if name.endswith("json")}


def test_both_sites_pass_the_rules_of_dashboard_linter_and_our_own(site: Site, documents: dict[str, dict[str, Any]]):
    ours = {name: json.loads(text) for name, text in files().items() if name.endswith(".json")}
    for one, lint in ((ours, DashboardLint(Site())), (documents, DashboardLint(site))):
        assert {name: list(lint.complaints(document)) for name, document in one.items()} == {name: [] for name in one}


def test_the_rules_see_what_breaks_them(site: Site):
    document = json.loads(files()["fleet.json"])
    document["editable"] = True
    document["templating"]["list"][1]["refresh"] = 1
    wrong = {text.partition(":")[0] for text in DashboardLint(site).complaints(document)}
    assert {"uneditable-dashboard", "template-on-time-change-reload-rule", "site-selector", "site-variables"} <= wrong


def test_what_the_site_disabled_is_gone_and_nothing_leads_there(documents: dict[str, dict[str, Any]]):
    assert {*DASHBOARDS, *DCGM_DASHBOARDS} - documents.keys() == OTHER
    text = json.dumps(documents)
    assert [name for name in OTHER if f"{dashboard_path(name)}?" in text] == []
    assert f"{dashboard_path('device')}?" in text


def test_the_sites_drop_downs_stand_before_ours_and_each_narrows_the_next(documents: dict[str, dict[str, Any]]):
    source, zone, rack, cluster, *_ = documents["fleet"]["templating"]["list"]
    assert source["current"] == {"text": "thanos", "value": "thanos"}
    here = 'env="prod",region=~"eu-.+"'
    assert zone["definition"] == f"label_values(accel_device_up{{{here}}}, zone)"
    assert rack["definition"] == f'label_values(accel_device_up{{{here},zone=~"$zone"}}, rack)'
    assert (cluster["name"], cluster["definition"]) == (
        "cluster",
        f'label_values(accel_device_up{{{here},zone=~"$zone",rack=~"$rack"}}, k8s_cluster)',
    )


def test_no_label_cluster_is_left_in_what_is_asked_or_shown(documents: dict[str, dict[str, Any]]):
    for panel in (panel for document in documents.values() for panel in document["panels"]):
        shown = [target["legendFormat"] for target in panel.get("targets", ())]
        columns = [step["options"] for step in panel.get("transformations", ()) if step["id"] == "organize"]
        assert not any("{{cluster}}" in legend for legend in shown)
        assert not any("cluster" in part for step in columns for part in step.values())
    mark = documents["fleet"]["annotations"]["list"][1]["expr"]
    assert mark == 'ALERTS{alertstate="firing",k8s_cluster=~"$cluster",node=~"$node"}'
    assert 'env="prod"' in documents["fleet"]["annotations"]["list"][2]["expr"]  # a series that is scraped


def test_time_refresh_and_tags_are_the_sites(documents: dict[str, dict[str, Any]]):
    one = documents["fleet"]
    assert (one["time"]["from"], one["refresh"], one["tags"]) == ("now-6h", "1m", ["warpgauge", "ml-platform"])


def test_a_kind_of_finding_leads_to_its_runbook_and_its_device_to_the_console(documents: dict[str, dict[str, Any]]):
    text = json.dumps(documents["fleet"])
    assert "https://gauge.test/runbooks/${__value.raw}" in text
    assert "https://gauge.test/#device=${__data.fields.UUID}" in text


def test_a_link_hands_on_what_was_chosen(documents: dict[str, dict[str, Any]]):
    urls = re.findall(r'"url": "(/d/[^"]+)"', json.dumps(documents["fleet"]))
    assert urls
    assert all(url.endswith("&${zone:queryparam}&${rack:queryparam}&${__url_time_range}") for url in urls)


def test_a_site_with_a_data_source_of_its_own_gets_none_from_us(site: Site):
    assert "provisioning/datasources/warpgauge.yaml" not in files(site)
    own = files(Site(datasource_url="https://prometheus.test", scrape_interval="30s"))
    text = own["provisioning/datasources/warpgauge.yaml"]
    assert "url: https://prometheus.test\n" in text
    assert "timeInterval: 30s " in text


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"disabled": ("fleat",)}, "dashboards.disabled: there is no dashboard fleat; did you mean fleet?"),
        ({"extra_variables": ("zone",)}, "dashboards.extra_variables: 'zone' must be LABEL=TITLE"),
        (
            {"extra_variables": ("node=Node",)},
            "dashboards.extra_variables: node is a variable of the dashboards themselves",
        ),
        ({"extra_labels": ("grafana_dashboard=2",)},
         "dashboards.extra_labels: grafana_dashboard is a label of the ConfigMaps themselves"),
        ({"extra_labels": ("team=a b",)}, "dashboards.extra_labels: Kubernetes takes no label team=a b"),
        ({"extra_tags": ("a b",)}, "dashboards.extra_tags: 'a b' cannot be a tag; one has neither spaces nor commas"),
        ({"refresh": "30"}, "dashboards.refresh needs a duration such as 30s or 6h, got '30'"),
        (
            {"datasource": "my source"},
            "dashboards.datasource must be the uid of a data source (letters, digits, - and _), got 'my source'",
        ),
        ({"cluster_label": "a-b"}, "dashboards.cluster_label: 'a-b' cannot be the name of a label"),
    ],
)  # fmt: skip
def test_a_setting_that_cannot_be_used_is_named(settings: dict[str, Any], message: str):
    with pytest.raises(ConfigError) as raised:
        site_of(Config(dashboards=DashboardsConfig(**settings)))
    assert str(raised.value) == message


def test_generate_reads_the_section(tmp_path: Path):
    config = tmp_path / "warpgauge.toml"
    config.write_text(TOML)
    assert main(["generate", "dashboards", "--config", str(config), "--out", str(tmp_path / "out")], {}) == 0
    assert not (tmp_path / "out/energy.json").exists()
    assert 'zone=~\\"$zone\\"' in (tmp_path / "out/fleet.json").read_text()
