"""Somebody else's distribution over our bounds, so that a bound never counts what may lie above it."""

from __future__ import annotations

from bisect import bisect_left
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from warpgauge.core.sample import Histogram

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

__all__ = ["Distribution", "histogram"]


@dataclass(frozen=True, slots=True)
class Distribution:
    """Counts per bucket (not cumulative), the first up to `bounds[0]`, the last above all bounds."""

    counts: tuple[int, ...]
    bounds: tuple[float, ...]  # rising, one less than counts
    sum: float


def histogram(distributions: Iterable[Distribution], buckets: Sequence[float], scale: float = 1.0) -> Histogram:
    """The sum of distributions; each of their buckets is counted at the first of our bounds that covers it.

    `scale` turns their unit into ours.
    """
    counts = [0] * (len(buckets) + 1)
    total = 0.0
    for one in distributions:
        total += one.sum * scale
        for position, count in enumerate(one.counts):
            is_open = position >= len(one.bounds)
            place = len(buckets) if is_open else bisect_left(buckets, one.bounds[position] * scale * (1 - 1e-9))
            counts[place] += count
    return Histogram(tuple(accumulate(counts)), total)
