"""Rows on their way to a file, and how they are arranged there: by hour, and within it by metric, series and time."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from warpgauge.analyzer.frame.states import Doubles
    from warpgauge.analyzer.frame.table import Ints
    from warpgauge.analyzer.history.book import Book

__all__ = ["HOUR_MS", "Rows", "Sheet", "sheets_of"]

HOUR_MS: Final = 3_600_000


@dataclass(frozen=True, slots=True, eq=False)
class Rows:
    """Samples of series of one book, in any order."""

    book: Book
    numbers: NDArray[np.int32]
    times_ms: Ints
    values: Doubles

    def __len__(self) -> int:
        return len(self.numbers)

    def only(self, chosen: NDArray[Any]) -> Rows:
        """Some of the rows."""
        return Rows(self.book, self.numbers[chosen], self.times_ms[chosen], self.values[chosen])


@dataclass(frozen=True, slots=True, eq=False)
class Sheet:
    """The rows of one file: all of one hour (UTC), sorted by metric, series and time."""

    hour: int  # since the epoch
    rows: Rows


def sheets_of(rows: Sequence[Rows]) -> Iterator[Sheet]:
    """Arrange rows; those of simulated nodes are left out."""
    for book in {id(part.book): part.book for part in rows}.values():
        parts = [part for part in rows if part.book is book]
        columns = ("numbers", "times_ms", "values")
        joined = Rows(book, *(np.concatenate([getattr(part, name) for part in parts]) for name in columns))
        real = joined.only(~book.is_simulated(joined.numbers.astype(np.int64)))
        hours = real.times_ms // HOUR_MS
        for hour in np.unique(hours).tolist():
            yield Sheet(hour, _sorted(real.only(hours == hour)))


def _sorted(rows: Rows) -> Rows:
    names = rows.book.names_of(rows.numbers.astype(np.int64))
    codes, of_row = np.unique(names, return_inverse=True)
    rank = np.argsort(np.argsort([rows.book.texts[code] for code in codes.tolist()]))
    return rows.only(np.lexsort((rows.times_ms, rows.numbers, rank[of_row])))
