"""CPU, memory and IO of processes that have a device open: what the host spends on feeding it.

Off unless asked for, as each process is a new series. Source: man 5 proc, /proc/PID/stat and /proc/PID/io; the latter
is for the process's own user and for CAP_SYS_PTRACE.
"""

from __future__ import annotations

import os
import re
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import process
from warpgauge.core.sample import Sample, Unavailable
from warpgauge.exporters.processes import parse_stat

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from warpgauge.core.catalog import Metric
    from warpgauge.exporters.processes import Reading

__all__ = ["holder_usage", "io_bytes"]

_MOST_BYTES: Final = 4096
_LINE: Final = re.compile(r"^(read_bytes|write_bytes): (\d{1,20})$", re.MULTILINE | re.ASCII)
_IO: Final[Mapping[str, Metric]] = {"read_bytes": process.HOST_READ, "write_bytes": process.HOST_WRITE}


def holder_usage(proc_root: Path, pids: Iterable[int], most: int) -> list[Sample]:
    """At most `most` processes, those with most resident memory first, and how many were left out."""
    found = [one for pid in pids if (one := _reading(proc_root, pid)) is not None]
    found.sort(key=lambda one: (-one.memory_bytes, one.pid))
    samples = [Sample(process.HOLDERS_LEFT_OUT, (), float(max(0, len(found) - most)))]
    for one in found[:most]:
        identity = (str(one.pid), "".join(character for character in one.command if character.isprintable()))
        samples += [
            Sample(process.HOST_CPU, identity, one.cpu_seconds),
            Sample(process.HOST_MEMORY, identity, float(one.memory_bytes)),
        ]
        samples += [Sample(row, identity, value) for row, value in _io(proc_root, one.pid).items()]
    return samples


def io_bytes(text: str) -> dict[str, float]:
    """Bytes that went to and came from disks, by the file's own names; what is not there is absent."""
    return {name: float(number) for name, number in _LINE.findall(text)}


def _reading(proc_root: Path, pid: int) -> Reading | None:
    try:
        text = _text(proc_root, pid, "stat")
    except OSError:  # it ended meanwhile, or is hidden from us
        return None
    return parse_stat(text, os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE"))


def _io(proc_root: Path, pid: int) -> dict[Metric, float | Unavailable]:
    try:
        found = io_bytes(_text(proc_root, pid, "io"))
    except OSError as error:
        reason = Unavailable(f"{proc_root}/{pid}/io: {error.strerror}")
        return dict.fromkeys(_IO.values(), reason)
    return {row: found[name] for name, row in _IO.items() if name in found}


def _text(proc_root: Path, pid: int, name: str) -> str:
    with (proc_root / str(pid) / name).open("rb") as file:
        return file.read(_MOST_BYTES).decode("utf-8", "replace")
