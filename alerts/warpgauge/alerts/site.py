"""What differs from site to site in the generated rules."""

from __future__ import annotations

from dataclasses import dataclass

__all__ = ["Site"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Site:
    """Addresses that alerts point at; the defaults are those of everything on one machine."""

    runbooks_url: str = "http://127.0.0.1:9838"  # the analyzer serves /runbooks/NAME
    grafana_url: str = "http://127.0.0.1:3000"
    webhook_url: str = ""  # where Alertmanager posts; empty: alerts are shown in its own page only
