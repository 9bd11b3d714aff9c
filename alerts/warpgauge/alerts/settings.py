"""A site from the section [alerts] of the configuration, with exact words for what is wrong in it."""

from __future__ import annotations

from math import isfinite
from typing import TYPE_CHECKING, Final, TypeVar

from warpgauge.alerts.groups import alerts
from warpgauge.alerts.site import Site
from warpgauge.core.config.site_words import is_duration, known, label, pairs, selector
from warpgauge.core.errors import ConfigError
from warpgauge.core.finding import Severity

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

    from warpgauge.alerts.rule import Rule
    from warpgauge.core.config import AlertsConfig

__all__ = ["site_of"]

T = TypeVar("T")

_OWN: Final = frozenset({"alertname", "severity", "scope", "node", "uuid", "index", "job_id"})


def site_of(config: AlertsConfig) -> Site:
    """What the section says.

    Raises:
        ConfigError: an alert, a label, a number or a selector in it cannot be used; the message names the key.

    """
    rules = {rule.alert: rule for rule in alerts()}
    for name in config.disabled:
        known(name, rules, "alerts.disabled", "alert")
    return Site(
        runbooks_url=config.runbooks_url.rstrip("/"),
        grafana_url=config.grafana_url.rstrip("/"),
        webhook_url=config.webhook_url.rstrip("/"),
        slack_url_file=config.slack_url_file,
        slack_channel=config.slack_channel,
        email_to=config.email_to,
        email_from=config.email_from,
        smtp_server=config.smtp_server,
        pagerduty_key_file=config.pagerduty_key_file,
        selector=selector(config.selector, "alerts.selector"),
        cluster_label=label(config.cluster_label, "alerts.cluster_label"),
        prometheus=config.prometheus,
        thresholds=_by_alert(config.thresholds, "thresholds", rules, _threshold),
        holds=_by_alert(config.holds, "holds", rules, _hold),
        severities=_by_alert(config.severities, "severities", rules, _severity),
        disabled=frozenset(config.disabled),
        extra_labels=_extra_labels(config.extra_labels),
    )


def _by_alert(
    lines: Iterable[str], key: str, rules: Mapping[str, Rule], read: Callable[[Rule, str], T]
) -> dict[str, T]:
    found: dict[str, T] = {}
    for name, text in pairs(lines, f"alerts.{key}", "ALERT=VALUE"):
        rule = rules[known(name, rules, f"alerts.{key}", "alert")]
        try:
            found[name] = read(rule, text)
        except ValueError as error:
            msg = f"alerts.{key}: {name} {error}, got {text!r}"
            raise ConfigError(msg) from error
    return found


def _threshold(rule: Rule, text: str) -> float:
    if rule.threshold is None:
        msg = "has no threshold to set"
        raise ValueError(msg)
    try:
        value = float(text)
    except ValueError:
        value = float("nan")
    if not isfinite(value):
        msg = "needs a number"
        raise ValueError(msg)
    return value


def _hold(_rule: Rule, text: str) -> str:
    if not is_duration(text):
        msg = "needs a duration such as 10m"
        raise ValueError(msg)
    return text


def _severity(_rule: Rule, text: str) -> Severity:
    if text not in set(Severity):
        msg = f"needs one of {', '.join(Severity)}"
        raise ValueError(msg)
    return Severity(text)


def _extra_labels(lines: Iterable[str]) -> dict[str, str]:
    labels = dict(pairs(lines, "alerts.extra_labels", "NAME=VALUE"))
    for name in labels:
        if label(name, "alerts.extra_labels") in _OWN:
            msg = f"alerts.extra_labels: {name} is a label of the rules themselves"
            raise ConfigError(msg)
    return labels
