"""The rules as PrometheusRule manifests, for the Prometheus operator (monitoring.coreos.com/v1)."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from warpgauge.alerts.rule import Group
    from warpgauge.alerts.site import Site

__all__ = ["manifest"]


def manifest(group: Group, site: Site) -> dict[str, Any]:
    """One custom resource a group; a Prometheus that selects rules by label needs that label added (kustomize)."""
    return {
        "apiVersion": "monitoring.coreos.com/v1",
        "kind": "PrometheusRule",
        "metadata": {
            "name": f"warpgauge-{group.name.replace('_', '-')}",  # a name of Kubernetes has no underscore
            "labels": {"app.kubernetes.io/name": "warpgauge", "app.kubernetes.io/component": "rules"},
        },
        "spec": group.document(site),
    }
