"""Whether DCGM runs on this machine: it reads the same hardware counters as GPM, and two readers disturb each other.

dcgm-exporter counts as well: by default it brings DCGM along inside itself and no nv-hostengine runs.
"""

from __future__ import annotations

import os
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["PROGRAMS", "Running", "find_hostengine"]

PROGRAMS: Final = ("nv-hostengine", "dcgm-exporter")
_MOST_PROCESSES: Final = 32768  # the kernel's default pid_max
_NAME_BYTES: Final = 64  # the kernel keeps 15


class Running(NamedTuple):
    """A process that holds DCGM."""

    program: str
    pid: int


def find_hostengine(proc_root: str | Path = "/proc") -> Running | None:
    """The process that holds DCGM, None where there is none to be seen.

    Not seen is one outside our PID namespace (in a container, mount the host's /proc) or hidden by hidepid.
    """
    seen = (Running(name, pid) for pid, name in _names(str(proc_root)))
    return next((running for running in seen if running.program in PROGRAMS), None)


def _names(proc_root: str) -> Iterator[tuple[int, str]]:
    try:
        numbers = [name for name in os.listdir(proc_root) if name.isdecimal()]  # noqa: PTH208 - a Path each costs more
    except OSError:
        return
    for number in islice(numbers, _MOST_PROCESSES):
        try:
            with open(f"{proc_root}/{number}/comm", "rb", buffering=0) as file:  # noqa: PTH123 - as above
                yield int(number), file.read(_NAME_BYTES).decode("utf-8", "replace").strip()
        except OSError:
            continue  # it ended while we looked, or is hidden from us
