"""Findings and recommendations as alerts, and an Alertmanager that is asked before it is told."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

from aiohttp import web

from tests.analyzer.http_stub import serving
from tests.detectors.test_recommendation_document import example
from warpgauge.analyzer.service.alerting import Naming, finding_alert, recommendation_alert
from warpgauge.analyzer.service.alertmanager import Pusher
from warpgauge.analyzer.sources.fetch import new_session
from warpgauge.core.config import AlertsConfig
from warpgauge.core.finding import Finding, FindingKind, Scope, Severity

if TYPE_CHECKING:
    import pytest

NOW = 1_750_000_000.0
NAMING = Naming.of(AlertsConfig())


class FixedClock:
    def now(self) -> float:
        return NOW

    def monotonic(self) -> float:
        return 0.0


def finding(kind: FindingKind = FindingKind.DEVICE_LOST, **changes: Any) -> Finding:
    one = Finding(
        id="f1",
        kind=kind,
        severity=Severity.CRITICAL,
        scope=Scope(cluster="c1", node="n1", uuid="GPU-1", job_id="42", rank=3),
        since=NOW - 60,
        confirmed=NOW,
        confidence=0.9,
        evidence=(),
        summary="n1/gpu0 is lost.",
        remedy="Drain the node.",
    )
    return replace(one, **changes)


def told(alertname: str, **labels: str) -> dict[str, Any]:
    return {"labels": {"alertname": alertname, "cluster": "c1", **labels}}


@dataclass
class Inbox:
    """An Alertmanager that has alerts standing and keeps what is posted."""

    standing: list[dict[str, Any]] = field(default_factory=list)
    posted: list[list[dict[str, Any]]] = field(default_factory=list)
    status: int = 200

    async def handle(self, request: web.Request) -> web.Response:
        if request.method == "POST":
            self.posted.append(json.loads(await request.read()))
            return web.Response(status=self.status)
        return web.json_response(self.standing, status=self.status)


def pushed(inbox: Inbox, *rounds: tuple[list[Finding], list[Any]]) -> list[list[dict[str, Any]]]:
    async def run() -> None:
        async with serving({"/am/api/v2/alerts": inbox.handle}) as base, new_session() as session:
            pusher = Pusher(session, f"{base}/am/", NAMING, FixedClock(), interval_seconds=10)
            for findings, advice in rounds:
                await pusher.push(findings, advice)

    asyncio.run(run())
    return inbox.posted


def test_a_finding_goes_by_its_twins_name_severity_and_scope():
    alert = finding_alert(finding(severity=Severity.WARNING), NAMING, ends_at=NOW + 120)
    assert alert["labels"] == {
        "alertname": "DeviceLost",
        "severity": "critical",
        "scope": "device",
        "kind": "device_lost",
        "finding": "f1",
        "source": "analyzer",
        "cluster": "c1",
        "node": "n1",
        "uuid": "GPU-1",
        "job_id": "42",
        "rank": "3",
    }
    assert alert["annotations"]["runbook_url"] == "http://127.0.0.1:9838/runbooks/device_lost"
    assert alert["annotations"]["description"] == "Drain the node."


def test_a_sites_severity_labels_and_addresses_hold_for_findings_too():
    site = AlertsConfig(
        severities=("DeviceLost=warning",), extra_labels=("team=ml",), cluster_label="k8s_cluster",
        runbooks_url="https://gauge.test/",
    )  # fmt: skip
    labels = finding_alert(finding(), Naming.of(site), ends_at=NOW)["labels"]
    assert labels.items() >= {"severity": "warning", "team": "ml", "k8s_cluster": "c1"}.items()
    assert "cluster" not in labels


def test_what_is_simulated_is_no_alert():
    assert finding_alert(finding(simulated=True), NAMING, ends_at=NOW) is None
    assert recommendation_alert(replace(example(), simulated=True), NAMING, ends_at=NOW) is None


def test_a_recommendation_is_information_about_its_target():
    alert = recommendation_alert(example(), NAMING, ends_at=NOW + 120)
    assert (
        alert["labels"].items()
        >= {
            "alertname": "Recommendation", "severity": "info", "scope": "device", "uuid": "GPU-1", "node": "n1",
            "cluster": "prod", "kind": "replace-straggler",
        }.items()
    )  # fmt: skip


def test_a_fault_that_a_rule_told_already_is_not_told_again():
    standing = [told("DeviceLost", scope="device", uuid="GPU-1", node="n1")]
    assert pushed(Inbox(standing), ([finding()], [])) == []


def test_the_same_alert_about_another_device_keeps_nobody_quiet():
    standing = [told("DeviceLost", scope="device", uuid="GPU-2", node="n1")]
    assert len(pushed(Inbox(standing), ([finding()], []))) == 1


def test_any_twin_of_the_kind_counts():
    standing = [told("DeviceXidRepeated", scope="device", uuid="GPU-1", node="n1")]
    assert pushed(Inbox(standing), ([finding(FindingKind.XID)], [])) == []


def test_what_was_told_by_us_is_told_on_when_the_rule_fires_too():
    standing = [
        told("DeviceLost", scope="device", uuid="GPU-1", node="n1"),
        told("DeviceLost", scope="device", uuid="GPU-1", node="n1", source="analyzer", finding="f1"),
    ]
    ((alert,),) = pushed(Inbox(standing), ([finding()], []))
    assert alert["labels"]["finding"] == "f1"


def test_a_finding_that_ended_is_told_as_ended_once():
    inbox = Inbox()
    pushed(inbox, ([finding()], []), ([], []), ([], []))
    first, last = inbox.posted
    assert first[0]["endsAt"] == "2025-06-15T15:08:40.000Z"
    assert last[0]["endsAt"] == "2025-06-15T15:06:40.000Z"
    assert first[0]["labels"] == last[0]["labels"]


def test_an_alertmanager_that_refuses_is_logged_once_and_told_again(caplog: pytest.LogCaptureFixture):
    inbox = Inbox(status=503)
    pushed(inbox, ([finding()], []), ([finding()], []))
    assert [record.message for record in caplog.records] == ["alerts not pushed"]
    inbox.status = 200
    assert len(pushed(inbox, ([finding()], []))) == 1


def test_an_answer_that_is_no_list_of_alerts_ends_the_round_only(caplog: pytest.LogCaptureFixture):
    async def odd(_: web.Request) -> web.Response:
        return web.json_response({"data": []})

    async def run() -> None:
        async with serving({"/api/v2/alerts": odd}) as base, new_session() as session:
            await Pusher(session, base, NAMING, FixedClock(), interval_seconds=10).push([finding()], [])

    asyncio.run(run())
    assert "does not answer with a list of alerts" in caplog.records[0].error
