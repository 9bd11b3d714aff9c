"""What /proc tells about one process. Each file is bounded, and the process may end between any two bytes of it."""

from __future__ import annotations

import os
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Final

from warpgauge.exporters.attribution.workload import plain
from warpgauge.exporters.proc_file import contents

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping

__all__ = ["ENVIRONMENT", "ProcFs", "ProcessFacts", "user_name"]

ENVIRONMENT: Final = frozenset(
    {"SLURM_JOB_ID", "SLURM_PROCID", "SLURM_JOB_GPUS", "SLURM_STEP_GPUS", "CONTAINER_ID", "RANK", "HOSTNAME"}
)
"""The only variables that are looked at: an environment holds passwords."""

_NAMES: Final = {name.encode(): name for name in ENVIRONMENT}

_MOST_PIDS: Final = 32768
_MOST_BYTES: Final = {"stat": 4096, "cgroup": 16384, "environ": 1 << 20}
_DEAD: Final = frozenset({b"Z", b"X", b"x"})  # the state, the first of those words
_PARENT: Final = 1  # words after the command, field 4
_START_TICKS: Final = 19  # words after the command in /proc/PID/stat (man 5 proc, field 22)


@dataclass(frozen=True, slots=True, kw_only=True)
class ProcessFacts:
    """One process for as long as it lives: the start time tells it from a later one with the same pid."""

    pid: int
    started: int  # ticks since boot
    user: str  # empty where nobody can tell
    cgroup: str = ""
    environment: Mapping[str, str] = field(default_factory=dict)


class ProcFs:
    """Reads processes under one root, which may be the host's /proc mounted into a container."""

    def __init__(self, root: str | Path = "/proc", name_of: Callable[[int], str] | None = None) -> None:
        self._root = Path(root)
        self._text = str(root)  # a Path per process costs more than its reading
        self._name_of = name_of or user_name

    @property
    def root(self) -> Path:
        """Where processes are looked up."""
        return self._root

    def pids(self) -> frozenset[int]:
        """Every process that this /proc shows, at most as many as the kernel has by default."""
        try:
            names = os.listdir(self._text)  # noqa: PTH208 - as above
        except OSError:
            return frozenset()
        return frozenset([int(name) for name in names if name.isdecimal()][:_MOST_PIDS])

    def started(self, pid: int) -> int | None:
        """When it began, in ticks since boot; None when it is gone, hidden, or dead and not yet waited for."""
        words = self._bytes(pid, "stat").rpartition(b")")[2].split()
        if len(words) <= _START_TICKS or words[0] in _DEAD or not words[_START_TICKS].isdigit():
            return None
        return int(words[_START_TICKS])

    def parent(self, pid: int) -> int | None:
        """Who started it, or took it over; None when it is gone."""
        words = self._bytes(pid, "stat").rpartition(b")")[2].split()
        return int(words[_PARENT]) if len(words) > _PARENT and words[_PARENT].isdigit() else None

    def shows_environment(self, pid: int) -> bool:
        """Whether its environment may be read, which another user's may not without a privilege."""
        try:
            with open(f"{self._root}/{pid}/environ", "rb") as file:  # noqa: PTH123 - as below
                file.read(1)
        except OSError:
            return False
        return True

    def facts(self, pid: int) -> ProcessFacts | None:
        """Everything at once, None unless the same process was there from the first to the last byte."""
        started = self.started(pid)
        if started is None:
            return None
        found = ProcessFacts(
            pid=pid,
            started=started,
            user=self._user(pid),
            cgroup=self._bytes(pid, "cgroup").decode("utf-8", "replace"),
            environment=dict(_allowed(self._bytes(pid, "environ").split(b"\0"))),
        )
        return found if self.started(pid) == started else None

    def _user(self, pid: int) -> str:
        try:
            return self._name_of(os.stat(f"{self._text}/{pid}").st_uid)  # noqa: PTH116 - as above
        except OSError:
            return ""

    def _bytes(self, pid: int, name: str) -> bytes:
        """At most so many bytes; none when it cannot be read."""
        try:
            return contents(f"{self._text}/{pid}/{name}", _MOST_BYTES[name])
        except OSError:
            return b""


def user_name(uid: int) -> str:
    """The name of a user, or the number where this machine knows none (a user of a container)."""
    import pwd  # noqa: PLC0415 - Windows has none

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:
        return str(uid)


def _allowed(variables: Iterable[bytes]) -> Iterable[tuple[str, str]]:
    for variable in variables:
        name, equals, value = variable.partition(b"=")
        if equals and name in _NAMES:
            yield _NAMES[name], plain(value.decode("utf-8", "replace"))
