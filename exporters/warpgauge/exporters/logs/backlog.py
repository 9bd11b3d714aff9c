"""Sources whose records wait where they are: read within the rate, and a position kept once every queue has them."""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING, Protocol

from warpgauge.core.finding import Severity
from warpgauge.exporters.log_record import LogRecord

if TYPE_CHECKING:
    from warpgauge.core.clock import Clock
    from warpgauge.exporters.logs.files import FileLine, LogFiles

__all__ = ["Backlog", "FileBacklog"]


class Backlog(Protocol):
    """One such source. Not for several threads."""

    def take(self, most: int) -> list[LogRecord]:
        """What came since, at most so many; the rest waits."""

    def keep_positions(self) -> None:
        """Write down how far was read.

        Raises:
            StorageError: it cannot be written.

        """

    def close(self) -> None:
        """Let go of what is open."""


class FileBacklog:
    """Lines of files as records."""

    def __init__(self, files: LogFiles, *, node: str, clock: Clock) -> None:
        self._files = files
        self._node = node
        self._clock = clock

    def take(self, most: int) -> list[LogRecord]:
        """Lines that were written since."""
        return [self._record(line) for line in self._files.read(most)]

    def keep_positions(self) -> None:
        """Write down how far all files were read."""
        self._files.keep_positions()

    def close(self) -> None:
        """Let go of all files."""
        self._files.close()

    def _record(self, found: FileLine) -> LogRecord:
        line = found.line
        return LogRecord(
            id=_id_of(found),
            time=self._clock.now(),
            source=str(found.path),
            kind="line",
            severity=Severity.INFO,
            message=line.content.decode(errors="replace").rstrip("\r"),
            node=self._node,
            attributes={"is_cut": True} if line.is_cut else {},
        )


def _id_of(found: FileLine) -> str:
    """The same for the same line, also if it is read again after a crash."""
    line = found.line
    about = f"{found.path}\0{found.inode}\0{line.generation}\0{line.offset}\0".encode()
    return hashlib.blake2b(about + line.content, digest_size=12).hexdigest()
