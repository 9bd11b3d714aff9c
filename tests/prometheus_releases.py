"""The two releases of Prometheus that generated files are held to: Debian's, and the newest 3.x where it was built."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import pytest

from tests.real_servers import fetched
from tools import built_servers

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["NEWEST", "OLDEST", "RELEASES", "program"]

OLDEST: Final = "2.42"
NEWEST: Final = "3"
RELEASES: Final = (OLDEST, NEWEST)


def program(release: str, name: str) -> Path:
    """Path of `prometheus` or `promtool` of a release, or a skip that says how to get it."""
    if release == OLDEST:
        return fetched(name)
    try:
        return built_servers.built("prometheus3") / name
    except built_servers.ServerNotBuiltError as error:
        pytest.skip(str(error))
