"""What is looked at in a series: five readings of each row, from the row and those before it alone.

Arrays are [series, row], oldest first; the first `behind` rows are the past and only lend context.
"""

from __future__ import annotations

from typing import Final

import numpy as np
from numpy.typing import NDArray

__all__ = ["FEATURES", "ROUGH", "ROUGH_ROWS", "TAIL_ROWS", "Array", "read_features"]

Array = NDArray[np.float64]

FEATURES: Final = ("jump", "point", "short", "long", "rough")
"""Row against the three before it; the row; mean of 8 rows; mean of 64 rows; logarithm of the mean step of 24 rows."""

ROUGH: Final = FEATURES.index("rough")
TAIL_ROWS: Final = 64
ROUGH_ROWS: Final = 24
_JUMP_ROWS, _SHORT_ROWS = 3, 8


def read_features(values: Array, behind: int, still: Array) -> Array:
    """Readings [series, feature, row] of the rows after the first `behind`; at least one block must lie behind.

    `still` [series] is the mean step of a series that stands still for all one can tell.
    """
    from_first = values - values[:, :1]  # sums of differences keep their digits where values are large
    sums = _sums(from_first)
    rows = values.shape[1]
    origin = values[:, :1]
    before = (sums[:, behind:rows] - sums[:, behind - _JUMP_ROWS : rows - _JUMP_ROWS]) / _JUMP_ROWS
    steps = np.zeros_like(values)
    steps[:, 1:] = np.abs(values[:, 1:] - values[:, :-1])
    return np.stack(
        [
            from_first[:, behind:] - before,
            values[:, behind:],
            _trailing_mean(sums, behind, _SHORT_ROWS) + origin,
            _trailing_mean(sums, behind, min(TAIL_ROWS, behind)) + origin,
            np.log(np.maximum(_trailing_mean(_sums(steps), behind, ROUGH_ROWS), 0.0) + still[:, None]),
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
