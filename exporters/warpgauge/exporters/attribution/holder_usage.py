"""CPU, memory and IO of processes that have a device open: what the host spends on feeding it.

Their descendants (a data loader's workers) are counted with them, unless these have a device open themselves. Off
unless asked for, as each process is a new series. Source: man 5 proc, /proc/PID/stat, /proc/PID/statm and /proc/PID/io;
the latter is for the process's own user and for CAP_SYS_PTRACE.
"""

from __future__ import annotations

import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import process
from warpgauge.core.sample import Sample, Unavailable
from warpgauge.exporters.attribution.family_counter import FamilyCounter
from warpgauge.exporters.attribution.kin import Parents, families_of, parse

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from warpgauge.core.catalog import Metric
    from warpgauge.exporters.attribution.kin import Kin, Stat
    from warpgauge.exporters.attribution.procfs import ProcFs

__all__ = ["MOST_DESCENDANTS", "HolderUsage", "io_bytes", "unshared_pages"]

MOST_DESCENDANTS: Final = 1024  # on the node; each costs three small files at each reading
_MOST_BYTES: Final = 4096
_RESIDENT, _SHARED = 1, 2  # words of statm
_LINE: Final = re.compile(r"^(read_bytes|write_bytes): (\d{1,20})$", re.MULTILINE | re.ASCII)
_IO: Final[Mapping[str, Metric]] = {"read_bytes": process.HOST_READ, "write_bytes": process.HOST_WRITE}
_COUNTERS: Final = (process.HOST_CPU, *_IO.values())


@dataclass(slots=True)
class _Read:
    """All processes that count, at one moment."""

    stats: dict[Kin, Stat] = field(default_factory=dict)
    memory: dict[Kin, int] = field(default_factory=dict)  # bytes
    values: dict[Metric, dict[Kin, float]] = field(default_factory=lambda: {row: {} for row in _COUNTERS})
    untold: dict[Kin, Unavailable] = field(default_factory=dict)  # whose IO cannot be read
    families: dict[Kin, list[Kin]] = field(default_factory=dict)  # by head, who is the first of them


class HolderUsage:
    """Reads the processes that have a device open, and keeps their counters from falling when a child ends."""

    def __init__(self, proc: ProcFs, most: int, *, most_descendants: int = MOST_DESCENDANTS) -> None:
        """At most `most` of them get series, those with most memory first."""
        self._proc = proc
        self._most = most
        self._most_descendants = most_descendants
        self._ticks_per_second, self._page_bytes = os.sysconf("SC_CLK_TCK"), os.sysconf("SC_PAGE_SIZE")
        self._parents = Parents(proc.pids, self._stat)
        self._before: frozenset[int] = frozenset()  # every pid of the last time
        self._last = _Read()
        self._counters = {row: FamilyCounter() for row in _COUNTERS}

    def samples(self, holders: Iterable[int]) -> list[Sample]:
        """Every series as of now, and how many processes have none."""
        parents = self._parents.look()
        kept = {pid for pid, _ in self._last.stats}
        now = self._read(families_of(parents, holders, kept, self._most_descendants))
        told = self._advanced(now)
        self._before, self._last = frozenset(parents), now
        memory = {head: sum(now.memory[kin] for kin in members) for head, members in now.families.items()}
        ranked = sorted(now.families, key=lambda head: (-memory[head], head))
        samples = [Sample(process.HOLDERS_LEFT_OUT, (), float(max(0, len(ranked) - self._most)))]
        for head in ranked[: self._most]:
            identity = (str(head[0]), now.stats[head].command)
            samples += [
                Sample(process.HOST_MEMORY, identity, float(memory[head])),
                Sample(process.HOST_CHILDREN, identity, float(len(now.families[head]) - 1)),
                *(Sample(row, identity, values[head]) for row, values in told.items() if head in values),
                *(Sample(row, identity, now.untold[head]) for row in _IO.values() if head in now.untold),
            ]
        return samples

    def _read(self, families: Mapping[int, Sequence[int]]) -> _Read:
        """Everybody once; who ends between two files is left out, as if it had ended before."""
        now = _Read()
        for head, below in families.items():
            first = self._read_one(now, head, is_head=True)
            if first is None:
                continue
            others = [kin for pid in below if (kin := self._read_one(now, pid, is_head=False)) is not None]
            now.families[first] = [first, *others]
            reasons = [now.untold[kin] for kin in now.families[first] if kin in now.untold]
            now.untold |= {first: reasons[0]} if reasons else {}
        return now

    def _read_one(self, now: _Read, pid: int, *, is_head: bool) -> Kin | None:
        found = self._stat(pid)
        if found is None:
            return None
        numbers: Mapping[str, float] = {}
        resident = found.resident_pages
        try:
            if not is_head:
                resident = unshared_pages(self._text(pid, "statm"))
            numbers = io_bytes(self._text(pid, "io"))
        except OSError as error:
            if self._stat(pid) is None:  # it ended meanwhile
                return None
            now.untold[found.kin] = Unavailable(f"{self._proc.root}/{pid}/io: {error.strerror}")
        now.stats[found.kin] = found
        now.memory[found.kin] = resident * self._page_bytes
        now.values[process.HOST_CPU][found.kin] = found.cpu_ticks / self._ticks_per_second
        for name in _IO.keys() & numbers.keys():
            now.values[_IO[name]][found.kin] = numbers[name]
        return found.kin

    def _advanced(self, now: _Read) -> dict[Metric, dict[Kin, float]]:
        born = {kin for kin in now.stats if kin[0] not in self._before}
        home = {kin[0]: head for head, members in now.families.items() for kin in members}
        lost = self._last.stats.keys() - now.stats.keys()
        parents = {kin[0]: self._last.stats[kin].parent for kin in lost if not self._lives(kin)}
        heirs = {kin: head for kin in lost if kin[0] in parents and (head := _heir(kin[0], parents, home)) is not None}
        return {
            row: counter.advance(now.families, now.values[row], born, heirs) for row, counter in self._counters.items()
        }

    def _lives(self, kin: Kin) -> bool:
        """Whether who is no member any more only has another parent now."""
        found = self._stat(kin[0])
        return found is not None and found.kin == kin

    def _stat(self, pid: int) -> Stat | None:
        try:
            return parse(self._text(pid, "stat"))
        except OSError:  # it ended meanwhile, or is hidden from us
            return None

    def _text(self, pid: int, name: str) -> str:
        with open(f"{self._proc.root}/{pid}/{name}", "rb", buffering=0) as file:  # noqa: PTH123 - a Path costs more
            return file.read(_MOST_BYTES).decode("utf-8", "replace")


def _heir(pid: int, parents: Mapping[int, int], home: Mapping[int, Kin]) -> Kin | None:
    """The family of whoever waited for a process that ended, beyond parents that ended too."""
    met: set[int] = set()
    while pid in parents and pid not in met:
        met.add(pid)
        pid = parents[pid]
    return home.get(pid)


def io_bytes(text: str) -> dict[str, float]:
    """Bytes that went to and came from disks, by the file's own names; what is not there is absent."""
    return {name: float(number) for name, number in _LINE.findall(text)}


def unshared_pages(statm: str) -> int:
    """Pages that no file and no shared memory backs; 0 for a process that ended and has none.

    The rest (libraries, tensors in shared memory) is its parent's too. What a fork left in common still counts here.
    """
    words = statm.split()
    if len(words) <= _SHARED or not all(word.isdecimal() for word in words):
        return 0
    return max(0, int(words[_RESIDENT]) - int(words[_SHARED]))
