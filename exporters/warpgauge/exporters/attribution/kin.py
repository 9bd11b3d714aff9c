"""Processes and their descendants, out of /proc/PID/stat (man 5 proc): who starts whom, and what each has used.

The kernel adds what a child used to its parent once the parent has waited for it, so what a process and its living
descendants have used together does not fall when one of them ends.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Iterable, Mapping

__all__ = ["Kin", "Parents", "Stat", "families_of", "parse"]

Kin = tuple[int, int]
"""A process for as long as it lives: pid, and when it began, which tells it from a later one with the same pid."""

# Words after the command, fields 4, 14 to 17, 22 and 24.
_PARENT, _TICKS, _STARTED, _PAGES = 1, slice(11, 15), 19, 21


class Stat(NamedTuple):
    """One process at one moment."""

    kin: Kin
    parent: int
    command: str  # its short name
    cpu_ticks: int  # its own and those of children that it has waited for
    resident_pages: int


def parse(text: str) -> Stat | None:
    """None if the text is cut off or is something else. A command may hold blanks and parentheses."""
    head, _, rest = text.rpartition(")")
    pid, _, command = head.partition("(")
    words = rest.split()
    try:
        return Stat(
            kin=(int(pid), int(words[_STARTED])),
            parent=int(words[_PARENT]),
            command="".join(character for character in command if character.isprintable()),
            cpu_ticks=sum(map(int, words[_TICKS])),
            resident_pages=int(words[_PAGES]),
        )
    except (ValueError, IndexError):
        return None


class Parents:
    """Parent of every process of a machine; only new processes and orphans are looked at."""

    def __init__(self, pids: Callable[[], Collection[int]], stat: Callable[[int], Stat | None]) -> None:
        self._pids = pids
        self._stat = stat
        self._known: dict[int, int] = {}

    def look(self) -> Mapping[int, int]:
        """By pid, as of now. One that changed its number's owner between two looks is met a look later."""
        before, self._known = self._known, {}
        alive = self._pids()
        for pid in alive:
            parent = before.get(pid)
            if parent is None or parent not in alive:
                found = self._stat(pid)
                parent = found.parent if found is not None else 0
            self._known[pid] = parent
        return self._known


def families_of(
    parents: Mapping[int, int], heads: Iterable[int], kept: Collection[int], most: int
) -> dict[int, list[int]]:
    """Descendants of each head, but for other heads and theirs; `most` of all together, those in `kept` first."""
    families: dict[int, list[int]] = {head: [] for head in heads}
    children: dict[int, list[int]] = {}
    for pid, parent in parents.items():
        children.setdefault(parent, []).append(pid)
    found = [(head, pid) for head in families for pid in _below(head, children, families)]
    found.sort(key=lambda one: (one[1] not in kept, one[1]))
    for head, pid in found[:most]:
        families[head].append(pid)
    return families


def _below(head: int, children: Mapping[int, list[int]], heads: Collection[int]) -> list[int]:
    """A fork that changes while it is read may look like a ring: nobody is met twice."""
    met, waiting = {head}, [head]
    while waiting:
        for pid in children.get(waiting.pop(), ()):
            if pid not in met and pid not in heads:
                met.add(pid)
                waiting.append(pid)
    return list(met - {head})
