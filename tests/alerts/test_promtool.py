"""The generated files before the real programs that will read them: promtool and amtool."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest
import yaml

from tests.prometheus_releases import NEWEST, program
from warpgauge.alerts.generate import files
from warpgauge.alerts.site import Site

pytestmark = [pytest.mark.real, pytest.mark.slow]

ALERTS = Path(__file__).parents[2] / "alerts"
RULE_FILES = [*sorted((ALERTS / "generated").glob("*.yml")), ALERTS / "generated/dcgm/dcgm.yml"]
UNIT_TESTS = sorted((ALERTS / "unit").glob("*.yaml"))
CONFIG = ALERTS / "generated/alertmanager/alertmanager.yml"
DATA = {
    "status": "firing",
    "externalURL": "http://alertmanager.test",
    "alerts": [
        {
            "status": "firing",
            "startsAt": "2026-11-26T03:05:00Z",
            "labels": {"alertname": "DeviceLost"},
            "annotations": {
                "summary": f"n1/gpu{number} is lost",
                "runbook_url": "http://127.0.0.1:9838/runbooks/DeviceLost",
            },
        }
        for number in range(8)
    ],
    "commonLabels": {"alertname": "DeviceLost", "severity": "critical", "node": "n1", "cluster": "c1"},
}


def run(*command: str | Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(command, capture_output=True, text=True, check=False)


@pytest.mark.parametrize("path", RULE_FILES, ids=lambda path: path.stem)
def test_prometheus_takes_the_rules(promtool: Path, path: Path):
    done = run(promtool, "check", "rules", path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize("path", UNIT_TESTS, ids=lambda path: path.stem)
def test_alerts_fire_when_they_must_and_stay_silent_when_they_must(promtool: Path, path: Path):
    done = run(promtool, "test", "rules", path)
    assert done.returncode == 0, done.stdout + done.stderr


def test_the_newest_prometheus_takes_the_rules_and_judges_as_the_oldest(tmp_path: Path):
    """One run for all files: ranges that leave out their left end since 3.0 change no verdict."""
    newest = program(NEWEST, "promtool")
    checked = run(newest, "check", "rules", *RULE_FILES)
    assert (checked.returncode, checked.stderr) == (0, "")
    tested = run(newest, "test", "rules", *UNIT_TESTS)
    assert tested.returncode == 0, tested.stdout + tested.stderr
    site = files(Site(prometheus="3.0", extra_labels={"team": "ml"}))
    for name in (one for one in site if one.endswith(".yml") and "/" not in one):
        (tmp_path / name).write_text(site[name])
    own_keys = run(newest, "check", "rules", *sorted(tmp_path.glob("*.yml")))
    assert (own_keys.returncode, own_keys.stderr) == (0, "")


@pytest.mark.parametrize(
    ("group", "right", "wrong"),
    [
        ("device", ")) >= 4", ")) >= 3"),
        ("device", "> 0.1", "> 0.01"),
        ("host", "< 0.05", "> 0.05"),
        ("job", "for: 45m", "for: 5m"),
        ("pipeline", "(.+/)?warpgauge-agent", ".*warpgauge-agent"),
        ("memory", "sum by (cluster, node, uuid, index) (increase", "max by (cluster, node, uuid, index) (rate"),
        ("xid", "< 300", "< 3000"),
        ("slowdown", "< 0.8", "< 0.5"),
        ("fabric", "> 0 and on", "> 0 or on"),
        ("node", "86400) < 0 and", "86400) < 0 or"),
        ("training", "compute|input", "communication|input"),
        ("watchers", "hung|crashed|failed|lost", "hung|crashed|failed|lost|inventory"),
    ],
)
def test_a_wrong_rule_fails_its_unit_test(promtool: Path, tmp_path: Path, group: str, right: str, wrong: str):
    shutil.copytree(ALERTS / "unit", tmp_path / "unit")
    (tmp_path / "generated").mkdir()
    text = (ALERTS / f"generated/{group}.yml").read_text()
    assert right in text
    (tmp_path / f"generated/{group}.yml").write_text(text.replace(right, wrong))
    assert run(promtool, "test", "rules", tmp_path / f"unit/{group}.yaml").returncode == 1


def test_alertmanager_takes_its_configuration(amtool: Path):
    done = run(amtool, "check-config", CONFIG)
    assert done.returncode == 0, done.stderr


def test_alertmanager_takes_the_configuration_of_a_site_with_a_webhook(amtool: Path, tmp_path: Path):
    for name, text in files(Site(webhook_url="https://hook.test/in")).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    assert run(amtool, "check-config", tmp_path / "alertmanager/alertmanager.yml").returncode == 0


@pytest.mark.parametrize(
    ("labels", "receiver"),
    [
        (("cluster=c1", "severity=critical", "scope=device"), "page"),
        (("cluster=c1", "severity=warning", "scope=device"), "operations"),
        (("cluster=c1", "severity=info", "scope=job", "job_id=1"), "jobs"),
        (("cluster=demo", "severity=critical", "scope=device"), "nobody"),
    ],
)
def test_alerts_reach_whom_they_concern(amtool: Path, labels: tuple[str, ...], receiver: str):
    done = run(amtool, "config", "routes", "test", f"--config.file={CONFIG}", f"--verify.receivers={receiver}", *labels)
    assert done.returncode == 0, done.stdout


def rendered(amtool: Path, tmp_path: Path, name: str, message: dict[str, Any] = DATA) -> str:
    data = tmp_path / "data.json"
    data.write_text(json.dumps(message))
    template = CONFIG.parent / "warpgauge.tmpl"
    done = run(
        amtool, "template", "render", f"--template.glob={template}", f'--template.text={{{{ template "{name}" . }}}}',
        f"--template.data={data}", f"--template.type={'html' if name.endswith('.html') else 'text'}",
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("name", "said"),
    [
        ("warpgauge.slack.color", "danger"),
        ("warpgauge.slack.text", "<http://127.0.0.1:9838/runbooks/DeviceLost|runbook>"),
        ("warpgauge.email.html", '<a href="http://127.0.0.1:9838/runbooks/DeviceLost">runbook</a>'),
        ("warpgauge.pagerduty.severity", "critical"),
        ("warpgauge.pagerduty.description", "[FIRING 8] DeviceLost (critical) on n1 in c1"),
    ],
)
def test_every_way_of_telling_has_its_template(amtool: Path, tmp_path: Path, name: str, said: str):
    assert said in rendered(amtool, tmp_path, name)


def test_every_template_that_the_configuration_names_is_in_the_file():
    site = Site(webhook_url="https://hook.test", slack_url_file="/s", email_to="a@b.test", pagerduty_key_file="/p")
    written = files(site)
    used = set(re.findall(r'template "(warpgauge\.[\w.]+)"', written["alertmanager/alertmanager.yml"]))
    defined = set(re.findall(r'define "(warpgauge\.[\w.]+)"', written["alertmanager/warpgauge.tmpl"]))
    assert used
    assert used <= defined


def test_only_who_is_woken_up_gets_a_pager(amtool: Path, tmp_path: Path):
    site = Site(webhook_url="https://hook.test", slack_url_file="/s", email_to="a@b.test", pagerduty_key_file="/p")
    for name, text in files(site).items():
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_text(text)
    path = tmp_path / "alertmanager/alertmanager.yml"
    assert run(amtool, "check-config", path).returncode == 0
    receivers = yaml.safe_load(path.read_text())["receivers"]
    assert [one["name"] for one in receivers if "pagerduty_configs" in one] == ["page"]


def test_the_title_of_a_message_names_what_and_where(amtool: Path, tmp_path: Path):
    assert rendered(amtool, tmp_path, "warpgauge.title").strip() == "[FIRING 8] DeviceLost (critical) on n1 in c1"


def test_the_text_of_a_message_lists_five_alerts_with_runbooks_and_counts_the_rest(amtool: Path, tmp_path: Path):
    text = rendered(amtool, tmp_path, "warpgauge.text")
    assert text.count("runbook: http://127.0.0.1:9838/runbooks/DeviceLost") == 5
    assert "and more: 8 in all" in text


@pytest.mark.parametrize("name", ["warpgauge.text", "warpgauge.slack.text", "warpgauge.email.html"])
def test_a_message_says_since_when_and_leads_to_a_silence_of_what_its_alerts_share(
    amtool: Path, tmp_path: Path, name: str
):
    labels = {"alertname": "DeviceLost", "cluster": 'a b+c"'}
    text = rendered(amtool, tmp_path, name, DATA | {"commonLabels": labels})

    assert "since 2026-11-26 03:05 UTC" in text
    link = re.search(r"http://alertmanager\.test/#/silences/new\?filter=([\w%.-]+)", text)
    assert link
    assert unquote(link[1]) == '{alertname="DeviceLost",cluster="a b+c\\""}'


def test_what_ended_is_told_from_what_still_fires_in_one_message(amtool: Path, tmp_path: Path):
    ended = DATA["alerts"][1] | {"status": "resolved", "endsAt": "2026-11-26T03:09:00Z"}
    text = rendered(amtool, tmp_path, "warpgauge.text", DATA | {"alerts": [DATA["alerts"][0], ended]})

    assert text.count("ended: ") == 1
    assert "- ended: n1/gpu1 is lost\n  since 2026-11-26 03:05 UTC, ended 2026-11-26 03:09 UTC" in text


def test_the_title_about_a_job_names_it_also_where_several_alerts_are_in_the_message(amtool: Path, tmp_path: Path):
    message = DATA | {"commonLabels": {"job_id": "train", "severity": "warning", "cluster": "c1"}}

    title = rendered(amtool, tmp_path, "warpgauge.title", message).strip()

    assert title == "[FIRING 8] several alerts (warning) about job train in c1"
