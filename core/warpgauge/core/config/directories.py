"""Where our files are."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from warpgauge.core.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.core.config.in_force import Config

__all__ = ["data_directory", "data_path"]


def data_directory(config: Config, environ: Mapping[str, str]) -> Path:
    """The directory for history, outbox and tokens; made with mode 0700 if it does not exist.

    Raises:
        StorageError: it cannot be made or written.

    """
    path = data_path(config, environ)
    try:
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise _unusable(path, error.strerror or str(error)) from error
    if not os.access(path, os.W_OK | os.X_OK):
        raise _unusable(path, "no permission to write")
    return path


def data_path(config: Config, environ: Mapping[str, str]) -> Path:
    """Where the data directory is or would be; for those who only read."""
    return Path(config.analyzer.data_directory or _default(environ)).expanduser()


def _default(environ: Mapping[str, str]) -> str:
    """The one that systemd made for the service (StateDirectory=), else as the XDG base directory specification has it.

    A relative XDG_DATA_HOME is to be ignored.
    """
    service = environ.get("STATE_DIRECTORY", "").partition(":")[0]
    if Path(service).is_absolute():
        return service
    base = environ.get("LOCALAPPDATA", "") if sys.platform == "win32" else environ.get("XDG_DATA_HOME", "")
    if not Path(base).is_absolute():
        base = str(Path(environ.get("HOME") or "~").expanduser() / ".local" / "share")
    return str(Path(base) / "warpgauge")


def _unusable(path: Path, why: str) -> StorageError:
    return StorageError(
        f"cannot use the data directory {path}: {why}; set analyzer.data_directory "
        "(or WARPGAUGE_ANALYZER_DATA_DIRECTORY) to a directory you can write"
    )
