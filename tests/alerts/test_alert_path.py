"""From a device's fault to a person's inbox: page, real Prometheus, real Alertmanager, webhook, and back to resolved.

The rules and the configuration are the generated ones; a test-only scale divides all their durations.
"""

from __future__ import annotations

import contextlib
import json
import subprocess
import sys
import time
import urllib.request
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.alerts.hurry import hurried, write_site
from tests.live_pages import serve
from tests.real_servers import answers, free_port, get_json, wait_until
from warpgauge.alerts.site import Site
from warpgauge.core.catalog import device
from warpgauge.core.exposition import FamilyRenderer, Format, page
from warpgauge.core.sample import Sample

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from pathlib import Path

    from tests.real_servers import Webhook

pytestmark = [pytest.mark.real, pytest.mark.slow]

SCALE: Final = 150  # 5 minutes are 2 seconds
SCRAPE: Final = "200ms"
IDENTITY: Final = ("GPU-1", "0")


@dataclass
class Card:
    """One device and the page of its node; the test changes what is wrong with it."""

    is_hot: bool = False
    state: str = "ok"
    heat_seconds: float = 0.0
    read_at: float = field(default_factory=time.time)
    renderer: FamilyRenderer = field(default_factory=FamilyRenderer)

    def page(self) -> bytes:
        now = time.time()
        self.heat_seconds += (now - self.read_at) * self.is_hot
        self.read_at = now
        return page([self.renderer.render(self.samples())], Format.TEXT)

    def samples(self) -> Iterator[Sample]:
        yield Sample(device.LAST_SAMPLE, IDENTITY, self.read_at)
        yield Sample(device.THROTTLE_SECONDS, (*IDENTITY, "hw_thermal"), self.heat_seconds)
        for state in device.DEVICE_STATE.states:
            yield Sample(device.DEVICE_STATE, (*IDENTITY, state), float(state == self.state))


@pytest.fixture
def alertmanager(alertmanager_server: Callable[..., str], webhook: Webhook, tmp_path: Path) -> str:
    """Alertmanager under the generated configuration of a site whose webhook is the test's inbox."""
    write_site(tmp_path, Site(webhook_url=webhook.url), SCALE)
    return alertmanager_server(tmp_path / "alertmanager/alertmanager.yml")


@pytest.fixture
def watch(prometheus_server: Callable[..., str], alertmanager: str, tmp_path: Path) -> Callable[[str], str]:
    """Scrape HOST:PORT as the agent of node n1 and evaluate all generated rules."""

    def start(address: str) -> str:
        target = {
            "job_name": "warpgauge-agent",
            "scrape_interval": SCRAPE,
            "scrape_timeout": SCRAPE,
            "static_configs": [{"targets": [address], "labels": {"cluster": "test", "node": "n1"}}],
        }
        return prometheus_server([target], rules=sorted(tmp_path.glob("*.yml")), alertmanagers=[alertmanager])

    return start


@pytest.fixture
def card(watch: Callable[[str], str]) -> Iterator[Card]:
    """A device under watch."""
    watched = Card()
    with serve({"/metrics": watched.page}) as address:
        watch(address)
        yield watched


@contextlib.contextmanager
def real_agent(address: str) -> Iterator[None]:
    """The real agent of this machine, ready, and gone when the block is left."""
    command = [sys.executable, "-m", "warpgauge", "agent", f"--web.listen-address={address}"]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as agent:
        try:
            wait_until(lambda: answers(f"http://{address}/-/ready"), what="the agent is ready")
            yield
        finally:
            agent.terminate()


def tells(alertname: str, status: str) -> Callable[[Any], bool]:
    return lambda body: any(
        one["labels"]["alertname"] == alertname and one["status"] == status for one in body["alerts"]
    )


def post(alertmanager: str, alerts: list[dict[str, Any]]) -> None:
    request = urllib.request.Request(
        f"{alertmanager}/api/v2/alerts", json.dumps(alerts).encode(), {"Content-Type": "application/json"}
    )
    with urllib.request.urlopen(request, timeout=10):
        pass


def labeled(alertname: str, severity: str, scope: str, **labels: str) -> dict[str, Any]:
    return {"labels": {"alertname": alertname, "severity": severity, "scope": scope, "cluster": "test", **labels}}


def test_only_durations_are_hurried():
    document = {
        "for": "5m",
        "expr": "rate(x[5m] offset 15m) > 5 or time() - max(y) > 300 or time() - z < 60",
        "description": "after 5 minutes, say 5m",
    }
    assert hurried(document, SCALE) == {
        "for": "2000ms",
        "expr": "rate(x[2000ms] offset 6000ms) > 5 or time() - max(y) > 300 or time() - z < 60",
        "description": "after 5 minutes, say 5m",
    }


