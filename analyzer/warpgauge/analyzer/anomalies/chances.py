"""How likely a number is by chance, without scipy: good to a few percent of the logarithm, which is what counts."""

from __future__ import annotations

from math import erfc, log1p, sqrt
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.detection.windows import Array, median

if TYPE_CHECKING:
    from numpy.typing import NDArray

__all__ = ["chance_of_level", "chi_square_tail", "student_tail"]

_MAD_TO_SIGMA: Final = 1.4826
_LEAST_SPREAD: Final = 0.005  # of the level: what a rounded or constant series may move by is no evidence


def student_tail(t: float, freedom: float) -> float:
    """Chance that |T| is at least |t|, T of Student's distribution (approximation of Wallace, 1959)."""
    if not freedom > 0:
        return 1.0
    normal = (8 * freedom + 1) / (8 * freedom + 3) * sqrt(freedom * log1p(t * t / freedom))
    return erfc(normal / sqrt(2.0))


def chi_square_tail(values: NDArray[np.float64], freedom: NDArray[np.float64]) -> NDArray[np.float64]:
    """Chance of at least so much, of the chi-square distribution (Wilson and Hilferty, 1931); 1 without freedom."""
    known = np.maximum(freedom, 1.0)
    part = 2.0 / (9.0 * known)
    normal = (np.cbrt(np.maximum(values, 0.0) / known) - (1.0 - part)) / np.sqrt(part)
    tails = np.array([0.5 * erfc(one / sqrt(2.0)) for one in normal.tolist()])
    return np.where(freedom > 0, tails, 1.0)


def chance_of_level(past: Array, change: float, columns: int) -> float:
    """Chance that means of so many values lie `change` apart from what such means were in the past [value], by itself.

    Means of whole blocks, because neighboring values are alike; their middle half tells how far they scatter.
    """
    blocks = len(past) // columns
    if blocks < 2:  # noqa: PLR2004 - one mean has no scatter
        return 1.0
    means = np.asarray(past[len(past) - blocks * columns :], dtype=np.float64).reshape(blocks, columns).mean(axis=1)
    center = float(median(means))
    spread = _MAD_TO_SIGMA * float(median(np.abs(means - center))) + _LEAST_SPREAD * abs(center)
    if not spread > 0:
        return 0.0
    return student_tail(change / (spread * sqrt(1.0 + 1.0 / blocks)), blocks - 1)
