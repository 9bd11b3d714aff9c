"""Samples on their way into the frame, as columns."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from collections.abc import Iterator

    from numpy.typing import NDArray

    Chosen = slice | NDArray[np.int64] | NDArray[np.bool_]

__all__ = ["Batch"]

_PART: Final = 1 << 16  # samples


@dataclass(frozen=True, slots=True)
class Batch:
    """Samples of known series, each with when its series had one before this batch."""

    ids: NDArray[np.int64]
    times_ms: NDArray[np.int64]
    values: NDArray[np.float64]
    before_ms: NDArray[np.int64]
    has_repeated: bool = False  # whether a series has several

    def only(self, chosen: Chosen) -> Batch:
        """Some of them."""
        return Batch(
            self.ids[chosen], self.times_ms[chosen], self.values[chosen], self.before_ms[chosen], self.has_repeated
        )

    def in_order(self) -> Batch:
        """Order by (id, time); of several samples of a series at one time the last one given stands."""
        if (self.ids[1:] > self.ids[:-1]).all():
            return self
        order = np.lexsort((self.times_ms, self.ids))
        ids, times_ms = self.ids[order], self.times_ms[order]
        same = ids[1:] == ids[:-1]
        last = np.append(~same | (times_ms[1:] != times_ms[:-1]), True)
        ordered = self.only(order[last])
        return replace(ordered, has_repeated=bool((ordered.ids[1:] == ordered.ids[:-1]).any()))

    def parts(self) -> Iterator[Batch]:
        """Many samples part by part, so that what is worked on fits a CPU's cache."""
        if len(self.ids) <= _PART:
            yield self
            return
        for first in range(0, len(self.ids), _PART):
            yield self.only(slice(first, first + _PART))