def test_a_hot_device_is_reported_with_its_runbook_and_resolved_when_it_cooled(card: Card, webhook: Webhook):
    card.is_hot = True
    body = webhook.wait_for(tells("DeviceThermalThrottling", "firing"), what="the webhook hears of the hot device")
    (alert,) = body["alerts"]
    assert body["receiver"] == "operations"
    assert alert["labels"].items() >= {"cluster": "test", "node": "n1", "uuid": "GPU-1", "severity": "warning"}.items()
    assert alert["annotations"]["runbook_url"] == "http://127.0.0.1:9838/runbooks/DeviceThermalThrottling"
    card.is_hot = False
    webhook.wait_for(tells("DeviceThermalThrottling", "resolved"), what="the webhook hears that the device cooled")


def test_a_real_agent_that_ends_is_reported_and_resolved_when_it_is_back(
    watch: Callable[[str], str], alertmanager: str, webhook: Webhook
):
    address = f"127.0.0.1:{free_port()}"
    with real_agent(address):
        prometheus = watch(address)
        wait_until(lambda: get_json(f"{prometheus}/api/v1/query?query=host_load1")["data"]["result"], what="a scrape")
        assert get_json(f"{alertmanager}/api/v2/alerts") == []
    body = webhook.wait_for(tells("AgentDown", "firing"), what="the webhook hears that the agent ended")
    assert body["receiver"] == "page"
    assert body["commonAnnotations"]["summary"] == f"Agent {address} on n1 does not answer"
    assert body["commonAnnotations"]["runbook_url"] == "http://127.0.0.1:9838/runbooks/AgentDown"
    with real_agent(address):
        webhook.wait_for(tells("AgentDown", "resolved"), what="the webhook hears that the agent is back")


def test_a_lost_device_wakes_somebody_up_and_nothing_else_is_said(card: Card, webhook: Webhook):
    card.state = "lost"
    body = webhook.wait_for(tells("DeviceLost", "firing"), what="the webhook hears of the lost device")
    assert body["receiver"] == "page"
    assert body["commonAnnotations"]["summary"] == "n1/gpu0 is lost"
    assert {one["labels"]["alertname"] for sent in webhook.received for one in sent["alerts"]} == {"DeviceLost"}


def test_a_healthy_device_is_not_mentioned(card: Card, webhook: Webhook, alertmanager: str):
    card.is_hot = True  # too short a heat to matter
    time.sleep(1)
    card.is_hot = False
    time.sleep(8)  # longer than any `for` of a device alert, scaled
    assert webhook.received == []
    assert get_json(f"{alertmanager}/api/v2/alerts") == []


def test_a_lost_node_keeps_its_devices_quiet_and_no_others(alertmanager: str):
    devices = [
        labeled("DeviceThermalThrottling", "warning", "device", node=node, uuid=f"GPU-{node}") for node in ("n1", "n2")
    ]
    post(alertmanager, [labeled("AgentDown", "critical", "node", node="n1"), *devices])
    suppressed = wait_until(
        lambda: {
            one["labels"]["node"]: one["labels"]["alertname"]
            for one in get_json(f"{alertmanager}/api/v2/alerts")
            if one["status"]["state"] == "suppressed"
        },
        what="Alertmanager inhibits",
    )
    assert suppressed == {"n1": "DeviceThermalThrottling"}


def test_an_agent_without_a_node_label_silences_nobody(alertmanager: str):
    hot = labeled("DeviceThermalThrottling", "warning", "device", uuid="GPU-1")
    post(alertmanager, [labeled("AgentDown", "critical", "node"), hot])
    time.sleep(1)
    states = [one["status"]["state"] for one in get_json(f"{alertmanager}/api/v2/alerts")]
    assert states == ["active", "active"]


@pytest.mark.parametrize("troubles", [1, 5])
def test_a_thousand_devices_in_trouble_are_few_messages(alertmanager: str, webhook: Webhook, troubles: int):
    names = ["DeviceThermalThrottling", "DeviceNearThermalLimit", "DevicePcieReplays", "LinkErrors", "DeviceMemoryFull"]
    many = [
        labeled(names[number % troubles], "warning", "device", node=f"n{number // 8}", uuid=f"GPU-{number}")
        for number in range(1000)
    ]
    post(alertmanager, many)
    wait_until(lambda: sum(len(body["alerts"]) for body in webhook.received) >= len(many), what="all were told")
    assert len(webhook.received) <= 10


def test_the_simulated_fleet_is_told_to_nobody(alertmanager: str, webhook: Webhook):
    simulated = labeled("DeviceLost", "critical", "device", node="sim-node-1", uuid="GPU-s")
    simulated["labels"]["cluster"] = "demo"
    post(alertmanager, [simulated, labeled("DeviceLost", "critical", "device", node="n1", uuid="GPU-1")])
    webhook.wait_for(tells("DeviceLost", "firing"), what="the webhook hears of the real device")
    time.sleep(1)
    assert [one["labels"]["cluster"] for body in webhook.received for one in body["alerts"]] == ["test"]
