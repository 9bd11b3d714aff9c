"""The real programs that other tests rely on: they come, they run, they go."""

from __future__ import annotations

import json
import subprocess
from typing import TYPE_CHECKING

import pytest

from tests.real_servers import Servers, answers, get_json, servers_in, wait_until
from tools import real_components

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.real_servers import Webhook

pytestmark = [pytest.mark.real, pytest.mark.slow]


def test_promtool_checks_a_page(promtool: Path):
    page = "# HELP up_total Ups.\n# TYPE up_total counter\nup_total 1\n"
    done = subprocess.run([promtool, "check", "metrics"], input=page, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_amtool_refuses_a_config_without_a_route(amtool: Path, tmp_path: Path):
    config = tmp_path / "alertmanager.yml"
    config.write_text("receivers: []\n")
    done = subprocess.run([amtool, "check-config", config], capture_output=True, text=True, check=False)
    assert done.returncode == 1


def test_prometheus_scrapes_node_exporter(prometheus_server: Callable[..., str], node_exporter_url: str):
    base = prometheus_server([f"{node_exporter_url}/metrics"])
    query = f"{base}/api/v1/query?query=node_load1"
    result = wait_until(lambda: get_json(query)["data"]["result"], what="Prometheus has node_load1")
    assert result[0]["metric"]["instance"] == node_exporter_url.removeprefix("http://")


def test_a_rule_reaches_the_webhook_through_alertmanager(
    prometheus_server: Callable[..., str],
    alertmanager_server: Callable[..., str],
    webhook: Webhook,
    tmp_path: Path,
):
    rules = tmp_path / "rules.yml"
    rules.write_text(json.dumps({"groups": [{"name": "g", "rules": [{"alert": "Always", "expr": "vector(1)"}]}]}))
    route = {"receiver": "hook", "group_by": ["alertname"], "group_wait": "100ms", "group_interval": "1s"}
    receivers = [{"name": "hook", "webhook_configs": [{"url": webhook.url}]}]
    alertmanager = alertmanager_server({"route": route, "receivers": receivers})
    prometheus_server(rules=[rules], alertmanagers=[alertmanager])
    body = webhook.wait_for(lambda body: body["status"] == "firing", what="the webhook hears of Always")
    assert body["alerts"][0]["labels"]["alertname"] == "Always"


def test_chromium_opens_a_page(browser):
    page = browser.new_page()
    page.set_content("<h1>truth</h1>")
    assert page.inner_text("h1") == "truth"


def test_a_server_is_gone_after_a_failure(tmp_path: Path):
    program = ["python3", "-m", "http.server", "--bind", "127.0.0.1"]
    urls: list[str] = []
    with pytest.raises(ZeroDivisionError):
        fail_with_a_server(tmp_path, program, urls)
    assert not answers(urls[0])


def fail_with_a_server(directory: Path, program: list[str], urls: list[str]) -> None:
    with servers_in(directory) as running:
        urls.append(running.start("pages", lambda port, _: [*program, str(port)], ready="/"))
        assert 1 / 0


def test_a_server_that_cannot_start_fails_the_test_with_its_own_words(tmp_path: Path):
    running = Servers(tmp_path)
    with pytest.raises(pytest.fail.Exception, match="no such config"):
        running.start("broken", lambda *_: ["sh", "-c", "echo no such config; exit 3"], ready="/")


def test_without_apt_or_the_program_the_message_names_the_package(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(real_components.ComponentMissingError, match="install prometheus-alertmanager with"):
        real_components.program("amtool", cache=tmp_path / "cache")


def test_without_a_network_the_message_is_one_sentence_with_the_command(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
):
    fake = tmp_path / "apt-get"
    fake.write_text("#!/bin/sh\necho 'E: Temporary failure resolving deb.debian.org' >&2\nexit 100\n")
    fake.chmod(0o755)
    monkeypatch.setenv("PATH", f"{tmp_path}:/usr/bin:/bin")
    with pytest.raises(
        real_components.ComponentMissingError, match=r"Temporary failure.*python3 tools/real_components"
    ):
        real_components.program("promtool", cache=tmp_path / "cache")


def test_slurm_is_installed_only_when_asked(tmp_path: Path):
    with pytest.raises(
        real_components.ComponentMissingError, match=r"sudo apt-get .* install .* slurmctld slurmd .* munge"
    ):
        real_components.slurm(environ={"PATH": str(tmp_path)})


def test_chromium_is_installed_only_when_asked(tmp_path: Path):
    with pytest.raises(real_components.ComponentMissingError, match=r"sudo apt-get .* install .* chromium"):
        real_components.chromium(environ={"PATH": str(tmp_path)})
