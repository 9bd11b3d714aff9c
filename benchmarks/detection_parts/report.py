"""Precision, recall, F1, delay and false pages from matched scenarios, each with its 95 % interval."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from itertools import pairwise
from math import exp, lgamma, log, sqrt
from random import Random
from statistics import median
from typing import TYPE_CHECKING, Final

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from detection_parts.matching import Matched

__all__ = ["SIZES", "Score", "at_most", "by_kind", "by_size", "f1_interval", "poisson", "score", "wilson"]

_Z: Final = 1.96
_RESAMPLES: Final = 1000
SIZES: Final = (1.05, 1.15, 1.3, 1.6, 2.2, 3.01)
"""Bounds of the sizes that are slowdowns: the first class is below what must be found."""


@dataclass(slots=True)
class Score:
    """Counts of one sort of fault."""

    right: int = 0  # faults that must be found, and were
    missed: int = 0
    false: int = 0  # pages about nothing
    small_found: int = 0  # faults too small to be asked for
    small: int = 0
    delays: list[float] = field(default_factory=list)  # intervals from onset to page

    @property
    def precision(self) -> float:
        """Of the pages, those about a fault; 1 without any."""
        told = self.right + self.small_found
        return told / (told + self.false) if told + self.false else 1.0

    @property
    def recall(self) -> float:
        """Of the faults that must be found, those that were; 1 without any."""
        return self.right / (self.right + self.missed) if self.right + self.missed else 1.0

    @property
    def f1(self) -> float:
        """Harmonic mean of both."""
        both = self.precision + self.recall
        return 2 * self.precision * self.recall / both if both else 0.0

    @property
    def delay(self) -> float | None:
        """Median delay in scrape intervals, of all faults that were found."""
        return median(self.delays) if self.delays else None

    def add(self, other: Score) -> None:
        """Count another one's in."""
        self.right += other.right
        self.missed += other.missed
        self.false += other.false
        self.small += other.small
        self.small_found += other.small_found
        self.delays += other.delays


def by_kind(matched: Sequence[Matched]) -> dict[str, Score]:
    """A score for each kind that a fault has or a page claims."""
    scores: dict[str, Score] = {}
    for one in matched:
        for found in one.found:
            _count(scores.setdefault(found.fault["kind"], Score()), found.intervals, due=found.fault["must_be_found"])
        for kind, pages in Counter(page.kind for page in one.false).items():
            scores.setdefault(kind, Score()).false += pages
    return dict(sorted(scores.items()))


def score(matched: Sequence[Matched]) -> Score:
    """All kinds together."""
    total = Score()
    for one in by_kind(matched).values():
        total.add(one)
    return total


def by_size(matched: Sequence[Matched], causes: Sequence[str]) -> Iterator[tuple[float, float, Score]]:
    """(from, to, score) of faults of some causes whose size is a slowdown; a small one counts as any other here."""
    for low, high in pairwise(SIZES):
        total = Score()
        for found in (found for one in matched for found in one.found):
            if found.fault["cause"] in causes and low <= found.fault["size"] < high:
                _count(total, found.intervals, due=True)
        yield low, high, total


def _count(counts: Score, intervals: float | None, *, due: bool) -> None:
    if not due:
        counts.small += 1
        counts.small_found += intervals is not None
    elif intervals is None:
        counts.missed += 1
    else:
        counts.right += 1
    if intervals is not None:
        counts.delays.append(intervals)


def wilson(hits: int, trials: int) -> tuple[float, float]:
    """95 % interval of a share (Wilson 1927); (0, 1) without any trial."""
    if not trials:
        return 0.0, 1.0
    share, square = hits / trials, _Z * _Z
    middle = (share + square / (2 * trials)) / (1 + square / trials)
    half = _Z * sqrt(share * (1 - share) / trials + square / (4 * trials * trials)) / (1 + square / trials)
    return max(0.0, middle - half), min(1.0, middle + half)


def poisson(events: int) -> tuple[float, float]:
    """95 % interval of how many events were to be expected where so many were seen (Garwood 1936, exact)."""
    low = _mean_at(events - 1, 0.975) if events else 0.0
    return low, _mean_at(events, 0.025)


def at_most(events: int) -> float:
    """How many were to be expected at most, 95 % sure: 3.0 where none was seen."""
    return _mean_at(events, 0.05)


def _mean_at(events: int, chance: float) -> float:
    """The mean of which so few events are seen with that chance."""
    low, high = 0.0, 20.0 + 2.0 * max(0, events)
    for _ in range(60):
        middle = (low + high) / 2.0
        low, high = (middle, high) if _chance_of_at_most(events, middle) > chance else (low, middle)
    return low


def _chance_of_at_most(events: int, mean: float) -> float:
    return sum(exp(number * log(mean) - mean - lgamma(number + 1)) for number in range(events + 1))


def f1_interval(matched: Sequence[Matched], kind: str = "") -> tuple[float, float]:
    """95 % interval of F1: scenarios drawn again with replacement (bootstrap, 1000 times, a fixed seed)."""
    random = Random(f"bootstrap:{kind}")
    parts = [by_kind([one]) for one in matched]
    each = [_sum(part, kind) for part in parts]
    values = []
    for _ in range(_RESAMPLES):
        total = Score()
        for one in random.choices(each, k=len(each)):
            total.right += one.right
            total.missed += one.missed
            total.false += one.false
            total.small_found += one.small_found
        values.append(total.f1)
    values.sort()
    return values[round(0.025 * (_RESAMPLES - 1))], values[round(0.975 * (_RESAMPLES - 1))]


def _sum(part: dict[str, Score], kind: str) -> Score:
    total = Score()
    for name, one in part.items():
        if not kind or name == kind:
            total.add(one)
    return total
