"""One fault, one notification, whoever sees it first: a real Alertmanager hears of it from a rule and a finding."""

from __future__ import annotations

import asyncio
import json
import time
import urllib.request
from typing import TYPE_CHECKING, Any, Final

import pytest

from tests.alerts.hurry import write_site
from tests.real_servers import get_json, wait_until
from warpgauge.alerts.groups import alerts
from warpgauge.alerts.site import Site
from warpgauge.analyzer.service.alerting import Naming
from warpgauge.analyzer.service.alertmanager import Pusher
from warpgauge.analyzer.sources.fetch import new_session
from warpgauge.core.clock import SystemClock
from warpgauge.core.config import AlertsConfig
from warpgauge.core.finding import Finding, FindingKind, Scope
from warpgauge.core.twins import TWINS, twin_of

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from tests.real_servers import Webhook

pytestmark = [pytest.mark.real, pytest.mark.slow]

SCALE: Final = 150  # group_wait 200 ms, group_interval 2 s
PLACE: Final = {
    "cluster": "c1", "node": "n1", "uuid": "GPU-1", "index": "0", "job_id": "42", "rank": "3", "stage": "",
    "user": "ann", "xid": "79", "link": "2", "collector": "nvml", "instance": "n1:9837",
}  # fmt: skip
RULES: Final = {rule.alert: rule for rule in alerts()}
KINDS: Final = (FindingKind.DEVICE_LOST, FindingKind.STRAGGLER, FindingKind.HOST_SATURATED)  # one of each scope


@pytest.fixture
def alertmanager(alertmanager_server: Callable[..., str], webhook: Webhook, tmp_path: Path) -> str:
    write_site(tmp_path, Site(webhook_url=webhook.url), SCALE)
    return alertmanager_server(tmp_path / "alertmanager/alertmanager.yml")


def finding(kind: FindingKind) -> Finding:
    severity = TWINS[kind][0].severity
    now = time.time()
    return Finding(
        id=f"finding-{kind}", kind=kind, severity=severity, since=now, confirmed=now, confidence=0.9, evidence=(),
        scope=Scope(cluster="c1", node="n1", uuid="GPU-1", job_id="42", rank=3), summary="It is so.", remedy="Look.",
    )  # fmt: skip


def say_as_prometheus(alertmanager: str, kind: FindingKind) -> None:
    """What Prometheus posts for the rule that is the finding's twin."""
    rule = RULES[twin_of(kind, TWINS[kind][0].severity).alert]
    labels = {name: PLACE[name] for name in rule.labels} | {"alertname": rule.alert} | rule.labels_at(Site())
    body = json.dumps([{"labels": labels, "annotations": {"summary": "It is so."}}]).encode()
    request = urllib.request.Request(f"{alertmanager}/api/v2/alerts", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10):
        pass


def say_as_analyzer(alertmanager: str, kind: FindingKind) -> None:
    async def push() -> None:
        async with new_session() as session:
            naming = Naming.of(AlertsConfig())
            await Pusher(session, alertmanager, naming, SystemClock(), interval_seconds=10).push([finding(kind)], [])

    asyncio.run(push())


def firing(webhook: Webhook) -> list[Any]:
    return [body for body in webhook.received if body["status"] == "firing"]


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("first", ["rule", "analyzer"])
def test_one_fault_that_both_see_is_one_message(alertmanager: str, webhook: Webhook, kind: FindingKind, first: str):
    both = [say_as_prometheus, say_as_analyzer]
    for say in both if first == "rule" else reversed(both):
        say(alertmanager, kind)
        webhook.wait_for(lambda body: body["status"] == "firing", what="somebody is told")
    time.sleep(2 * 300 / SCALE + 0.5)  # two group intervals
    assert len(firing(webhook)) == 1
    assert len(webhook.received[0]["alerts"]) == 1


def test_a_fault_on_another_device_is_told_all_the_same(alertmanager: str, webhook: Webhook):
    say_as_analyzer(alertmanager, FindingKind.DEVICE_LOST)
    webhook.wait_for(lambda body: body["status"] == "firing", what="somebody is told")
    labels = {"alertname": "DeviceLost", "severity": "critical", "scope": "device", "cluster": "c1", "node": "n1",
              "uuid": "GPU-2", "index": "1"}  # fmt: skip
    body = json.dumps([{"labels": labels}]).encode()
    request = urllib.request.Request(f"{alertmanager}/api/v2/alerts", body, {"Content-Type": "application/json"})
    with urllib.request.urlopen(request, timeout=10):
        pass
    wait_until(lambda: len(get_json(f"{alertmanager}/api/v2/alerts")) == 2, what="both stand")
    webhook.wait_for(lambda body: len(body["alerts"]) == 2, what="the second device is told too", seconds=20)
