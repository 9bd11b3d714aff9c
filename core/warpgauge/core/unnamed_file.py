"""A file without a name, for what a program prints or a library wants to read from a path."""

from __future__ import annotations

import os
import tempfile
from typing import IO

__all__ = ["unnamed_file"]


def unnamed_file() -> IO[bytes]:
    """A file to write and read that is gone once closed; in memory where the system has that (memfd_create(2)).

    A container with a read-only root often has no directory for temporary files, and a key should never touch a disk.

    Raises:
        OSError: the system has no files in memory and no directory for temporary ones.

    """
    if hasattr(os, "memfd_create"):
        try:
            return os.fdopen(os.memfd_create("warpgauge"), "w+b")
        except OSError:  # a filter of system calls that is older than the call
            pass
    return tempfile.TemporaryFile()
