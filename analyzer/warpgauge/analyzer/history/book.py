"""The series of the history, each under a number: their names and labels as codes, from which whole columns are built.

Written by the thread that owns the frame, read by the one that writes files: arrays only grow, a grown one replaces the
old as a whole, and a number is handed to the reader only after everything about it stands.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Final

import numpy as np

from warpgauge.analyzer.history.columns import LABELS

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from numpy.typing import NDArray

    from warpgauge.analyzer.frame.table import Ints

    Codes = NDArray[np.int32]

__all__ = ["ABSENT", "Book"]

ABSENT: Final = -1
"""Code of a label that a series does not have."""

_FIRST_CAPACITY: Final = 256
_LABEL_NUMBER: Final = {name: number for number, name in enumerate(LABELS)}


class Book:
    """Series of one generation of the frame; `texts[code]` is what a code stands for.

    `previous` is the book of the generation before: a series that goes on is known to be written up to its last sample.
    """

    def __init__(self, *, most_series: int, previous: Book | None = None) -> None:
        self.texts: list[str] = []
        self.simulated: frozenset[tuple[str, str]] = frozenset()  # (cluster, node), replaced as a whole
        self.last_ms: Ints = np.zeros(_FIRST_CAPACITY, dtype=np.int64)  # [series], only for the writer of the book
        self._most_series = most_series
        self._codes: dict[str, int] = {}
        self._numbers: dict[int, int] = {}
        self._before = {} if previous is None else previous.last_by_key()
        self._size = 0
        self._names = np.zeros(_FIRST_CAPACITY, dtype=np.int32)
        self._places = np.zeros(_FIRST_CAPACITY, dtype=np.int32)
        self._place_numbers: dict[tuple[str, str], int] = {}
        self._starts: Ints = np.zeros(_FIRST_CAPACITY + 1, dtype=np.int64)
        self._labels = np.zeros(_FIRST_CAPACITY, dtype=np.int16)
        self._values = np.zeros(_FIRST_CAPACITY, dtype=np.int32)

    def __len__(self) -> int:
        return self._size

    def number(self, name: str, labels: Mapping[str, str]) -> int:
        """The number of a series, the same for the same labels; -1 if there are too many."""
        kept = [(_LABEL_NUMBER[label], text) for label, text in labels.items() if text and label in _LABEL_NUMBER]
        kept.sort()
        key = hash((name, *kept))
        found = self._numbers.get(key)
        if found is not None:
            return found
        if self._size >= self._most_series:
            return -1
        self._numbers[key] = self._size
        self._add(name, kept, key, (labels.get("cluster", ""), labels.get("node", "")))
        return self._size - 1

    def names_of(self, numbers: Ints) -> Codes:
        """Codes of the series' names."""
        return self._names[numbers]

    def is_simulated(self, numbers: Ints) -> NDArray[np.bool_]:
        """Which of the series stand on a node that said it is simulated."""
        simulated = self.simulated
        marks = np.fromiter((place in simulated for place in list(self._place_numbers)), dtype=bool)
        return marks[self._places[numbers]]

    def labels_of(self, numbers: Ints) -> dict[str, Codes]:
        """Per label that any of these series has: a code for each series, ABSENT where it has none."""
        starts, labels, values = self._starts, self._labels, self._values
        lengths = starts[numbers + 1] - starts[numbers]
        owners = np.repeat(np.arange(len(numbers)), lengths)
        firsts = np.repeat(starts[numbers] - (np.cumsum(lengths) - lengths), lengths)
        flat = firsts + np.arange(len(owners))
        found, codes = labels[flat], values[flat]
        columns: dict[str, Codes] = {}
        for label in np.unique(found).tolist():
            column = np.full(len(numbers), ABSENT, dtype=np.int32)
            chosen = found == label
            column[owners[chosen]] = codes[chosen]
            columns[LABELS[label]] = column
        return columns

    def _add(self, name: str, labels: Sequence[tuple[int, str]], key: int, place: tuple[str, str]) -> None:
        number, start = self._size, int(self._starts[self._size])
        end = start + len(labels)
        self._names = _with_room(self._names, number + 1)
        self._places = _with_room(self._places, number + 1)
        self._starts = _with_room(self._starts, number + 2)
        self.last_ms = _with_room(self.last_ms, number + 1)
        self._labels, self._values = _with_room(self._labels, end), _with_room(self._values, end)
        self._names[number] = self._code(name)
        self._places[number] = self._place_numbers.setdefault(place, len(self._place_numbers))
        self._labels[start:end] = [label for label, _ in labels]
        self._values[start:end] = [self._code(text) for _, text in labels]
        self._starts[number + 1] = end
        self.last_ms[number] = self._before.get(key, 0)
        self._size += 1

    def _code(self, text: str) -> int:
        code = self._codes.setdefault(text, len(self.texts))
        if code == len(self.texts):
            self.texts.append(text)
        return code

    def last_by_key(self) -> dict[int, int]:
        """When each series had its last sample, for the next generation's book."""
        return {key: int(self.last_ms[number]) for key, number in self._numbers.items()}


def _with_room(array: NDArray[Any], size: int) -> NDArray[Any]:
    if size <= len(array):
        return array
    return np.concatenate([array, np.zeros(max(size - len(array), len(array)), dtype=array.dtype)])
