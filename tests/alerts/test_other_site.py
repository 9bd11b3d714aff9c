"""A second site that differs in everything it can: the same checks hold for its files."""

from __future__ import annotations

import re
import subprocess
from typing import TYPE_CHECKING, Final

import pytest
import yaml

from tests.promql_lint import Lint
from warpgauge.alerts.generate import files
from warpgauge.alerts.groups import GROUPS
from warpgauge.alerts.rule import RecordingRule, Rule
from warpgauge.alerts.settings import site_of
from warpgauge.cli.main import main
from warpgauge.core.config import AlertsConfig, load
from warpgauge.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

TOML: Final = """
[alerts]
selector = 'env="prod",region=~"eu-.+"'
cluster_label = "k8s_cluster"
thresholds = ["DeviceMemoryFull=0.9", "JobStraggler=1.5"]
holds = ["DeviceLost=5m"]
severities = ["DevicePowerBrake=warning"]
disabled = ["NodeRebooted", "FleetDriversMixed"]
extra_labels = ["team=ml-platform"]
runbooks_url = "https://gauge.test/"
grafana_url = "https://grafana.test"
webhook_url = "https://hook.test/in"
slack_url_file = "/etc/alertmanager/slack"
email_to = "ops@site.test"
pagerduty_key_file = "/etc/alertmanager/pagerduty"
"""
RULES: Final = [rule for group in GROUPS for rule in group.rules]
RECORDS: Final = [rule for rule in RULES if isinstance(rule, RecordingRule)]


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory):
    path = tmp_path_factory.mktemp("site") / "warpgauge.toml"
    path.write_text(TOML)
    return site_of(load(path, {}, {}).alerts)


@pytest.fixture(scope="module")
def written(site) -> dict[str, dict]:
    return {name: yaml.safe_load(text) for name, text in files(site).items() if "/" not in name}


@pytest.fixture(scope="module")
def lint(site) -> Lint:
    return Lint(
        {rule.record: rule.expression(site) for rule in RECORDS},
        site_labels=frozenset({"k8s_cluster", "env", "region"}),
    )


def rules_of(written: dict[str, dict]) -> dict[str, dict]:
    return {
        rule.get("alert") or rule["record"]: rule
        for document in written.values()
        for group in document["groups"]
        for rule in group["rules"]
    }


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: getattr(rule, "alert", "") or rule.record)
def test_every_expression_keeps_to_the_catalog(rule: Rule | RecordingRule, lint: Lint, site):
    assert lint.complaints(rule.expression(site)) == []


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: getattr(rule, "alert", "") or rule.record)
def test_every_series_that_is_read_is_narrowed_to_the_site(rule: Rule | RecordingRule, lint: Lint, site):
    read = [one for one in lint.selectors(rule.expression(site)) if one.name not in lint.recorded]
    assert all({"env", "region"} <= {matcher.name for matcher in one.matchers.matchers} for one in read)


@pytest.mark.parametrize("rule", [one for one in RULES if isinstance(one, Rule)], ids=lambda rule: rule.alert)
def test_alerts_and_their_texts_carry_the_name_of_the_cluster_label(rule: Rule, lint: Lint, site):
    carried = lint.labels_of(rule.expression(site)) - {"env"}  # absent() takes it from the selector
    assert carried == {"k8s_cluster" if label == "cluster" else label for label in rule.labels}
    assert set(re.findall(r"\$labels\.(\w+)", " ".join(rule.annotations(site).values()))) <= carried


def test_what_the_site_disabled_is_gone_and_nothing_else(written: dict[str, dict]):
    names = {rule.alert for rule in RULES if isinstance(rule, Rule)}
    assert names - rules_of(written).keys() == {"NodeRebooted", "FleetDriversMixed"}


