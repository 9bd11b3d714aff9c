"""Typed rules and groups, written as the YAML that Prometheus 2.42 and newer load."""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final, Literal

from warpgauge.core.links import dashboard_path, runbook_path
from warpgauge.core.promql_site import relabeled

if TYPE_CHECKING:
    from warpgauge.alerts.site import Site
    from warpgauge.core.finding import Severity

__all__ = ["Group", "RecordingRule", "Rule", "Scope"]

Scope = Literal["device", "node", "fabric", "job", "fleet"]

Document = dict[str, Any]

_CHOSEN_BY: Final = {
    "device": ("cluster", "node", "uuid"),
    "dcgm-device": ("node", "uuid"),
    "job": ("cluster", "job_id"),  # of all its nodes: ranks are compared there
    "serving": ("cluster", "node", "model"),
}
"""What a dashboard is narrowed to by its link, as far as the alert carries it; the others by cluster and node."""

_UNITS: Final = {"s": "second", "m": "minute", "h": "hour", "d": "day"}


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRule:
    """A precomputed series; its name is level:metric:operations."""

    record: str
    expr: str

    def expression(self, site: Site) -> str:
        """The query as the site needs it."""
        return site.adapted(self.expr)

    def document(self, site: Site) -> Document:
        """Write the rule as Prometheus reads it."""
        extra = {"labels": dict(site.extra_labels)} if site.extra_labels and not site.knows_group_labels else {}
        return {"record": self.record, "expr": self.expression(site), **extra}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """An alert; `labels` are the labels of its series, which summary and description may use.

    Durations are Prometheus durations such as "5m". `$threshold` in the expression and the texts is the number to pass,
    `$hold` in the texts is `hold` in words; both can be set by a site. Line breaks in the description are not kept.
    """

    alert: str
    expr: str
    labels: tuple[str, ...]
    severity: Severity
    scope: Scope
    summary: str
    description: str
    dashboard: str
    hold: str = "0s"  # `for`: how long the condition must last
    keep_firing: str = ""  # how long it goes on firing after the condition ended, against flapping
    threshold: float | None = None  # None: nothing to set

    def expression(self, site: Site) -> str:
        """The query as the site needs it."""
        return site.adapted(self._filled(self.expr, site))

    def hold_at(self, site: Site) -> str:
        """How long the condition must last at this site."""
        return site.holds.get(self.alert, self.hold)

    def severity_at(self, site: Site) -> Severity:
        """How urgent it is at this site."""
        return site.severities.get(self.alert, self.severity)

    def labels_at(self, site: Site) -> dict[str, str]:
        """The labels that the rule adds to those of its series."""
        own = {} if site.knows_group_labels else site.extra_labels
        return {**own, "severity": self.severity_at(site).value, "scope": self.scope}

    def annotations(self, site: Site) -> dict[str, str]:
        """Texts and links."""
        return {
            "summary": relabeled(self._filled(self.summary, site), site.cluster_label),
            "description": relabeled(self._filled(" ".join(self.description.split()), site), site.cluster_label),
            "runbook_url": f"{site.runbooks_url}{runbook_path(self.alert)}",
            "dashboard_url": f"{site.grafana_url}{dashboard_path(self.dashboard)}"
            f"{relabeled(self._variables(), site.cluster_label)}",
        }

    def document(self, site: Site) -> Document:
        """Write the rule as Prometheus reads it."""
        keep = self.keep_firing if site.knows_keep_firing else ""
        return {
            "alert": self.alert,
            "expr": self.expression(site),
            "for": self.hold_at(site),
            **({"keep_firing_for": keep} if keep else {}),
            "labels": self.labels_at(site),
            "annotations": self.annotations(site),
        }

    def _filled(self, text: str, site: Site) -> str:
        text = text.replace("$hold", _words(self.hold_at(site)))
        if self.threshold is None:
            return text
        limit = site.thresholds.get(self.alert, self.threshold)
        return text.replace("$threshold%", f"{limit:.4%}".rstrip("0%").rstrip(".") + "%").replace(
            "$threshold", f"{limit:g}"
        )

    def _variables(self) -> str:
        names = _CHOSEN_BY.get(self.dashboard, ("node",) if self.dashboard.startswith("dcgm-") else ("cluster", "node"))
        chosen = [f"var-{name}={{{{ $labels.{name} | urlquery }}}}" for name in names if name in self.labels]
        return f"?{'&'.join(chosen)}" if chosen else ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Group:
    """Rules of one subject, evaluated in order: recording rules stand before the alerts that use them."""

    name: str
    rules: tuple[RecordingRule | Rule, ...]
    interval: str = "30s"

    @property
    def alerts(self) -> tuple[Rule, ...]:
        """Only the alerts."""
        return tuple(rule for rule in self.rules if isinstance(rule, Rule))

    def rules_at(self, site: Site) -> tuple[RecordingRule | Rule, ...]:
        """What the site has not disabled."""
        return tuple(rule for rule in self.rules if isinstance(rule, RecordingRule) or rule.alert not in site.disabled)

    def block(self, site: Site) -> Document:
        """Write the group as it stands below `groups`."""
        labels = {"labels": dict(site.extra_labels)} if site.extra_labels and site.knows_group_labels else {}
        rules = [rule.document(site) for rule in self.rules_at(site)]
        return {"name": f"warpgauge-{self.name}", "interval": self.interval, **labels, "rules": rules}

    def document(self, site: Site) -> Document:
        """Write the whole rule file."""
        return {"groups": [self.block(site)]}


def _words(duration: str) -> str:
    """A Prometheus duration in words: "10m" is "10 minutes"."""
    parts = [(int(number), unit) for number, unit in re.findall(r"(\d+)([smhd])", duration)]
    return " ".join(f"{number} {_UNITS[unit]}{'' if number == 1 else 's'}" for number, unit in parts)
