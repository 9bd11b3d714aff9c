"""The section about dashboards: what one site has otherwise in the generated files."""

from __future__ import annotations

from dataclasses import dataclass

from warpgauge.core.config.settings import setting

__all__ = ["DashboardsConfig"]


@dataclass(frozen=True, slots=True, kw_only=True)
class DashboardsConfig:
    """What this site has otherwise in the generated dashboards."""

    selector: str = setting(
        "", help='Matchers without braces, such as env="prod", that every series a panel reads must match.'
    )
    cluster_label: str = setting("cluster", help="Label that names the cluster at this site.")
    disabled: tuple[str, ...] = setting((), help="Dashboards that are left out, by name; nothing links to them.")
    extra_variables: tuple[str, ...] = setting(
        (), help="Labels of every target to choose by, as LABEL=TITLE; each becomes a drop-down that all panels follow."
    )
    extra_tags: tuple[str, ...] = setting((), help="Tags that every dashboard has besides warpgauge.")
    extra_labels: tuple[str, ...] = setting((), help="Labels that every ConfigMap adds, as NAME=VALUE.")
    runbooks_url: str = setting(
        "", help="Where kinds of findings link to; empty means alerts.runbooks_url.", unit="URL", urls=True
    )
    time_range: str = setting("1h", help="Time that a dashboard shows at first, up to now.", unit="duration")
    refresh: str = setting("30s", help="How often an open dashboard asks again; empty means never.", unit="duration")
    datasource: str = setting(
        "", help="Uid of the Prometheus that is chosen at first; empty means Grafana's default one."
    )
    datasource_url: str = setting(
        "http://127.0.0.1:9090", help="Prometheus in the provisioned data source.", unit="URL", urls=True
    )
    scrape_interval: str = setting(
        "15s", help="How often Prometheus scrapes; $__rate_interval is four of them.", unit="duration"
    )
