"""Log files by glob: found, followed within a rate, and their positions kept on disk."""

from __future__ import annotations

import glob
import json
import logging
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.atomic import write_atomically
from warpgauge.core.errors import StorageError
from warpgauge.exporters.logs.follow import FollowedFile
from warpgauge.exporters.logs.rotation import Position

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from warpgauge.exporters.logs.follow import Line

__all__ = ["LogFiles", "read_positions"]

_LOG: Final = logging.getLogger(__name__)
_MOST_POSITION_BYTES: Final = 16 * 2**20
_SCHEMA: Final = "warpgauge.log-positions/v1"


@dataclass(frozen=True, slots=True)
class FileLine:
    """A line and the file that it stood in."""

    path: Path
    line: Line
    inode: int


class LogFiles:
    """All files that some patterns match. Not for several threads.

    Call `read`, keep what it gave somewhere safe, then `keep_positions`: a crash between the two tells lines twice.
    """

    def __init__(
        self,
        patterns: Sequence[str],
        positions_path: Path,
        *,
        most_files: int,
        max_line_bytes: int,
        reads_between_searches: int = 1,
    ) -> None:
        """Take up the positions of the last time; without any, what the files hold already is not told.

        A pattern over many folders costs more than reading does, so it is looked up at every n-th reading only.

        Raises:
            StorageError: the positions cannot be read or are not ours.

        """
        self._patterns = tuple(patterns)
        self._positions_path = positions_path
        self._most_files = most_files
        self._max_line_bytes = max_line_bytes
        self._positions = read_positions(positions_path)
        self._reads_between_searches = reads_between_searches
        self._reads = 0
        self._is_first_look = not positions_path.exists()
        self._files: dict[Path, FollowedFile] = {}
        self._troubles: dict[Path, str] = {}  # told once for each change
        self._kept: dict[str, Position] | None = None
        self._next = 0  # whose turn it is: a busy file does not starve the others
        self.left_out = 0  # files that match and are more than `most_files`

    def read(self, most_lines: int) -> list[FileLine]:
        """What was written since, at most so many lines over all files; the rest waits in the files."""
        if self._reads % self._reads_between_searches == 0:
            self._look_for_files()
        self._reads += 1
        files = list(self._files.values())
        turn = self._next % len(files) if files else 0
        found: list[FileLine] = []
        for file in [*files[turn:], *files[:turn]]:
            share = most_lines - len(found)
            if share <= 0:
                break
            found += self._read(file, share)
            self._next += 1
        return found

    def keep_positions(self) -> None:
        """Write down how far all files were read.

        Raises:
            StorageError: they cannot be written.

        """
        positions = {str(path): file.position for path, file in self._files.items() if file.position is not None}
        gone = {path: position for path, position in self._positions.items() if path not in positions}
        now = {**dict(list(gone.items())[-self._most_files :]), **positions}
        if now == self._kept:
            return
        document = {"schema": _SCHEMA, "files": {path: asdict(position) for path, position in now.items()}}
        write_atomically(self._positions_path, json.dumps(document, indent=1).encode(), mode=0o600)
        self._kept = now
        self._positions = now

    def close(self) -> None:
        """Let go of all files."""
        for file in self._files.values():
            file.close()

    def _look_for_files(self) -> None:
        matching = sorted({Path(name) for pattern in self._patterns for name in glob.iglob(pattern, recursive=True)})  # noqa: PTH207 - patterns are absolute
        self._forget(set(matching))
        new = [path for path in matching if path not in self._files and path.is_file()]
        room = max(0, self._most_files - len(self._files))
        if len(new) > room and not self.left_out:
            _LOG.warning("log files left out", extra={"files": len(new) - room, "limit": self._most_files})
        self.left_out = max(0, len(new) - room)
        for path in new[:room]:
            position = self._positions.get(str(path))
            self._files[path] = FollowedFile(
                path, position, max_line_bytes=self._max_line_bytes, from_end=self._is_first_look
            )
        self._is_first_look = False

    def _forget(self, matching: set[Path]) -> None:
        """A file that is gone is read to its end before it is let go: then reading it gives nothing more."""
        for path in [path for path in self._files if path not in matching]:
            file = self._files[path]
            if file.is_at_the_end():
                file.close()
                del self._files[path]
                self._troubles.pop(path, None)

    def _read(self, file: FollowedFile, most_lines: int) -> list[FileLine]:
        try:
            lines = file.read(most_lines)
        except OSError as error:
            self._tell(file.path, error.strerror or str(error))
            return []
        self._tell(file.path, "")
        inode = file.position.inode if file.position else 0
        return [FileLine(file.path, line, inode) for line in lines]

    def _tell(self, path: Path, why: str) -> None:
        if self._troubles.get(path, "") != why:
            self._troubles[path] = why
            if why:
                _LOG.warning("log file not readable", extra={"path": str(path), "why": why})


def read_positions(path: Path) -> dict[str, Position]:
    """Positions that were kept, none where there is no file.

    Raises:
        StorageError: it cannot be read or is not ours; nothing is begun anew in its place.

    """
    try:
        with path.open("rb") as file:
            content = file.read(_MOST_POSITION_BYTES + 1)
    except FileNotFoundError:
        return {}
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror or error}"
        raise StorageError(msg) from error
    try:
        return dict(_positions(json.loads(content)))
    except (ValueError, TypeError, KeyError, AttributeError, RecursionError) as error:
        msg = f"{path} holds no log positions of ours ({error}); move it away to begin at the ends of the files"
        raise StorageError(msg) from error


def _positions(document: Any) -> Iterable[tuple[str, Position]]:  # noqa: ANN401 - checked below
    if document["schema"] != _SCHEMA:
        msg = f"schema is {document['schema']!r}"
        raise ValueError(msg)
    kinds = {
        "device": int,
        "inode": int,
        "offset": int,
        "seen": int,
        "generation": int,
        "head": str,
        "is_in_cut_line": bool,
    }
    for path, fields in document["files"].items():
        if set(fields) != set(kinds) or any(type(fields[name]) is not kind for name, kind in kinds.items()):
            msg = f"a malformed position of {path!r}"
            raise ValueError(msg)
        if min(fields["offset"], fields["generation"]) < 0 or fields["seen"] < fields["offset"]:
            msg = f"a position out of range of {path!r}"
            raise ValueError(msg)
        yield path, Position(**fields)
