"""Scores for the rows of one series, in their order: what `warpgauge detect` writes.

Rows without a value get score 0 and teach nothing. The others are judged in blocks; a row's score depends on the rows
before it alone, so the scores of a file do not change when rows are appended to it.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from warpgauge.analyzer.anomalies.self_history import BLOCK_ROWS
from warpgauge.analyzer.anomalies.series import SeriesScorer, score_of
from warpgauge.analyzer.sources.series_file import Piece

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from numpy.typing import NDArray

__all__ = ["Scored", "scored"]


@dataclass(frozen=True, slots=True)
class Scored:
    """Rows with their scores (0-1, 0.5 at the threshold) and alarms (at onsets only)."""

    texts: list[str]
    scores: NDArray[np.float64]
    alarms: NDArray[np.bool_]


def scored(pieces: Iterable[Piece]) -> Iterator[Scored]:
    """Score a series piece by piece; rows come out once their block is full, the last ones at the end."""
    scorer = SeriesScorer()
    left = Piece([], np.zeros(0), np.zeros(0))
    for piece in pieces:
        rows = Piece(
            left.texts + piece.texts,
            np.concatenate([left.times, piece.times]),
            np.concatenate([left.values, piece.values]),
        )
        present = np.flatnonzero(np.isfinite(rows.values))
        blocks = len(present) // BLOCK_ROWS
        whole = int(present[blocks * BLOCK_ROWS - 1]) + 1 if blocks else 0
        if whole:
            yield _judged(scorer, rows, whole)
        left = Piece(rows.texts[whole:], rows.times[whole:], rows.values[whole:])
    if left.texts:
        yield _judged(scorer, left, len(left.texts))


def _judged(scorer: SeriesScorer, rows: Piece, count: int) -> Scored:
    times, values = rows.times[:count], rows.values[:count]
    present = np.flatnonzero(np.isfinite(values))
    scores, alarms = np.zeros(count), np.zeros(count, dtype=bool)
    for start in range(0, len(present), BLOCK_ROWS):
        block = present[start : start + BLOCK_ROWS]
        verdict = scorer.take(times[block], values[block])
        scores[block], alarms[block] = score_of(verdict.severity[0]), verdict.alarm[0]
    return Scored(rows.texts[:count], scores, alarms)
