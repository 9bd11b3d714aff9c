"""The journal of systemd as a source: `journalctl` follows it in a child process, from the place where we were.

What we do not read waits in the pipe and then in the journal. A child that ends is started again after a while, from
the last entry that was read; the next agent goes on from the last one that was safe in every queue.
"""

from __future__ import annotations

import json
import logging
import os
import subprocess
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.atomic import write_atomically
from warpgauge.core.errors import StorageError
from warpgauge.core.retry import Backoff
from warpgauge.exporters.logs.journal_entry import CURSOR, FIELDS, entry_of
from warpgauge.exporters.logs.kernel_reports import KernelReports

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warpgauge.core.clock import Clock
    from warpgauge.core.config import LogsConfig
    from warpgauge.exporters.log_record import LogRecord
    from warpgauge.exporters.logs.journal_entry import Entry

__all__ = ["Journal", "journalctl", "read_cursor"]

_LOG: Final = logging.getLogger(__name__)
_MACHINE_ID: Final = Path("/etc/machine-id")
_SCHEMA: Final = "warpgauge.journal-cursor/v1"
_MOST_CURSOR_FILE_BYTES: Final = 4096
_MOST_LINE_BYTES: Final = 1 << 20  # an entry that is longer is passed over and counted
_READ_BYTES: Final = 1 << 16
_PIPE_BYTES: Final = 1 << 20  # what a child may write ahead between two looks; a thousand entries or so
_MOST_WORDS: Final = 300  # of what a child said when it ended
_FAREWELL_SECONDS: Final = 1.0


def journalctl(settings: LogsConfig) -> list[str]:
    """The command that prints the entries which the settings want, without where to begin."""
    command = ["journalctl", "--no-pager", "--quiet", "--all", "--output=json", f"--output-fields={','.join(FIELDS)}"]
    command += [f"--priority={settings.journal_priority}", "--merge"]  # else following passes over a restart
    command += [f"--directory={settings.journal_directory}"] if settings.journal_directory else _of_this_machine()
    return command + [f"--unit={unit}" for unit in settings.journal_units]


def _of_this_machine() -> list[str]:
    """Merged journals are also those that other machines sent here."""
    try:
        text = _MACHINE_ID.read_text(encoding="ascii").strip()
    except (OSError, UnicodeDecodeError):
        return []
    return [f"_MACHINE_ID={text}"] if text.isalnum() else []


