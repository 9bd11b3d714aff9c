"""Where dashboards and runbooks are found; each uid and path is formed here and nowhere else.

Paths are relative to a base that a site configures: warpgauge knows no address of its own.
"""

from __future__ import annotations

import re
from typing import Final
from urllib.parse import quote, urlencode

__all__ = ["dashboard_path", "dashboard_uid", "runbook_path"]

_UID_PREFIX: Final = "warpgauge-"
_UID_MAX: Final = 40  # Grafana refuses longer uids
_SLUG: Final = re.compile(r"[a-z0-9][a-z0-9_-]*")


def dashboard_uid(name: str) -> str:
    """Grafana uid of a dashboard: stable for ever, at most 40 characters.

    Raises:
        ValueError: the name is no lower-case slug or too long.

    """
    uid = _UID_PREFIX + _slug(name)
    if len(uid) > _UID_MAX:
        msg = f"dashboard name {name!r} is too long: uid {uid!r} has more than {_UID_MAX} characters"
        raise ValueError(msg)
    return uid


def dashboard_path(name: str, **variables: str) -> str:
    """Path of a dashboard under Grafana's base, with template variables: `/d/warpgauge-fleet/fleet?var-node=n1`."""
    query = urlencode([(f"var-{variable}", value) for variable, value in variables.items()], quote_via=quote)
    return f"/d/{dashboard_uid(name)}/{_slug(name)}{'?' if query else ''}{query}"


def runbook_path(name: str) -> str:
    """Path of the runbook of an alert or a kind of finding: `/runbooks/straggler`."""
    return f"/runbooks/{quote(name, safe='')}"


def _slug(name: str) -> str:
    if not _SLUG.fullmatch(name):
        msg = f"{name!r} must be lower-case letters, digits, '-' and '_'"
        raise ValueError(msg)
    return name
