"""Follows one log file over rotations, restarts and partial lines.

What was told is told once while we run; after a crash it goes on from the last position that was kept. A file that was
renamed is read to its end before the next one. After copytruncate the copy is read from where we were; where there is
none (it was compressed at once), what was written between our last look and the cut is gone, as for every reader.
"""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

from warpgauge.exporters.logs.rotation import (
    HEAD_BYTES,
    Position,
    copy_of,
    digest_of_head,
    is_same_file,
    named,
    open_regular,
    successor,
)

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["FollowedFile", "Line"]

_PORTION_BYTES: Final = 65_536
_LOOKS_AT_THE_END: Final = 3  # without growth, before a file that was rotated away counts as finished


@dataclass(frozen=True, slots=True)
class Line:
    """A line without its end."""

    content: bytes
    offset: int
    generation: int
    is_cut: bool  # longer than lines may be


class FollowedFile:
    """One log by its path. Not for several threads."""

    def __init__(
        self, path: Path, position: Position | None = None, *, max_line_bytes: int, from_end: bool = False
    ) -> None:
        """`from_end` is for a file without a position: what is in it already is not told."""
        self.path = path
        self.position = position
        self._max_line_bytes = max_line_bytes
        self._from_end = from_end
        self._descriptor: int | None = None
        self._looks_at_the_end = 0

    def read(self, most_lines: int) -> list[Line]:
        """What was written since, at most so many lines; call it again and again.

        Raises:
            OSError: the file cannot be read now.

        """
        if self._descriptor is None and not self._open():
            return []
        self._notice_a_new_beginning()
        lines: list[Line] = []
        while len(lines) < most_lines:
            some, has_moved = self._portion(most_lines - len(lines))
            lines += some
            if not has_moved:
                lines += self._at_the_end()
                break
            self._looks_at_the_end = 0
        return lines

    def is_at_the_end(self) -> bool:
        """Whether all whole lines of the file that is open now were told."""
        if self._descriptor is None or self.position is None:
            return True
        return b"\n" not in os.pread(self._descriptor, self._max_line_bytes + 1, self.position.offset)

    def close(self) -> None:
        """Let go of the file; the position stays."""
        if self._descriptor is not None:
            os.close(self._descriptor)
            self._descriptor = None

    def _open(self) -> bool:
        found = open_regular(self.path)
        if self.position is None:
            if found is None:
                return False
            self._begin(found, offset=_last_line_end(found) if self._from_end else 0, generation=0)
            return True
        if found is not None and is_same_file(found, self.position):
            self._descriptor = found
            return True
        old = named(self.path, self.position)
        if old is not None:
            if found is not None:
                os.close(found)
            self._descriptor = old
            return True
        if found is None:
            return False
        self._descriptor = found
        self._restart(found)
        return True

    def _notice_a_new_beginning(self) -> None:
        """If the file was cut or replaced in place, go on in its copy, else at its beginning."""
        descriptor, position = self._state()
        if not is_same_file(descriptor, position):
            self._restart(descriptor)

    def _restart(self, descriptor: int) -> None:
        position = self.position
        copy = copy_of(self.path, position) if position else None
        if position is None or copy is None:
            self._begin(descriptor, offset=0, generation=position.generation + 1 if position else 0)
            return
        os.close(descriptor)
        found = os.fstat(copy)
        self._descriptor = copy
        self.position = replace(position, device=found.st_dev, inode=found.st_ino)
        self._looks_at_the_end = 0

    def _begin(self, descriptor: int, *, offset: int, generation: int) -> None:
        found = os.fstat(descriptor)
        self._descriptor = descriptor
        self._looks_at_the_end = 0
        self.position = Position(
            device=found.st_dev,
            inode=found.st_ino,
            offset=offset,
            seen=offset,
            head=digest_of_head(descriptor, offset),
            generation=generation,
        )

    def _portion(self, most_lines: int) -> tuple[list[Line], bool]:
        """Whole lines from here on, and whether the position moved."""
        descriptor, position = self._state()
        content = os.pread(descriptor, max(_PORTION_BYTES, self._max_line_bytes + 1), position.offset)
        lines: list[Line] = []
        start = 0
        is_in_cut_line = position.is_in_cut_line
        while len(lines) < most_lines and (end := content.find(b"\n", start)) >= 0:
            if not is_in_cut_line:
                lines.append(self._line(content[start:end], position.offset + start))
            is_in_cut_line = False
            start = end + 1
        rest = len(content) - start
        if len(lines) < most_lines and b"\n" not in content[start:]:
            if not is_in_cut_line and rest > self._max_line_bytes:
                lines.append(self._line(content[start:], position.offset + start))
                is_in_cut_line = True
            if is_in_cut_line:
                start = len(content)
        self._advance(start, len(content), is_in_cut_line=is_in_cut_line)
        return lines, start > 0

    def _at_the_end(self) -> list[Line]:
        """Once a rotated file has not grown for some looks: its unfinished last line, and the next file begins."""
        descriptor, position = self._state()
        following = successor(self.path, descriptor) if not self._is_current(descriptor) else None
        if following is None:
            self._looks_at_the_end = 0
            return []
        self._looks_at_the_end += 1
        if self._looks_at_the_end < _LOOKS_AT_THE_END:
            os.close(following)
            return []
        rest = os.pread(descriptor, self._max_line_bytes + 1, position.offset)
        lines = [self._line(rest, position.offset)] if rest and not position.is_in_cut_line else []
        os.close(descriptor)
        self._begin(following, offset=0, generation=position.generation + 1)
        return lines

    def _is_current(self, descriptor: int) -> bool:
        """Whether the path still names this file; one that is deleted and not made again is."""
        try:
            found = self.path.stat()
        except OSError:
            return True
        ours = os.fstat(descriptor)
        return (found.st_dev, found.st_ino) == (ours.st_dev, ours.st_ino)

    def _advance(self, told: int, read: int, *, is_in_cut_line: bool) -> None:
        descriptor, position = self._state()
        seen = max(position.seen, position.offset + read)
        grew = min(seen, HEAD_BYTES) > min(position.seen, HEAD_BYTES)
        head = digest_of_head(descriptor, seen) if grew else position.head
        if told or seen != position.seen:
            self.position = replace(
                position, offset=position.offset + told, seen=seen, head=head, is_in_cut_line=is_in_cut_line
            )

    def _line(self, content: bytes, offset: int) -> Line:
        _, position = self._state()
        is_cut = len(content) > self._max_line_bytes
        return Line(content[: self._max_line_bytes], offset, position.generation, is_cut)

    def _state(self) -> tuple[int, Position]:
        if self._descriptor is None or self.position is None:
            msg = f"{self.path} is not open"
            raise ValueError(msg)
        return self._descriptor, self.position


def _last_line_end(descriptor: int) -> int:
    """Where the last whole line of a file ends, as far as its last portion tells."""
    size = os.fstat(descriptor).st_size
    start = max(0, size - _PORTION_BYTES)
    end = os.pread(descriptor, size - start, start).rfind(b"\n")
    return start + end + 1 if end >= 0 else size
