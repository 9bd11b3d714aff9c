"""What differs from site to site in the generated rules."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from warpgauge.core.promql_site import narrowed, relabeled

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.core.finding import Severity

__all__ = ["Site"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Choices of one site; the defaults are those of everything on one machine.

    `thresholds`, `holds` and `severities` are by alert and only name what differs from the rule's own.
    `warpgauge.alerts.settings` makes a site from a configuration and says what is wrong with it.
    """

    runbooks_url: str = "http://127.0.0.1:9838"  # the analyzer serves /runbooks/NAME
    grafana_url: str = "http://127.0.0.1:3000"
    webhook_url: str = ""  # where Alertmanager posts; empty: alerts are shown in its own page only
    slack_url_file: str = ""  # file with Slack's webhook address; empty: no Slack
    slack_channel: str = "#alerts"
    email_to: str = ""
    email_from: str = "warpgauge@localhost"
    smtp_server: str = "localhost:25"  # host:port
    pagerduty_key_file: str = ""  # file with the integration key (Events API v2)
    selector: str = ""  # matchers without braces, such as env="prod", that every series read must match
    cluster_label: str = "cluster"
    prometheus: str = "2.42"  # oldest release that must load the rules
    thresholds: Mapping[str, float] = field(default_factory=dict)
    holds: Mapping[str, str] = field(default_factory=dict)
    severities: Mapping[str, Severity] = field(default_factory=dict)
    disabled: frozenset[str] = frozenset()
    extra_labels: Mapping[str, str] = field(default_factory=dict)

    def adapted(self, expression: str) -> str:
        """The expression with the site's selector and cluster label."""
        return relabeled(narrowed(expression, self.selector), self.cluster_label)

    @property
    def knows_keep_firing(self) -> bool:
        """Whether `keep_firing_for` may be written: Prometheus has it since 2.42."""
        return self._release >= (2, 42)

    @property
    def knows_group_labels(self) -> bool:
        """Whether a group may carry `labels`: Prometheus has them since 3.0."""
        return self._release >= (3, 0)

    @property
    def _release(self) -> tuple[int, ...]:
        return tuple(int(part) for part in self.prometheus.split("."))
