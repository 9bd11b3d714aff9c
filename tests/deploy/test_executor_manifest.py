"""The executor's manifest and the kind Recommendation; its rights are tried in tests/kubernetes/test_rights.py."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
import yaml

from tools import kubernetes_crd

ROOT = Path(__file__).resolve().parents[2]
MANIFEST = ROOT / "deploy" / "kubernetes" / "executor.yaml"
DOCUMENTS: list[dict[str, Any]] = list(yaml.safe_load_all(MANIFEST.read_text()))
[POD] = [one["spec"]["template"]["spec"] for one in DOCUMENTS if one["kind"] == "Deployment"]
ROLES = [one for one in DOCUMENTS if one["kind"] in {"Role", "ClusterRole"}]


@pytest.mark.parametrize("document", DOCUMENTS, ids=lambda one: f"{one['kind']} {one['metadata']['name']}")
def test_every_object_fits_the_strict_kubernetes_schema(document: dict[str, Any]):
    kubernetes_validate = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate is not installed: pip install '.[test]'"
    )
    kubernetes_validate.validate(document, "1.34", strict=True)


@pytest.mark.parametrize("container", [*POD["initContainers"], *POD["containers"]], ids=lambda one: one["name"])
def test_a_container_runs_with_nothing_it_does_not_need(container: dict[str, Any]):
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert {mount["name"] for mount in container["volumeMounts"]} <= {volume["name"] for volume in POD["volumes"]}


def test_no_role_grants_everything_of_anything():
    granted = [word for role in ROLES for rule in role["rules"] for words in rule.values() for word in words]
    assert "*" not in granted
    assert not {"secrets", "pods/exec", "impersonate", "escalate", "bind"} & set(granted)


def test_it_acts_on_nothing_until_somebody_takes_the_flag_away():
    [executor] = POD["containers"]
    assert "--dry-run" in executor["args"]


def test_the_kind_in_the_manifest_is_the_one_that_the_schema_gives():
    said = "make it anew: .venv/bin/python -m tools.kubernetes_crd"
    assert kubernetes_crd.TARGET.read_text(encoding="utf-8") == kubernetes_crd.text(), said