def test_thresholds_durations_severities_and_labels_are_the_sites(written: dict[str, dict]):
    rules = rules_of(written)
    assert rules["DeviceMemoryFull"]["expr"].endswith("> 0.9")
    assert rules["DeviceLost"]["for"] == "5m"
    assert rules["DevicePowerBrake"]["labels"] == {"team": "ml-platform", "severity": "warning", "scope": "device"}
    assert rules["node:accel_load:ratio"]["labels"] == {"team": "ml-platform"}
    assert rules["DeviceLost"]["annotations"]["runbook_url"] == "https://gauge.test/runbooks/DeviceLost"


def test_a_text_says_how_long_the_condition_lasts_at_this_site():
    site = site_of(AlertsConfig(holds=("DeviceClockBehindPeers=1h30m",)))
    text = files(site)["slowdown.yml"]
    assert "for 1 hour 30 minutes" in " ".join(text.split())


@pytest.mark.parametrize("release", ["2.37", "2.42", "3.0"])
def test_only_a_new_enough_prometheus_gets_newer_keys(release: str):
    written = files(site_of(AlertsConfig(prometheus=release, extra_labels=("team=ml",))))["device.yml"]
    (group,) = yaml.safe_load(written)["groups"]
    assert ("keep_firing_for" in written) == (release != "2.37")
    assert ("labels" in group) == (release == "3.0")


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"disabled": ("DeviceLots",)}, "alerts.disabled: there is no alert DeviceLots; did you mean DeviceLost?"),
        ({"thresholds": ("DeviceMemoryFull",)}, "alerts.thresholds: 'DeviceMemoryFull' must be ALERT=VALUE"),
        ({"thresholds": ("DeviceMemoryFull=x",)}, "alerts.thresholds: DeviceMemoryFull needs a number, got 'x'"),
        ({"thresholds": ("DeviceLost=1",)}, "alerts.thresholds: DeviceLost has no threshold to set, got '1'"),
        ({"holds": ("DeviceLost=5",)}, "alerts.holds: DeviceLost needs a duration such as 10m, got '5'"),
        (
            {"severities": ("DeviceLost=page",)},
            "alerts.severities: DeviceLost needs one of info, warning, critical, got 'page'",
        ),
        ({"extra_labels": ("severity=x",)}, "alerts.extra_labels: severity is a label of the rules themselves"),
        ({"cluster_label": "a-b"}, "alerts.cluster_label: 'a-b' cannot be the name of a label"),
        (
            {"selector": '{env="prod"}'},
            'alerts.selector must be matchers without braces such as env="prod",region="eu", got \'{env="prod"}\'',
        ),
    ],
)
def test_a_setting_that_cannot_be_used_is_named(settings: dict[str, tuple[str, ...]], message: str):
    with pytest.raises(ConfigError) as raised:
        site_of(AlertsConfig(**settings))
    assert str(raised.value) == message


def test_generate_reads_the_section_and_a_flag_wins_over_it(tmp_path: Path):
    config = tmp_path / "warpgauge.toml"
    config.write_text(TOML)
    arguments = ["generate", "alerts", "--config", str(config), "--out", str(tmp_path / "out")]
    assert main([*arguments, "--grafana-url", "https://other.test"], {}) == 0
    text = (tmp_path / "out/device.yml").read_text()
    assert "https://gauge.test/runbooks/DeviceLost" in text
    assert "https://other.test/d/" in text


@pytest.mark.real
@pytest.mark.slow
def test_prometheus_and_alertmanager_take_the_sites_files(site, promtool: Path, amtool: Path, tmp_path: Path):
    for name, text in files(site).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    rules = subprocess.run([promtool, "check", "rules", *sorted(tmp_path.glob("*.yml")), tmp_path / "dcgm/dcgm.yml"],
                           capture_output=True, text=True, check=False)  # fmt: skip
    assert (rules.returncode, rules.stderr) == (0, "")
    checked = subprocess.run([amtool, "check-config", tmp_path / "alertmanager/alertmanager.yml"],
                             capture_output=True, text=True, check=False)  # fmt: skip
    assert checked.returncode == 0, checked.stderr
