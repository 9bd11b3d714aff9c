"""The dashboards as ConfigMaps, for Grafana's sidecar that loads those with the label grafana_dashboard."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Final

from warpgauge.core.errors import ConfigError

if TYPE_CHECKING:
    from warpgauge.dashboards.site import Site

__all__ = ["MOST_BYTES", "manifest"]

MOST_BYTES: Final = 1 << 20
"""What Kubernetes takes as data of one ConfigMap."""


def manifest(name: str, text: str, site: Site) -> str:
    """One dashboard's JSON `text` as a ConfigMap, itself JSON, which is YAML.

    It has no namespace: the sidecar watches its own unless told otherwise. Inside, the dashboard is written without
    spaces: `kubectl apply` keeps a second copy in an annotation of at most 256 KiB.

    Raises:
        ConfigError: it is more than Kubernetes takes.

    """
    dense = json.dumps(json.loads(text), sort_keys=True, separators=(",", ":"), ensure_ascii=False)
    if len(dense.encode()) >= MOST_BYTES:
        msg = f"the dashboard {name} has {len(dense.encode())} bytes, more than a ConfigMap takes; see [dashboards]"
        raise ConfigError(msg)
    document = {
        "apiVersion": "v1",
        "kind": "ConfigMap",
        "metadata": {
            "name": f"warpgauge-dashboard-{name}",
            "labels": {
                "app.kubernetes.io/name": "warpgauge",
                "app.kubernetes.io/component": "dashboards",
                "grafana_dashboard": "1",
                **site.extra_labels,
            },
            "annotations": {"grafana_folder": "warpgauge"},
        },
        "data": {f"warpgauge-{name}.json": dense},
    }
    return f"{json.dumps(document, indent=2, ensure_ascii=False)}\n"
