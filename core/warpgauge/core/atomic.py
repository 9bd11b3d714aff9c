"""The one way to replace a file: a reader sees the old content or the new, never a part, whatever dies when."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING

from warpgauge.core.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["write_atomically"]


def write_atomically(
    path: Path,
    content: bytes | Iterable[bytes | memoryview],
    *,
    mode: int = 0o644,
    sync: Callable[[int], None] = os.fsync,
) -> None:
    """Write `content`, whole or in parts, beside `path`, force it to disk, rename it into place and force that too.

    Raises:
        StorageError: the directory cannot be written or is full; the old file is untouched.

    """
    try:
        _replace(path, content, mode, sync)
    except OSError as error:
        msg = f"cannot write {path}: {error.strerror or error}"
        raise StorageError(msg) from error


def _replace(path: Path, content: bytes | Iterable[bytes | memoryview], mode: int, sync: Callable[[int], None]) -> None:
    descriptor, name = tempfile.mkstemp(prefix=f".{path.name}.", suffix=".tmp", dir=path.parent)
    temporary = Path(name)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines([content] if isinstance(content, bytes) else content)
            file.flush()
            sync(file.fileno())
        temporary.chmod(mode)
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    _force_directory(path.parent, sync)


def _force_directory(directory: Path, sync: Callable[[int], None]) -> None:
    """Make the rename itself survive a power cut; Windows has no such call for directories."""
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)
