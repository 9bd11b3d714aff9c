"""Alertmanager's configuration: who hears of what, in how few messages, and what keeps quiet."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

from warpgauge.alerts.templates import TEMPLATE_FILE
from warpgauge.core.finding import Severity

if TYPE_CHECKING:
    from warpgauge.alerts.site import Site

__all__ = ["RECEIVERS", "configuration"]

RECEIVERS: Final = ("operations", "page", "jobs")
"""Who is told: everybody on duty, the one who is woken up, the owners of jobs."""

SIMULATED_CLUSTER: Final = "demo"
NODE_GONE: Final = "AgentDown|NodeDown"  # NodeDown: what node_exporter's rules usually call it
BY_ANALYZER: Final = 'source="analyzer"'
BY_RULE: Final = 'source=""'


def configuration(site: Site) -> dict[str, Any]:
    """Everything in alertmanager.yml; without an address the receivers exist and tell nobody."""
    mail = {"smtp_smarthost": site.smtp_server, "smtp_from": site.email_from} if site.email_to else {}
    return {
        "global": {"resolve_timeout": "5m", **mail},
        "templates": [TEMPLATE_FILE],
        "route": _routes(site.cluster_label),
        "inhibit_rules": _inhibitions(site.cluster_label),
        "receivers": [{"name": "nobody"}, *(_receiver(name, site) for name in RECEIVERS)],
    }


def _routes(cluster: str) -> dict[str, Any]:
    """The first child that matches wins, so what wakes people up stands before what only informs."""
    return {
        "receiver": "operations",
        "group_by": [cluster, "alertname"],  # a thousand devices with one trouble are one message
        "group_wait": "30s",
        "group_interval": "5m",
        "repeat_interval": "4h",
        "routes": [
            {"matchers": [f'{cluster}="{SIMULATED_CLUSTER}"'], "receiver": "nobody"},
            {"matchers": [f'severity="{Severity.CRITICAL}"'], "receiver": "page", "repeat_interval": "1h"},
            {
                "matchers": ['scope="job"'],
                "receiver": "jobs",
                "group_by": [cluster, "job_id"],
                "repeat_interval": "1d",
            },
        ],
    }


def _inhibitions(cluster: str) -> list[dict[str, Any]]:
    """Every source asks for the labels in `equal`: a label missing on both sides would count as equal fleet-wide."""
    return [
        _inhibition(
            [f'alertname=~"{NODE_GONE}"', 'node!=""'],
            [f'alertname!~"{NODE_GONE}"', 'scope=~"device|node|fabric|job"'],
            [cluster, "node"],
        ),
        _inhibition(
            ['alertname="DeviceLost"', 'uuid!=""'],
            ['alertname!="DeviceLost"', f'severity=~"{Severity.WARNING}|{Severity.INFO}"'],
            [cluster, "uuid"],
        ),
        _inhibition(['alertname="FleetAgentsDown"', f'{cluster}!=""'], ['alertname="AgentDown"'], [cluster]),
        _inhibition(
            ['alertname="FleetOverheating"', f'{cluster}!=""'],
            ['alertname=~"DeviceThermalThrottling|DeviceNearThermalLimit"'],
            [cluster],
        ),
        *(
            _inhibition([f'alertname="{name}Fast"', f'{cluster}!=""'], [f'alertname="{name}Slow"'], [cluster])
            for name in ("TelemetryFreshnessBurn", "HealthyDeviceHoursBurn")
        ),
        *_once(cluster),
    ]


def _once(cluster: str) -> list[dict[str, Any]]:
    """One fault, one message: what the analyzer said first keeps the rule's twin quiet, at the same place only.

    The analyzer asks before it says anything, so what a rule said first keeps the analyzer quiet. A recommendation is
    heard by itself only where no alert about the same place is.
    """
    places = (("device|fabric", "uuid"), ("node", "node"), ("job", "job_id"))
    twins = [
        _inhibition(
            [BY_ANALYZER, f'scope=~"{scope}"', f'{place}!=""'],
            [BY_RULE, f'scope=~"{scope}"'],
            [cluster, "alertname", place],
        )
        for scope, place in places
    ]
    advice = [
        _inhibition(
            ['alertname!="Recommendation"', f'{place}!=""'],
            ['alertname="Recommendation"', f'scope=~"{scope}"'],
            [cluster, place],
        )
        for scope, place in places
    ]
    return [*twins, *advice]


def _inhibition(source: list[str], target: list[str], equal: list[str]) -> dict[str, Any]:
    return {"source_matchers": source, "target_matchers": target, "equal": equal}


def _receiver(name: str, site: Site) -> dict[str, Any]:
    """Everybody hears by webhook, Slack and mail; PagerDuty is for who is woken up."""
    receiver: dict[str, Any] = {"name": name}
    if site.webhook_url:
        receiver["webhook_configs"] = [{"url": site.webhook_url, "send_resolved": True}]
    if site.slack_url_file:
        receiver["slack_configs"] = [_slack(site)]
    if site.email_to:
        receiver["email_configs"] = [_email(site)]
    if site.pagerduty_key_file and name == "page":
        receiver["pagerduty_configs"] = [_pagerduty(site)]
    return receiver


def _slack(site: Site) -> dict[str, Any]:
    return {
        "api_url_file": site.slack_url_file,
        "channel": site.slack_channel,
        "send_resolved": True,
        "title": _use("title"),
        "title_link": "{{ (index .Alerts 0).Annotations.dashboard_url }}",
        "text": _use("slack.text"),
        "color": _use("slack.color"),
        "fallback": _use("title"),
    }


def _email(site: Site) -> dict[str, Any]:
    return {
        "to": site.email_to,
        "send_resolved": True,
        "headers": {"subject": _use("title")},
        "html": _use("email.html"),
        "text": _use("text"),
    }


def _pagerduty(site: Site) -> dict[str, Any]:
    return {
        "routing_key_file": site.pagerduty_key_file,
        "send_resolved": True,
        "description": _use("pagerduty.description"),
        "severity": _use("pagerduty.severity"),
        "details": {"text": _use("text")},
        "links": [{"href": "{{ (index .Alerts 0).Annotations.runbook_url }}", "text": "runbook"}],
    }


def _use(name: str) -> str:
    return f'{{{{ template "warpgauge.{name}" . }}}}'
