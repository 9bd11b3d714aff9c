"""Recorded answers in their order, by what was asked."""

from __future__ import annotations

from typing import Generic, TypeVar

__all__ = ["Answers"]

_Kept = TypeVar("_Kept")


class _Row(Generic[_Kept]):
    """The answers to one question."""

    def __init__(self) -> None:
        self.kept: list[_Kept] = []
        self.next = 0

    def take(self) -> _Kept:
        answer = self.kept[min(self.next, len(self.kept) - 1)]
        self.next += 1
        return answer


class Answers(Generic[_Kept]):
    """Rows of answers. A question may have a loose form, which counts where the exact one was never asked."""

    def __init__(self) -> None:
        self._rows: dict[object, _Row[_Kept]] = {}
        self._spare: dict[object, _Row[_Kept]] = {}

    def add(self, keys: tuple[object, ...], answer: _Kept, *, is_spare: bool) -> None:
        """Append an answer; a spare one is given only where there is no other."""
        rows = self._spare if is_spare else self._rows
        for key in keys:
            rows.setdefault(key, _Row()).kept.append(answer)

    def next(self, keys: tuple[object, ...]) -> _Kept | None:
        """The next answer, the last one again when all were given, None if there never was one."""
        for rows in (self._rows, self._spare):
            for key in keys:
                if key in rows:
                    return rows[key].take()
        return None
