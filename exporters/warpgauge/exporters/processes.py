"""Who uses this machine now: the busiest processes, asked for when a finding about the host needs a name."""

from __future__ import annotations

import os
import sys
import time
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING, Final, NamedTuple

from warpgauge.core.clock import Clock, SystemClock

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping
    from pathlib import Path

__all__ = ["Process", "ProcessTable", "Reading", "parse_stat"]

_MAX_PROCESSES: Final = 32768  # the kernel's default pid_max; beyond it the busiest are looked for among the first ones

# Words after the command in /proc/PID/stat (man 5 proc, fields 14, 15, 22 and 24).
_USER_TICKS, _SYSTEM_TICKS, _START_TICKS, _RESIDENT_PAGES = 11, 12, 19, 21


@dataclass(frozen=True, slots=True)
class Process:
    """One process over the last second; `command` is its short name, never its arguments: those may hold secrets."""

    pid: int
    command: str
    cpu_ratio: float  # of all CPUs of the machine together, 0-1
    memory_bytes: int  # resident
    user: str  # empty when nobody can tell any more
    workload: Mapping[str, str] | None = None  # whose it is, in the words of accel_workload_info; None: nobody can tell


class Reading(NamedTuple):
    """One process at one moment."""

    pid: int
    started: float  # tells apart two processes that had the same pid; only compared
    command: str
    cpu_seconds: float
    memory_bytes: int


class ProcessTable:
    """Finds the busiest processes from two readings of the table."""

    def __init__(  # noqa: PLR0913 - each is a part of the world that a test hands in
        self,
        *,
        proc_root: str | Path = "/proc",
        system: str = sys.platform,
        cpu_count: int | None = None,
        seconds: float = 1.0,
        sleep: Callable[[float], None] = time.sleep,
        whose: Callable[[int], Mapping[str, str] | None] = lambda _: None,
        clock: Clock | None = None,
    ) -> None:
        self._proc_root = str(proc_root)
        self._is_linux = system == "linux"
        self._cpu_count = cpu_count or os.cpu_count() or 1
        self._seconds = seconds
        self._sleep = sleep
        self._whose = whose
        self._clock = clock or SystemClock()

    def busiest(self, top: int) -> list[Process]:
        """At most `top` processes, the one that used most CPU between two readings first; takes a second."""
        before = {(one.pid, one.started): one.cpu_seconds for one in self._readings()}
        start = self._clock.monotonic()
        self._sleep(self._seconds)
        elapsed_seconds = max(self._clock.monotonic() - start, 1e-3)
        now = list(self._readings())
        capacity_seconds = elapsed_seconds * self._cpu_count
        ranked = sorted(((_used(one, before), one) for one in now), key=_busiest_first)
        return [self._process(one, used / capacity_seconds) for used, one in ranked[: max(top, 0)]]

    def _process(self, one: Reading, cpu_ratio: float) -> Process:
        # Ticks are 10 ms, so a process that never slept can seem to have had more than there was.
        whose = self._whose(one.pid) if cpu_ratio else None  # of those that do nothing nobody asks
        return Process(one.pid, one.command, min(cpu_ratio, 1.0), one.memory_bytes, self._user(one.pid), whose)

    def _readings(self) -> Iterator[Reading]:
        return islice(self._linux_readings() if self._is_linux else _portable_readings(), _MAX_PROCESSES)

    def _linux_readings(self) -> Iterator[Reading]:
        ticks_per_second, page_bytes = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
        for name in os.listdir(self._proc_root):  # noqa: PTH208 - a Path per process costs more than its reading
            if not name.isdecimal():
                continue
            try:
                with open(f"{self._proc_root}/{name}/stat", "rb", buffering=0) as file:  # noqa: PTH123 - as above
                    text = file.read().decode("utf-8", "replace")
            except OSError:  # it ended meanwhile, or is hidden from us
                continue
            if (one := parse_stat(text, ticks_per_second, page_bytes)) is not None:
                yield one

    def _user(self, pid: int) -> str:
        if not self._is_linux:
            return _portable_user(pid)
        try:
            return _user_name(os.stat(f"{self._proc_root}/{pid}").st_uid)  # noqa: PTH116 - same form as above
        except OSError:
            return ""


def parse_stat(text: str, ticks_per_second: int, page_bytes: int) -> Reading | None:
    """One process from its /proc/PID/stat; None if the text is cut off. A command may hold blanks and parentheses."""
    head, _, rest = text.rpartition(")")
    pid, _, command = head.partition("(")
    words = rest.split()
    try:
        return Reading(
            int(pid),
            float(words[_START_TICKS]),
            command,
            (int(words[_USER_TICKS]) + int(words[_SYSTEM_TICKS])) / ticks_per_second,
            int(words[_RESIDENT_PAGES]) * page_bytes,
        )
    except (ValueError, IndexError):
        return None


def _used(one: Reading, before: Mapping[tuple[int, float], float]) -> float:
    """CPU seconds since the first reading; all of them for a process that was born after it."""
    return max(one.cpu_seconds - before.get((one.pid, one.started), 0.0), 0.0)


def _busiest_first(entry: tuple[float, Reading]) -> tuple[float, int, int]:
    used, one = entry
    return (-used, -one.memory_bytes, one.pid)


def _user_name(uid: int) -> str:
    import pwd  # noqa: PLC0415 - Windows has none

    try:
        return pwd.getpwuid(uid).pw_name
    except KeyError:  # a user of a container, unknown on the host
        return str(uid)


def _portable_readings() -> Iterator[Reading]:
    from warpgauge.exporters.collectors import host_portable  # noqa: PLC0415 - Linux needs no psutil

    return (Reading(*one) for one in host_portable.process_readings())


def _portable_user(pid: int) -> str:
    from warpgauge.exporters.collectors import host_portable  # noqa: PLC0415 - Linux needs no psutil

    return host_portable.user_of_process(pid)
