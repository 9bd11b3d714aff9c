"""Ids on disk, one fixed-width line each: what a sender was promised, what a receiver got.

Both may be killed at any moment; a line that is cut short is known by its width and is none.
"""

from __future__ import annotations

import os
from array import array
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable
    from pathlib import Path

__all__ = ["Ledger", "ids_in"]

WIDTH = 16  # digits


class Ledger:
    """A file that ids are appended to; what `write` was given is in the file once it returns."""

    def __init__(self, path: Path) -> None:
        self._descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_APPEND, 0o644)

    def write(self, ids: Iterable[int]) -> None:
        """Append these."""
        os.write(self._descriptor, "".join([f"{number:0{WIDTH}d}\n" for number in ids]).encode())


def ids_in(path: Path) -> array[int]:
    """All ids in a file, as often as they stand there."""
    if not path.exists():
        return array("q")
    return array("q", [int(line) for line in path.read_bytes().split(b"\n") if len(line) == WIDTH])
