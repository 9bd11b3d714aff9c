"""Which file on disk is which: a log keeps its identity when it is renamed, copied and cut, or begun anew.

An inode alone does not tell: file systems use numbers again, and copytruncate keeps the one of a file that began anew.
So a position also holds a digest of the bytes that the file began with.
"""

from __future__ import annotations

import hashlib
import os
import re
import stat
from contextlib import suppress
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["HEAD_BYTES", "Position", "copy_of", "digest_of_head", "is_same_file", "named", "open_regular", "successor"]

HEAD_BYTES: Final = 256
_ROTATED: Final = re.compile(r"[.-]\d[\d.T_-]{0,31}")  # what logrotate appends: .1, -20260131, -2026-01-31T12
_MOST_SIBLINGS: Final = 1000


@dataclass(frozen=True, slots=True, kw_only=True)
class Position:
    """How far a file was read."""

    device: int
    inode: int
    offset: int  # of the first byte that is not yet told
    seen: int  # bytes that the file had when it was looked at last; at least `offset`
    head: str  # digest of the first 256 bytes of these
    generation: int = 0  # how often the log began anew
    is_in_cut_line: bool = False  # the line that goes on here was told as far as lines may go


def open_regular(path: Path) -> int | None:
    """A descriptor of a regular file, None for one that is not there, may not be read or is something else."""
    with suppress(OSError):
        descriptor = os.open(path, os.O_RDONLY | getattr(os, "O_NONBLOCK", 0) | getattr(os, "O_CLOEXEC", 0))
        if stat.S_ISREG(os.fstat(descriptor).st_mode):
            return descriptor
        os.close(descriptor)
    return None


def digest_of_head(descriptor: int, seen: int) -> str:
    """Digest of what the file begins with, of as much as was seen, at most 256 bytes.

    Raises:
        OSError: it cannot be read.

    """
    head = os.pread(descriptor, min(seen, HEAD_BYTES), 0)
    return hashlib.blake2b(head, digest_size=16).hexdigest()


def is_same_file(descriptor: int, position: Position) -> bool:
    """Whether this is the file of the position and has not begun anew since.

    Raises:
        OSError: it cannot be read.

    """
    found = os.fstat(descriptor)
    return (found.st_dev, found.st_ino) == (position.device, position.inode) and _goes_on(descriptor, position)


def named(path: Path, position: Position) -> int | None:
    """The file of the position under the name that it was rotated to, open; None if it is gone."""
    return next((found for found in _opened(path) if _take(found, is_same_file(found, position))), None)


def copy_of(path: Path, position: Position) -> int | None:
    """The newest rotated file that begins as the file of the position did and goes on: its copy, open."""
    if position.seen == 0:  # nothing to know it by
        return None
    return next((found for found in _opened(path) if _take(found, _goes_on(found, position))), None)


def successor(path: Path, descriptor: int) -> int | None:
    """The file that was begun after this one: the oldest of the newer rotated ones, else `path` itself; open."""
    ours = os.fstat(descriptor)
    newer = [found for found in _siblings(path) if _modified(found) > ours.st_mtime_ns]
    for candidate in [*sorted(newer, key=_modified), path]:
        found = open_regular(candidate)
        if found is None:
            continue
        its = os.fstat(found)
        if (its.st_dev, its.st_ino) != (ours.st_dev, ours.st_ino):
            return found
        os.close(found)
    return None


def _goes_on(descriptor: int, position: Position) -> bool:
    if os.fstat(descriptor).st_size < position.seen:
        return False
    return digest_of_head(descriptor, position.seen) == position.head


def _take(descriptor: int, is_wanted: bool) -> bool:  # noqa: FBT001 - closes what is not wanted
    if not is_wanted:
        os.close(descriptor)
    return is_wanted


def _opened(path: Path) -> Iterator[int]:
    """Rotated files of a log, the newest first."""
    for candidate in sorted(_siblings(path), key=_modified, reverse=True):
        descriptor = open_regular(candidate)
        if descriptor is not None:
            yield descriptor


def _siblings(path: Path) -> list[Path]:
    found = []
    with suppress(OSError), os.scandir(path.parent) as entries:
        for entry in entries:
            if entry.name.startswith(path.name) and _ROTATED.fullmatch(entry.name[len(path.name) :]):
                found.append(path.parent / entry.name)
                if len(found) == _MOST_SIBLINGS:
                    break
    return found


def _modified(path: Path) -> int:
    try:
        return path.stat().st_mtime_ns
    except OSError:
        return 0
