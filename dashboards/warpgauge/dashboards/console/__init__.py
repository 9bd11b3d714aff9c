"""The web console: static files that the analyzer's server hands out; they talk to `/api/v1` and import nothing."""

from __future__ import annotations

from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.resources.abc import Traversable

__all__ = ["static_files"]


def static_files() -> Traversable:
    """The folder with `index.html` and all it loads."""
    return files("warpgauge.dashboards.console") / "static"
