"""Typed rules and groups, written as the YAML that Prometheus 2.42 and newer load."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal

from warpgauge.core.links import dashboard_path, runbook_path

if TYPE_CHECKING:
    from warpgauge.alerts.site import Site
    from warpgauge.core.finding import Severity

__all__ = ["Group", "RecordingRule", "Rule", "Scope"]

Scope = Literal["device", "node", "fabric", "job", "fleet"]

Document = dict[str, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class RecordingRule:
    """A precomputed series; its name is level:metric:operations."""

    record: str
    expr: str

    def document(self, _site: Site) -> Document:
        """Write the rule as Prometheus reads it."""
        return {"record": self.record, "expr": self.expr}


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """An alert; `labels` are the labels of its series, which summary and description may use.

    Durations are Prometheus durations such as "5m"; line breaks in the description are not kept.
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

    def document(self, site: Site) -> Document:
        """Write the rule as Prometheus reads it."""
        timing = {"for": self.hold} | ({"keep_firing_for": self.keep_firing} if self.keep_firing else {})
        return {
            "alert": self.alert,
            "expr": self.expr,
            **timing,
            "labels": {"severity": self.severity.value, "scope": self.scope},
            "annotations": {
                "summary": self.summary,
                "description": " ".join(self.description.split()),
                "runbook_url": f"{site.runbooks_url}{runbook_path(self.alert)}",
                "dashboard_url": f"{site.grafana_url}{dashboard_path(self.dashboard)}{self._variables()}",
            },
        }

    def _variables(self) -> str:
        chosen = [
            f"var-{name}={{{{ $labels.{name} | urlquery }}}}" for name in ("cluster", "node") if name in self.labels
        ]
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

    def document(self, site: Site) -> Document:
        """Write the whole rule file."""
        rules = [rule.document(site) for rule in self.rules]
        return {"groups": [{"name": f"warpgauge-{self.name}", "interval": self.interval, "rules": rules}]}
