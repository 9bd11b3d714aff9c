"""The same rules as Kubernetes manifests and as Grafana-managed alerts; the latter were never in a running Grafana."""

from __future__ import annotations

import re
import warnings
from typing import Any, Final

import pytest
import yaml

from warpgauge.alerts.generate import files, manifests
from warpgauge.alerts.grafana import DATASOURCE_UID, document
from warpgauge.alerts.groups import GROUPS, alerts
from warpgauge.alerts.site import Site

FILES: Final = files()
MANIFESTS: Final = manifests()
GRAFANA: Final[dict[str, Any]] = yaml.safe_load(FILES["grafana/alerting.yaml"])
RULES: Final = [rule for group in GRAFANA["groups"] for rule in group["rules"]]

every_rule = pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule["title"])


@pytest.mark.parametrize("group", GROUPS, ids=lambda group: group.name)
def test_a_manifest_holds_exactly_the_rules_of_its_group(group):
    manifest = yaml.safe_load(MANIFESTS[f"{group.name}.yaml"])
    assert manifest["spec"] == yaml.safe_load(FILES[f"{group.name}.yml"])
    assert (manifest["apiVersion"], manifest["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")


@pytest.mark.parametrize("name", MANIFESTS)
def test_a_manifest_has_a_name_that_kubernetes_takes(name: str):
    metadata = yaml.safe_load(MANIFESTS[name])["metadata"]
    assert re.fullmatch(r"[a-z0-9]([-a-z0-9]*[a-z0-9])?", metadata["name"])


def test_grafana_gets_every_alert_once_under_a_uid_that_it_takes():
    uids = [rule["uid"] for rule in RULES]
    assert [rule["title"] for rule in RULES] == [rule.alert for rule in alerts()]
    assert len(uids) == len(set(uids))
    assert all(re.fullmatch(r"[a-zA-Z0-9_-]{1,40}", uid) for uid in uids)


@every_rule
def test_grafanas_own_model_of_a_rule_drops_nothing(rule: dict[str, Any]):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of the SDK's own modules
        from grafana_foundation_sdk.cog.plugins import register_default_plugins  # noqa: PLC0415
        from grafana_foundation_sdk.models.alerting import Rule  # noqa: PLC0415

        register_default_plugins()
        read = Rule.from_json(rule).to_json()
    ours = {name: value for name, value in rule.items() if name != "data"}
    assert ours.items() <= read.items()
    assert len(read["data"]) == len(rule["data"])


@every_rule
def test_the_condition_is_true_for_a_series_whatever_its_value(rule: dict[str, Any]):
    query, condition = rule["data"]
    assert (query["datasourceUid"], condition["datasourceUid"]) == (DATASOURCE_UID, "__expr__")
    assert condition["refId"] == rule["condition"]
    assert condition["model"]["expression"] == f"${query['refId']} * 0 + 1"


@every_rule
def test_texts_use_the_querys_number_where_prometheus_has_a_value(rule: dict[str, Any]):
    text = " ".join(rule["annotations"].values())
    assert "$value " not in text
    assert set(re.findall(r"\$(\w+)", text)) <= {"labels", "values"}


def test_a_disabled_alert_is_not_given_to_grafana():
    written = document(GROUPS, Site(disabled=frozenset({"DeviceLost"})))
    assert "DeviceLost" not in {rule["title"] for group in written["groups"] for rule in group["rules"]}