class Journal:
    """Entries as records; what the kernel log or our own events tell already is left out. Not for several threads."""

    def __init__(  # noqa: PLR0913 - the world is handed in
        self,
        settings: LogsConfig,
        cursor_path: Path,
        *,
        node: str,
        clock: Clock,
        without_kernel_reports: bool,
        without_pid: int | None,
        backoff: Backoff | None = None,
    ) -> None:
        """Go on after the cursor of the last time; without one, what the journal holds already is not told.

        Raises:
            StorageError: the cursor cannot be read or is not ours.

        """
        self._command = journalctl(settings)
        self._most_message_bytes = settings.max_line_bytes
        self._cursor_path = cursor_path
        self._kept = self._cursor = read_cursor(cursor_path)
        self._node = node
        self._clock = clock
        self._begun = clock.now()
        self._reports = KernelReports() if without_kernel_reports else None
        self._without_pid = without_pid
        self._delays_of = backoff or Backoff(first_seconds=1.0, max_seconds=60.0)
        self._delays: Iterator[float] | None = None
        self._due = clock.monotonic()  # when a child may be started
        self._child: subprocess.Popen[bytes] | None = None
        self._rest = b""  # of a line that is not whole yet
        self._is_in_long_line = False
        self._trouble = ""
        self.passed_over = 0  # entries that were too long or malformed

    def take(self, most: int) -> list[LogRecord]:
        """Entries that were written since, at most so many."""
        if self._child is None and not self._started():
            return []
        taken: list[LogRecord] = []
        passed_over = self.passed_over
        while len(taken) < most and (line := self._line()) is not None:
            entry = self._entry(line)
            if entry is not None:
                taken.append(entry.record)
        if self.passed_over > passed_over:
            _LOG.warning("journal entries passed over", extra={"entries": self.passed_over - passed_over})
        return taken

    def keep_positions(self) -> None:
        """Write down the last entry that was read.

        Raises:
            StorageError: it cannot be written.

        """
        if self._cursor != self._kept:
            document = {"schema": _SCHEMA, "cursor": self._cursor}
            write_atomically(self._cursor_path, json.dumps(document).encode(), mode=0o600)
            self._kept = self._cursor

    def close(self) -> None:
        """End the child."""
        child, self._child, self._rest, self._is_in_long_line = self._child, None, b"", False
        if child is None:
            return
        child.terminate()
        with suppress(subprocess.TimeoutExpired):
            child.wait(_FAREWELL_SECONDS)
        if child.poll() is None:
            child.kill()
            child.wait()
        for pipe in (child.stdout, child.stderr):
            if pipe is not None:
                pipe.close()

    def _started(self) -> bool:
        if self._clock.monotonic() < self._due:
            return False
        where = f"--after-cursor={self._cursor}" if self._cursor else "--lines=1"  # the last one, for its cursor
        more = ["--no-tail"] if self._cursor else []
        command = [*self._command, "--follow", where, *more]
        try:
            self._child = _child(command)
        except OSError as error:
            self._failed(f"journalctl: {error.strerror or error}")
            return False
        for pipe in (self._child.stdout, self._child.stderr):
            if pipe is not None:
                os.set_blocking(pipe.fileno(), False)
        return True

    def _failed(self, why: str) -> None:
        """Told once for each change; the next child comes after a while."""
        self._delays = self._delays or self._delays_of.delays()
        self._due = self._clock.monotonic() + next(self._delays)
        if why != self._trouble:
            _LOG.warning("journal not readable", extra={"why": why})
        self._trouble = why

    def _line(self) -> bytes | None:
        """The next whole line that is there now."""
        while True:
            line, newline, rest = self._rest.partition(b"\n")
            if newline:
                self._rest = rest
                if not self._is_in_long_line:
                    return line
                self._is_in_long_line = False
            elif not self._has_more():
                return None

    def _has_more(self) -> bool:
        """Read on; a line without end costs no more memory than its limit."""
        child = self._child
        if child is None or child.stdout is None:
            return False
        if len(self._rest) > _MOST_LINE_BYTES:
            self.passed_over += not self._is_in_long_line
            self._rest, self._is_in_long_line = b"", True
        try:
            read = os.read(child.stdout.fileno(), _READ_BYTES)
        except BlockingIOError:
            return False
        if not read:
            self._ended(child)
            return False
        self._rest += read
        return True

    def _ended(self, child: subprocess.Popen[bytes]) -> None:
        said = b""
        with suppress(BlockingIOError):
            said = os.read(child.stderr.fileno(), _READ_BYTES) if child.stderr else b""
        self.close()
        words = " ".join(said.decode(errors="replace").split())[:_MOST_WORDS]
        self._failed(f"journalctl ended with exit code {child.returncode}: {words}")

    def _entry(self, line: bytes) -> Entry | None:
        """The entry, or None for one that is not to be told."""
        try:
            entry = entry_of(line, node=self._node, max_message_bytes=self._most_message_bytes)
        except ValueError:
            self.passed_over += 1
            return None
        is_from_before = not self._cursor and entry.record.time < self._begun
        self._cursor = entry.cursor
        self._delays, self._trouble = None, ""
        return None if is_from_before or self._is_told_elsewhere(entry) else entry

    def _is_told_elsewhere(self, entry: Entry) -> bool:
        if entry.transport == "kernel":
            return self._reports is not None and self._reports.read(entry.record.message) is not None
        return entry.pid is not None and entry.pid == self._without_pid


def _child(command: list[str]) -> subprocess.Popen[bytes]:
    try:
        return _child_with(command, _PIPE_BYTES)
    except PermissionError:  # a pipe larger than this user may have: less is read at a look
        return _child_with(command, -1)


def _child_with(command: list[str], pipe_bytes: int) -> subprocess.Popen[bytes]:
    return subprocess.Popen(  # noqa: S603 - a program of the system, no shell
        command,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        env={**os.environ, "LC_ALL": "C"},
        pipesize=pipe_bytes,
    )


def read_cursor(path: Path) -> str:
    """The cursor that was kept, empty where there is no file.

    Raises:
        StorageError: it cannot be read or is not ours; nothing is begun anew in its place.

    """
    try:
        with path.open("rb") as file:
            document = json.loads(file.read(_MOST_CURSOR_FILE_BYTES + 1))
        return _cursor_of(document)
    except FileNotFoundError:
        return ""
    except OSError as error:
        msg = f"cannot read {path}: {error.strerror or error}"
        raise StorageError(msg) from error
    except (ValueError, TypeError, KeyError, RecursionError) as error:
        msg = f"{path} holds no cursor of ours ({error}); move it away to begin at the end of the journal"
        raise StorageError(msg) from error


def _cursor_of(document: Any) -> str:  # noqa: ANN401 - checked here
    if document["schema"] != _SCHEMA or not CURSOR.fullmatch(document["cursor"]):
        msg = "not what we write"
        raise ValueError(msg)
    return str(document["cursor"])
