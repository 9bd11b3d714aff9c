"""The one way to replace a file: a reader sees the old content or the new, never a part, whatever dies when.

And the one way to append to one: what was appended is on the disk once the call returns.
"""

from __future__ import annotations

import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO, TYPE_CHECKING

from warpgauge.core.errors import StorageError

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

__all__ = ["append_durably", "force_directory", "write_atomically"]


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
    force_directory(path.parent, sync=sync)


def force_directory(directory: Path, *, sync: Callable[[int], None] = os.fsync) -> None:
    """Make what was made or renamed in it survive a power cut; Windows has no such call for directories.

    Raises:
        OSError: it may not.

    """
    if os.name == "nt":
        return
    descriptor = os.open(directory, os.O_RDONLY)
    try:
        sync(descriptor)
    finally:
        os.close(descriptor)


def append_durably(path: Path, content: bytes, *, sync: Callable[[int], None] = os.fsync) -> None:
    """Append whole lines and force them to disk; a line that a crash cut short is closed first and spoils only itself.

    Raises:
        OSError: they may not be there.
        StorageError: the file cannot be made.

    """
    if not path.exists():
        write_atomically(path, b"", mode=0o600)  # which makes the file's name itself survive a power cut
    with path.open("a+b", buffering=0) as file:
        size = file.seek(0, os.SEEK_END)
        try:
            _write_all(file, (b"\n" if _ends_torn(file) else b"") + content)
            sync(file.fileno())
        except OSError:
            with suppress(OSError):
                file.truncate(size)  # what may not be on the disk must not be read as if it were
            raise


def _write_all(file: IO[bytes], content: bytes) -> None:
    while content:
        content = content[file.write(content) :]


def _ends_torn(file: IO[bytes]) -> bool:
    if file.seek(0, os.SEEK_END) == 0:
        return False
    file.seek(-1, os.SEEK_END)
    return file.read(1) != b"\n"
