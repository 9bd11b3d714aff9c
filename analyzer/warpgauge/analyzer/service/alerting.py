"""Findings and recommendations as alerts of Alertmanager's API v2; a pure mapping.

A finding goes by the name, severity and scope of the rule that tells the same, so that routes and groups are the
same; `source="analyzer"` tells the two apart. What is simulated is no alert.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.document import rfc3339
from warpgauge.core.finding import Severity
from warpgauge.core.links import dashboard_path, runbook_path
from warpgauge.core.recommendation import TargetType
from warpgauge.core.twins import TWINS, alert_name, twin_of

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from warpgauge.core.config import AlertsConfig
    from warpgauge.core.finding import Finding, Scope
    from warpgauge.core.recommendation import Recommendation

__all__ = ["SOURCE", "Naming", "Told", "finding_alert", "places_of", "recommendation_alert", "told_by_rules"]

SOURCE: Final = "analyzer"
_PLACES: Final = {"device": "uuid", "fabric": "uuid", "node": "node", "job": "job_id"}
_SCOPES: Final = {TargetType.NODE: "node", TargetType.DEVICE: "device", TargetType.WORKLOAD: "job"}

Alert = dict[str, Any]
Told = tuple[str, str, str]
"""Name of an alert, cluster, and the device, node or job that it is about."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Naming:
    """How this site names its alerts: the section [alerts], which the rules are generated from too."""

    cluster_label: str = "cluster"
    runbooks_url: str = ""
    grafana_url: str = ""
    severities: Mapping[str, str] = field(default_factory=dict)
    extra_labels: Mapping[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, config: AlertsConfig) -> Naming:
        """The naming of a configuration."""
        return cls(
            cluster_label=config.cluster_label,
            runbooks_url=config.runbooks_url.rstrip("/"),
            grafana_url=config.grafana_url.rstrip("/"),
            severities=_pairs(config.severities),
            extra_labels=_pairs(config.extra_labels),
        )


def finding_alert(finding: Finding, naming: Naming, *, ends_at: float) -> Alert | None:
    """The alert that fires until `ends_at` unless it is sent again; None for what is simulated."""
    if finding.simulated:
        return None
    name = alert_name(finding.kind, finding.severity)
    twin = twin_of(finding.kind, finding.severity)
    labels = {
        "alertname": name,
        "severity": naming.severities.get(name, (twin.severity if twin else finding.severity).value),
        "scope": twin.scope if twin else _scope_of(finding.scope),
        "kind": finding.kind.value,
        "finding": finding.id,
        **_place(finding.scope, naming),
    }
    annotations = {
        "summary": finding.summary,
        "description": finding.remedy,
        "runbook_url": f"{naming.runbooks_url}{runbook_path(finding.kind.value)}",
    }
    return _alert(labels, annotations, naming, starts_at=finding.since, ends_at=ends_at)


def recommendation_alert(one: Recommendation, naming: Naming, *, ends_at: float) -> Alert | None:
    """What is advised, as information; None for what is simulated."""
    if one.simulated:
        return None
    target = one.target[0]
    scope = _SCOPES[target.type]
    node = target.name if target.type is TargetType.NODE else target.node
    uuid = target.name if target.type is TargetType.DEVICE else target.gpu_uuid
    labels = {
        "alertname": "Recommendation",
        "severity": Severity.INFO.value,
        "scope": scope,
        "kind": one.kind.value,
        "recommendation": one.id,
        naming.cluster_label: target.cluster,
        "node": node or "",
        "uuid": uuid or "",
        "job_id": target.name if target.type is TargetType.WORKLOAD else "",
    }
    annotations = {
        "summary": one.text.summary,
        "description": one.text.detail,
        "runbook_url": f"{naming.runbooks_url}{runbook_path(one.cause.finding_kind.value)}",
    }
    return _alert(labels, annotations, naming, starts_at=one.created, ends_at=min(ends_at, one.expires_at))


def told_by_rules(alert: Alert, finding: Finding, naming: Naming, told: frozenset[Told]) -> bool:
    """Whether a rule already fires for the same fault at the same place."""
    labels = alert["labels"]
    cluster = labels.get(naming.cluster_label, "")
    return any(
        (place := labels.get(_PLACES[twin.scope])) is not None and (twin.alert, cluster, place) in told
        for twin in TWINS.get(finding.kind, ())
    )


def places_of(labels: Mapping[str, str], naming: Naming) -> frozenset[Told]:
    """What a rule's alert has told: its name at the place that its scope is about."""
    place = labels.get(_PLACES.get(labels.get("scope", ""), ""))
    if labels.get("source") == SOURCE or not place:
        return frozenset()
    return frozenset({(labels.get("alertname", ""), labels.get(naming.cluster_label, ""), place)})


def _alert(labels: Alert, annotations: Alert, naming: Naming, *, starts_at: float, ends_at: float) -> Alert:
    variables = {name: labels[name] for name in ("cluster", "node") if labels.get(name)}
    return {
        "labels": {
            **naming.extra_labels,
            **{name: value for name, value in labels.items() if value},
            "source": SOURCE,
        },
        "annotations": {**annotations, "dashboard_url": f"{naming.grafana_url}{dashboard_path('fleet', **variables)}"},
        "startsAt": rfc3339(starts_at),
        "endsAt": rfc3339(ends_at),
        "generatorURL": f"{naming.runbooks_url}/",
    }


def _place(scope: Scope, naming: Naming) -> dict[str, str]:
    known = {
        naming.cluster_label: scope.cluster,
        "node": scope.node,
        "uuid": scope.uuid,
        "job_id": scope.job_id,
        "rank": None if scope.rank is None else str(scope.rank),
    }
    return {name: value for name, value in known.items() if value}


def _scope_of(scope: Scope) -> str:
    """The narrowest place that is known."""
    if scope.uuid:
        return "device"
    return "job" if scope.job_id else "node" if scope.node else "fleet"


def _pairs(lines: Iterable[str]) -> dict[str, str]:
    parts = (line.partition("=") for line in lines)
    return {name.strip(): value.strip() for name, _, value in parts}
