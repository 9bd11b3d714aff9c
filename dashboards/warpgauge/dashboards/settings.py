"""A site from the section [dashboards] of the configuration, with exact words for what is wrong in it."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from warpgauge.core.config.site_words import is_duration, known, label, pairs, selector
from warpgauge.core.errors import ConfigError
from warpgauge.dashboards.generate import DASHBOARDS, DCGM_DASHBOARDS
from warpgauge.dashboards.site import Site

if TYPE_CHECKING:
    from warpgauge.core.config import Config

__all__ = ["site_of"]

_OWN_VARIABLES: Final = frozenset({"cluster", "datasource", "job_id", "model", "node", "price", "uuid"})
_OWN_LABELS: Final = frozenset({"grafana_dashboard", "app.kubernetes.io/name", "app.kubernetes.io/component"})
_UID: Final = re.compile(r"[a-zA-Z0-9_-]{0,40}")
_TAG: Final = re.compile(r"[^\s,]+")
_KUBERNETES_NAME: Final = re.compile(
    r"([a-z0-9]([-a-z0-9.]{0,251}[a-z0-9])?/)?[a-zA-Z0-9]([-\w.]{0,61}[a-zA-Z0-9])?", re.ASCII
)
_KUBERNETES_VALUE: Final = re.compile(r"([a-zA-Z0-9]([-\w.]{0,61}[a-zA-Z0-9])?)?", re.ASCII)


def site_of(config: Config) -> Site:
    """What the section says.

    Raises:
        ConfigError: a dashboard, a label, a duration or a selector in it cannot be used; the message names the key.

    """
    given = config.dashboards
    for name in given.disabled:
        known(name, {**DASHBOARDS, **DCGM_DASHBOARDS}, "dashboards.disabled", "dashboard")
    return Site(
        selector=selector(given.selector, "dashboards.selector"),
        cluster_label=label(given.cluster_label, "dashboards.cluster_label"),
        disabled=frozenset(given.disabled),
        extra_variables=_variables(given.extra_variables, given.cluster_label),
        extra_tags=tuple(_tag(one) for one in given.extra_tags),
        extra_labels=_labels(given.extra_labels),
        runbooks_url=(given.runbooks_url or config.alerts.runbooks_url).rstrip("/"),
        time_range=_duration(given.time_range, "time_range"),
        refresh=given.refresh and _duration(given.refresh, "refresh"),
        datasource=_uid(given.datasource),
        datasource_url=given.datasource_url.rstrip("/"),
        scrape_interval=_duration(given.scrape_interval, "scrape_interval"),
    )


def _variables(lines: tuple[str, ...], cluster_label: str) -> dict[str, str]:
    found = dict(pairs(lines, "dashboards.extra_variables", "LABEL=TITLE"))
    for name in found:
        if label(name, "dashboards.extra_variables") in {*_OWN_VARIABLES, cluster_label}:
            msg = f"dashboards.extra_variables: {name} is a variable of the dashboards themselves"
            raise ConfigError(msg)
    return found


def _labels(lines: tuple[str, ...]) -> dict[str, str]:
    found = dict(pairs(lines, "dashboards.extra_labels", "NAME=VALUE"))
    for name, value in found.items():
        if name in _OWN_LABELS:
            msg = f"dashboards.extra_labels: {name} is a label of the ConfigMaps themselves"
            raise ConfigError(msg)
        if not (_KUBERNETES_NAME.fullmatch(name) and _KUBERNETES_VALUE.fullmatch(value)):
            msg = f"dashboards.extra_labels: Kubernetes takes no label {name}={value}"
            raise ConfigError(msg)
    return found


def _tag(text: str) -> str:
    if not _TAG.fullmatch(text):
        msg = f"dashboards.extra_tags: {text!r} cannot be a tag; one has neither spaces nor commas"
        raise ConfigError(msg)
    return text


def _duration(text: str, key: str) -> str:
    if not is_duration(text):
        msg = f"dashboards.{key} needs a duration such as 30s or 6h, got {text!r}"
        raise ConfigError(msg)
    return text


def _uid(text: str) -> str:
    if not _UID.fullmatch(text):
        msg = f"dashboards.datasource must be the uid of a data source (letters, digits, - and _), got {text!r}"
        raise ConfigError(msg)
    return text
