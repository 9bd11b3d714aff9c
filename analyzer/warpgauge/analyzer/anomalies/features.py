"""What is looked at in a series: five readings of each row, from the row and those before it alone.

Arrays are [series, row], oldest first; the first `behind` rows are the past and only lend context.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEATURES", "ROUGH", "TAIL_ROWS", "Array", "read_features"]

Array = NDArray[np.float64]

FEATURES: Final = ("jump", "point", "short", "long", "rough")
"""Row against the three before it; the row; mean of 8 rows; mean of 64 rows; logarithm of the mean step of 24 rows."""

ROUGH: Final = FEATURES.index("rough")
TAIL_ROWS: Final = 64
_JUMP_ROWS, _SHORT_ROWS, _ROUGH_ROWS = 3, 8, 24
_STILL: Final = 0.05  # of the usual step: a series that moves less stands still


def read_features(values: Array, behind: int, usual_step: Array, magnitude: Array) -> Array:
    """Readings [series, feature, row] of the rows after the first `behind`; at least one block must lie behind.

    `usual_step` [series] is how far a row usually is from the one before, `magnitude` [series] a usual absolute value.
    """
    from_first = values - values[:, :1]  # sums of differences keep their digits where values are large
    sums = _sums(from_first)
    rows = values.shape[1]
    origin = values[:, :1]
    before = (sums[:, behind:rows] - sums[:, behind - _JUMP_ROWS : rows - _JUMP_ROWS]) / _JUMP_ROWS
    still = (_STILL * usual_step + 1e-9 * magnitude + np.finfo(np.float64).tiny)[:, None]
    steps = np.zeros_like(values)
    steps[:, 1:] = np.abs(values[:, 1:] - values[:, :-1])
    return np.stack(
        [
            from_first[:, behind:] - before,
            values[:, behind:],
            _trailing_mean(sums, behind, _SHORT_ROWS) + origin,
            _trailing_mean(sums, behind, min(TAIL_ROWS, behind)) + origin,
            np.log(np.maximum(_trailing_mean(_sums(steps), behind, _ROUGH_ROWS), 0.0) + still),
        ],
        axis=1,
    )


def _sums(values: Array) -> Array:
    sums = np.zeros((values.shape[0], values.shape[1] + 1))
    np.cumsum(values, axis=1, out=sums[:, 1:])
    return sums


def _trailing_mean(sums: Array, behind: int, rows: int) -> Array:
    last = sums.shape[1]
    return (sums[:, behind + 1 :] - sums[:, behind + 1 - rows : last - rows]) / rows
