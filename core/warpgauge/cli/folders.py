"""Where the parts keep what is not code: the console's files and the runbooks."""

from __future__ import annotations

from importlib.resources import files
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["console_folder", "runbooks_folder"]


def console_folder() -> Path | None:
    """The console's static files, None where that part is not installed."""
    return _existing(files("warpgauge.dashboards.console") / "static")


def runbooks_folder() -> Path | None:
    """One Markdown page per alert: beside the code in a wheel, in alerts/runbooks in a checkout."""
    alerts = files("warpgauge.alerts")
    return _existing(alerts / "runbooks") or _existing(Path(str(alerts)).parent.parent / "runbooks")


def _existing(folder: Traversable) -> Path | None:
    path = Path(str(folder))
    return path if path.is_dir() else None
