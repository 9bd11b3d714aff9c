"""How many files and connections a process may have open.

Systems give a process 1,024 (the soft limit) so that old programs which call select() keep working, and let it take far
more (the hard limit, often 524,288) by asking (systemd.exec(5), on LimitNOFILE=). A service that reads a thousand
agents keeps a connection to each, so it asks, as every program in Go does.
"""

from __future__ import annotations

import logging
import sys
from typing import Final

__all__ = ["allow_open_files"]

_LOG: Final = logging.getLogger(__name__)
_ENOUGH: Final = 65_536  # some allow a billion


def allow_open_files() -> int | None:
    """Raise this process' soft limit of open files to its hard one, 65,536 at most; the limit then, None if unknown.

    Child processes inherit it. A system that refuses keeps its limit, which is logged.
    """
    if sys.platform == "win32":
        return None
    import resource  # noqa: PLC0415 - only where it exists

    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = _ENOUGH if hard == resource.RLIM_INFINITY else min(hard, _ENOUGH)
    if soft == resource.RLIM_INFINITY or soft >= wanted:
        return soft
    try:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, hard))
    except (OSError, ValueError) as error:  # macOS: "current limit exceeds maximum limit"
        _LOG.warning("limit of open files stays", extra={"limit": soft, "wanted": wanted, "why": str(error)})
        return soft
    return wanted
