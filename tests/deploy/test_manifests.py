"""What is under deploy/ is checked against the schemas and tools that its readers use; it is not run in a container."""

from __future__ import annotations

import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml

from warpgauge.core.config import load

ROOT = Path(__file__).resolve().parents[2]
DEPLOY = ROOT / "deploy"
MANIFEST = DEPLOY / "kubernetes" / "agent.yaml"
DOCUMENTS: list[dict[str, Any]] = list(yaml.safe_load_all(MANIFEST.read_text()))
PATCH = DEPLOY / "kubernetes" / "attribution.yaml"
UNIT = DEPLOY / "systemd" / "warpgauge-agent.service"
DROP_IN = DEPLOY / "systemd" / "attribution.conf"
NOT_RUN = "not run in a container here"

LABEL = {"type": "string", "pattern": "^[a-zA-Z_][a-zA-Z0-9_]*$"}
# Fields of monitoring.coreos.com/v1 PodMonitor that we use, as the Prometheus operator's API reference documents them.
POD_MONITOR = {
    "type": "object",
    "required": ["selector", "podMetricsEndpoints"],
    "additionalProperties": False,
    "properties": {
        "selector": {
            "type": "object",
            "required": ["matchLabels"],
            "additionalProperties": False,
            "properties": {"matchLabels": {"type": "object", "additionalProperties": {"type": "string"}}},
        },
        "podMetricsEndpoints": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["port"],
                "additionalProperties": False,
                "properties": {
                    "port": {"type": "string"},
                    "path": {"type": "string", "pattern": "^/"},
                    "interval": {"type": "string", "pattern": "^([0-9]+(ms|s|m|h))+$"},
                    "scrapeTimeout": {"type": "string", "pattern": "^([0-9]+(ms|s|m|h))+$"},
                    "honorLabels": {"type": "boolean"},
                    "relabelings": {
                        "type": "array",
                        "items": {
                            "type": "object",
                            "additionalProperties": False,
                            "properties": {
                                "sourceLabels": {"type": "array", "items": LABEL},
                                "targetLabel": {"type": "string"},
                                "regex": {"type": "string"},
                                "replacement": {"type": "string"},
                                "action": {"enum": ["replace", "keep", "drop", "labelmap", "labeldrop", "labelkeep"]},
                            },
                        },
                    },
                },
            },
        },
    },
}


def of_kind(kind: str) -> list[dict[str, Any]]:
    return [document for document in DOCUMENTS if document["kind"] == kind]


def named(kind: str, name: str) -> dict[str, Any]:
    return next(document for document in of_kind(kind) if document["metadata"]["name"] == name)


WORKLOADS = of_kind("DaemonSet") + of_kind("Deployment")
PODS = [workload["spec"]["template"] for workload in WORKLOADS]
CONTAINERS = [container for pod in PODS for container in pod["spec"]["containers"]]


@pytest.mark.parametrize("document", [d for d in DOCUMENTS if d["kind"] != "PodMonitor"], ids=lambda d: d["kind"])
@pytest.mark.parametrize("version", ["1.27", "1.34"])
def test_every_object_fits_the_strict_kubernetes_schema(document: dict[str, Any], version: str):
    kubernetes_validate = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate is not installed: pip install '.[test]'"
    )
    kubernetes_validate.validate(document, version, strict=True)


def patched(old: Any, new: Any) -> Any:
    """As kubectl merges a patch: mappings key by key, lists of named things by their names."""
    if isinstance(old, dict) and isinstance(new, dict):
        return old | {key: patched(old.get(key), value) for key, value in new.items()}
    if isinstance(old, list) and all(isinstance(one, dict) for one in old):
        known = {one["name"]: one for one in old}
        return list((known | {one["name"]: patched(known.get(one["name"]), one) for one in new}).values())
    return new


def test_the_patch_for_attribution_fits_the_daemonset_and_adds_one_capability():
    kubernetes_validate = pytest.importorskip(
        "kubernetes_validate", reason="kubernetes-validate is not installed: pip install '.[test]'"
    )
    whole = patched(named("DaemonSet", "warpgauge-agent"), yaml.safe_load(PATCH.read_text()))
    kubernetes_validate.validate(whole, "1.34", strict=True)
    [agent] = whole["spec"]["template"]["spec"]["containers"]
    assert agent["securityContext"]["capabilities"] == {"drop": ["ALL"], "add": ["SYS_PTRACE"]}
    mounted = {mount["name"] for mount in agent["volumeMounts"]}
    assert mounted == {volume["name"] for volume in whole["spec"]["template"]["spec"]["volumes"]}


@pytest.mark.parametrize("document", of_kind("PodMonitor"), ids=lambda d: d["metadata"]["name"])
def test_every_pod_monitor_fits_its_documented_fields(document: dict[str, Any]):
    assert document["apiVersion"] == "monitoring.coreos.com/v1"
    jsonschema.validate(document["spec"], POD_MONITOR)


@pytest.mark.parametrize("monitor", of_kind("PodMonitor"), ids=lambda d: d["metadata"]["name"])
def test_a_pod_monitor_finds_a_pod_with_the_port_it_scrapes(monitor: dict[str, Any]):
    wanted = monitor["spec"]["selector"]["matchLabels"]
    pods = [pod for pod in PODS if wanted.items() <= pod["metadata"]["labels"].items()]
    ports = {port["name"] for pod in pods for container in pod["spec"]["containers"] for port in container["ports"]}
    assert {endpoint["port"] for endpoint in monitor["spec"]["podMetricsEndpoints"]} <= ports


