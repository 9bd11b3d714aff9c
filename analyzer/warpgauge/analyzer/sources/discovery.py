"""Prometheus HTTP service discovery (http_sd): a JSON list of target groups.

https://prometheus.io/docs/prometheus/latest/http_sd/
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final

from warpgauge.core.errors import SourceError

__all__ = ["Discovered", "read_groups"]

_MAX_TARGETS: Final = 20_000
_ADDRESS: Final = re.compile(r"(\[[0-9A-Fa-f:.%]+\]|[A-Za-z0-9._-]+)(:[0-9]{1,5})?")
_LABEL: Final = re.compile(r"[a-zA-Z_][a-zA-Z0-9_]*")
_BACKFILL: Final = "__meta_warpgauge_backfill"


@dataclass(frozen=True, slots=True, kw_only=True)
class Discovered:
    """One page to scrape."""

    url: str
    labels: tuple[tuple[str, str], ...]  # sorted; for series of this page
    backfill_url: str | None = None  # where its past is, as OpenMetrics text with timestamps


def read_groups(document: Any, place: str) -> list[Discovered]:  # noqa: ANN401 - foreign JSON
    """Targets of an http_sd document.

    Raises:
        SourceError: it has another form; the message names `place` and the group.

    """
    if not isinstance(document, list):
        msg = f"{place} is no http_sd document: a list of target groups is expected"
        raise SourceError(msg)
    found = [target for number, group in enumerate(document) for target in _group(group, f"{place} group {number}")]
    if len(found) > _MAX_TARGETS:
        msg = f"{place} lists {len(found)} targets, at most {_MAX_TARGETS} are taken"
        raise SourceError(msg)
    return found


def _group(group: object, place: str) -> list[Discovered]:
    targets = group.get("targets") if isinstance(group, dict) else None
    labels = group.get("labels", {}) if isinstance(group, dict) else None
    if not isinstance(targets, list) or not isinstance(labels, dict):
        msg = f'{place} is not of the form {{"targets": [...], "labels": {{...}}}}'
        raise SourceError(msg)
    for name, value in labels.items():
        if not _LABEL.fullmatch(name) or not isinstance(value, str):
            msg = f"{place}: label {name!r} is malformed"
            raise SourceError(msg)
    return [_target(address, labels, place) for address in targets]


def _target(address: object, labels: dict[str, str], place: str) -> Discovered:
    if not isinstance(address, str) or not _ADDRESS.fullmatch(address):
        msg = f"{place}: target {address!r} is not HOST:PORT"
        raise SourceError(msg)
    scheme = labels.get("__scheme__", "http")
    path, backfill = labels.get("__metrics_path__", "/metrics"), labels.get(_BACKFILL)
    if scheme not in {"http", "https"} or any(not part.startswith("/") for part in (path, backfill or "/")):
        msg = f"{place}: scheme must be http or https and paths must start with /"
        raise SourceError(msg)
    base = f"{scheme}://{address}"
    kept = {name: value for name, value in labels.items() if not name.startswith("__") and value}
    return Discovered(
        url=f"{base}{path}",
        labels=tuple(sorted({"instance": address, **kept}.items())),
        backfill_url=f"{base}{backfill}" if backfill else None,
    )
