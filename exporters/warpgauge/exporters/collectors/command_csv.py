"""A vendor's command line as a source: one program that prints CSV with a header, started, bounded and killed by us.

For vendors whose library cannot be had from Python; `gaudi` is the pattern.
"""

from __future__ import annotations

import os
import signal
import subprocess
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from warpgauge.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["CommandFailedError", "number", "run", "table"]

_MOST_BYTES: Final = 1 << 20
_MOST_ROWS: Final = 1024
_SHOWN: Final = 60
_ABSENT: Final = frozenset({"", "N/A", "[N/A]", "NA", "Not Supported", "[Not Supported]"})


class CommandFailedError(Exception):
    """The program gave no table; `reason` is a short stable word."""

    def __init__(self, reason: str, detail: str) -> None:
        """Keep the word and one sentence."""
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


def run(command: Sequence[str], timeout_seconds: float) -> str:
    """What the program prints; it and what it started are killed when it takes too long.

    Raises:
        CommandFailedError: library_missing (no such program), permission, timeout, failed or malformed.

    """
    try:
        process = subprocess.Popen(  # noqa: S603 - a fixed command line, no shell
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=True,
            env={**os.environ, "LC_ALL": "C"},
        )
    except FileNotFoundError as error:
        reason = "library_missing"
        raise CommandFailedError(reason, f"{command[0]} is not installed") from error
    except PermissionError as error:
        reason = "permission"
        raise CommandFailedError(reason, f"{command[0]}: {error.strerror}") from error
    try:
        printed, complaint = process.communicate(timeout=timeout_seconds)
    except subprocess.TimeoutExpired as error:
        reason = "timeout"
        raise CommandFailedError(reason, f"{command[0]} took longer than {timeout_seconds} s") from error
    finally:
        _end(process)
    if process.returncode:
        words = " ".join(complaint.decode(errors="replace").split())[:200]
        reason = "failed"
        raise CommandFailedError(reason, f"{command[0]} ended with {process.returncode}: {words}")
    if len(printed) > _MOST_BYTES:
        reason = "malformed"
        raise CommandFailedError(reason, f"{command[0]} printed more than {_MOST_BYTES >> 20} MiB")
    return printed.decode(errors="replace")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Kill whatever is left of its session; one stuck in the kernel is left behind without waiting for it."""
    with suppress(ProcessLookupError, PermissionError):
        os.killpg(process.pid, signal.SIGKILL)
    for pipe in (process.stdout, process.stderr):
        if pipe is not None:
            pipe.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(timeout=0.1)


def table(text: str, columns: Sequence[str], *, place: str) -> list[dict[str, str]]:
    """Rows by column; a header such as `memory.total [MiB]` names the column `memory.total`.

    Raises:
        InputError: `place:line: what is wrong`.

    """
    lines = text.splitlines()
    if not lines or not lines[0].strip():
        msg = f"{place}:1: expected a header, got nothing"
        raise InputError(msg)
    header = [cell.partition("[")[0].strip() for cell in lines[0].split(",")]
    missing = [column for column in columns if column not in header]
    if missing:
        msg = f"{place}:1: no column {missing[0]!r} in {lines[0][:_SHOWN]!r}"
        raise InputError(msg)
    rows = []
    for at, line in enumerate(lines[1 : _MOST_ROWS + 1], start=2):
        cells = [cell.strip() for cell in line.split(",")]
        if len(cells) != len(header):
            if not line.strip():
                continue
            msg = f"{place}:{at}: expected {len(header)} cells, got {len(cells)} in {line[:_SHOWN]!r}"
            raise InputError(msg)
        rows.append(dict(zip(header, cells, strict=True)))
    return rows


def number(row: Mapping[str, str], column: str, *, unit: str = "") -> float | None:
    """A cell such as `350` or `350 W`; None where the program has no value.

    Raises:
        InputError: there is something else.

    """
    cell = row.get(column, "")
    if cell in _ABSENT:
        return None
    try:
        return float(cell.removesuffix(unit).strip())
    except ValueError:
        msg = f"{column}: {cell[:_SHOWN]!r} is not a number{f' of {unit}' if unit else ''}"
        raise InputError(msg) from None
