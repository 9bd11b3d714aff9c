"""Dashboards and rules for Kubernetes against its schemas and the operator's documented fields; never in a cluster."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any, Final

import jsonschema
import pytest
import yaml

from warpgauge.core.errors import ConfigError
from warpgauge.dashboards.generate import files
from warpgauge.dashboards.kubernetes import MOST_BYTES, manifest
from warpgauge.dashboards.site import Site

MONITORING: Final = Path(__file__).resolve().parents[2] / "deploy/kubernetes/monitoring"
DASHBOARDS: Final = {path.stem: yaml.safe_load(path.read_text()) for path in (MONITORING / "dashboards").glob("*.yaml")}
RULES: Final = {path.stem: yaml.safe_load(path.read_text()) for path in (MONITORING / "rules").rglob("*.yaml")}
APPLIED_BYTES: Final = 262_144  # what `kubectl apply` may keep in its annotation
DURATION: Final = {"type": "string", "pattern": "^([0-9]+(ms|s|m|h|d|w|y))+$"}
TEXTS: Final = {"type": "object", "additionalProperties": {"type": "string"}}
# Fields of monitoring.coreos.com/v1 PrometheusRule that we use, as the operator's API reference documents them.
PROMETHEUS_RULE: Final = {
    "type": "object",
    "required": ["groups"],
    "additionalProperties": False,
    "properties": {
        "groups": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["name", "rules"],
                "additionalProperties": False,
                "properties": {
                    "name": {"type": "string", "minLength": 1},
                    "interval": DURATION,
                    "labels": TEXTS,
                    "rules": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "required": ["expr"],
                            "additionalProperties": False,
                            "properties": {
                                "record": {"type": "string"},
                                "alert": {"type": "string"},
                                "expr": {"type": "string"},
                                "for": DURATION,
                                "keep_firing_for": DURATION,
                                "labels": TEXTS,
                                "annotations": TEXTS,
                            },
                        },
                    },
                },
            },
        }
    },
}

every_config_map = pytest.mark.parametrize("name", DASHBOARDS)


@pytest.mark.parametrize("version", ["1.27", "1.34"])
def test_every_config_map_fits_the_strict_kubernetes_schema(version: str):
    kubernetes_validate = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate is not installed: pip install '.[test]'"
    )
    for document in DASHBOARDS.values():
        kubernetes_validate.validate(document, version, strict=True)


@every_config_map
def test_grafanas_sidecar_finds_the_dashboard_that_is_provisioned_otherwise(name: str):
    document = DASHBOARDS[name]
    assert document["metadata"]["labels"]["grafana_dashboard"] == "1"
    assert {file: json.loads(text) for file, text in document["data"].items()} == {
        f"warpgauge-{name}.json": json.loads(files()[f"{name}.json"])
    }


@every_config_map
def test_kubectl_can_apply_it_without_losing_its_own_copy(name: str):
    assert len(json.dumps(DASHBOARDS[name]).encode()) < APPLIED_BYTES < MOST_BYTES


def test_a_dashboard_that_no_config_map_holds_is_refused():

    with pytest.raises(ConfigError, match="more than a ConfigMap takes"):
        manifest("huge", json.dumps({"title": "x" * MOST_BYTES}), Site())


def test_a_site_adds_its_labels():
    document: dict[str, Any] = json.loads(manifest("fleet", "{}", Site(extra_labels={"team": "ml"})))
    assert document["metadata"]["labels"]["team"] == "ml"


@pytest.mark.parametrize("name", RULES)
def test_every_rule_object_fits_its_documented_fields(name: str):
    document = RULES[name]
    assert (document["apiVersion"], document["kind"]) == ("monitoring.coreos.com/v1", "PrometheusRule")
    jsonschema.validate(document["spec"], PROMETHEUS_RULE)