def test_the_agent_monitor_honors_labels_and_names_the_node():
    [endpoint] = named("PodMonitor", "warpgauge-agent")["spec"]["podMetricsEndpoints"]
    assert endpoint["honorLabels"] is True
    assert {"sourceLabels": ["__meta_kubernetes_pod_node_name"], "targetLabel": "node"} in endpoint["relabelings"]


@pytest.mark.parametrize("container", CONTAINERS, ids=lambda c: c["name"])
def test_a_container_runs_with_nothing_it_does_not_need(container: dict[str, Any]):
    assert container["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }


@pytest.mark.parametrize("container", CONTAINERS, ids=lambda c: c["name"])
def test_an_image_is_the_one_the_dockerfile_builds_and_is_marked_as_a_value_to_set(container: dict[str, Any]):
    assert container["image"] == "warpgauge:local"
    assert f"--tag {container['image']} ." in (DEPLOY / "Dockerfile").read_text()
    lines = [line for line in MANIFEST.read_text().splitlines() if "image: " in line]
    assert all("# SET:" in line for line in lines)


@pytest.mark.parametrize("container", CONTAINERS, ids=lambda c: c["name"])
def test_every_variable_in_a_manifest_is_a_setting(container: dict[str, Any]):
    environ = {variable["name"]: variable["value"] for variable in container["env"]}
    values = {origin for origin in load(None, environ, {}).origins.values() if origin != "default"}
    assert len(values) == len(environ)


@pytest.mark.parametrize("pod", PODS, ids=lambda pod: pod["spec"]["serviceAccountName"])
def test_kubernetes_adds_no_variables_that_look_like_settings(pod: dict[str, Any]):
    assert pod["spec"]["enableServiceLinks"] is False


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda w: w["metadata"]["name"])
def test_every_mounted_volume_exists(workload: dict[str, Any]):
    pod = workload["spec"]["template"]["spec"]
    mounted = {mount["name"] for container in pod["containers"] for mount in container["volumeMounts"]}
    assert mounted == {volume["name"] for volume in pod["volumes"]}


@pytest.mark.parametrize("workload", WORKLOADS, ids=lambda w: w["metadata"]["name"])
def test_a_workload_uses_an_account_without_a_token(workload: dict[str, Any]):
    account = workload["spec"]["template"]["spec"]["serviceAccountName"]
    assert named("ServiceAccount", account)["automountServiceAccountToken"] is False


@pytest.mark.parametrize("path", [MANIFEST, PATCH, DEPLOY / "Dockerfile"], ids=lambda path: path.name)
def test_what_needs_a_container_says_that_it_was_not_run_in_one(path: Path):
    assert NOT_RUN in path.read_text()


def test_the_dockerfile_builds_on_a_real_base_and_runs_as_nobody_special():
    text = (DEPLOY / "Dockerfile").read_text()
    assert set(re.findall(r"^FROM (\S+)", text, re.MULTILINE)) == {"python:3.11-slim-bookworm"}
    assert re.findall(r"^USER (\S+)", text, re.MULTILINE) == ["9837:9837"]


def test_the_build_context_holds_everything_the_wheel_needs():
    allowed = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    assert allowed >= {
        "core",
        "exporters",
        "analyzer",
        "executors",
        "dashboards",
        "alerts",
        "pyproject.toml",
        "README.md",
        "LICENSE",
    }


@pytest.fixture(params=["as it is", "with the drop-in for attribution"])
def unit(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    """The unit with a program that exists here in place of the installed one."""
    if shutil.which("systemd-analyze") is None:
        pytest.skip("no systemd-analyze on this machine: sudo apt install systemd")
    path = tmp_path / UNIT.name
    text = UNIT.read_text() + (DROP_IN.read_text() if "drop-in" in request.param else "")
    path.write_text(text.replace("/opt/warpgauge/bin/warpgauge", sys.executable))
    return path


def test_systemd_accepts_the_unit(unit: Path):
    done = subprocess.run(["systemd-analyze", "verify", "--man=no", unit], text=True, capture_output=True, check=False)
    complaints = [line for line in done.stderr.splitlines() if unit.name in line]
    assert complaints == []


def test_systemd_rates_the_unit_as_hardened(unit: Path):
    allowed = 25 if DROP_IN.read_text() in unit.read_text() else 20  # a capability costs half a point
    rate = ["systemd-analyze", "security", "--offline=yes", f"--threshold={allowed}", unit]
    done = subprocess.run(rate, text=True, capture_output=True, check=False)
    if "unrecognized option" in done.stderr:
        pytest.skip("this systemd-analyze cannot rate a file: systemd 250 or newer is needed")
    assert done.returncode == 0, done.stdout[-200:]


@pytest.mark.real
def test_promtool_accepts_the_scrape_configuration_with_the_generated_rules(promtool: Path, tmp_path: Path):
    rules = tmp_path / "rules"
    rules.mkdir()
    for path in (ROOT / "alerts" / "generated").glob("*.yml"):
        shutil.copy(path, rules)
    config = shutil.copy(DEPLOY / "prometheus" / "scrape.yml", tmp_path / "prometheus.yml")
    done = subprocess.run([promtool, "check", "config", config], text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    assert f"{len(list(rules.iterdir()))} rule files" in done.stdout
