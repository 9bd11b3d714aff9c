"""A small file of /proc in one go: Python's own file objects make three system calls more and take twice as long."""

from __future__ import annotations

import os
from typing import Final

__all__ = ["contents"]

_CHUNK_BYTES: Final = 1 << 16  # nearly all of them are smaller, and a larger buffer would be mapped anew each time


def contents(path: str, most_bytes: int | None = None) -> bytes:
    """All of a file, or at most so many bytes of it.

    Raises:
        OSError: it cannot be opened or read.

    """
    descriptor = os.open(path, os.O_RDONLY | os.O_CLOEXEC)
    try:
        found = os.read(descriptor, _CHUNK_BYTES)
        while (most_bytes is None or len(found) < most_bytes) and (more := os.read(descriptor, _CHUNK_BYTES)):
            found += more
    finally:
        os.close(descriptor)
    return found[:most_bytes]
