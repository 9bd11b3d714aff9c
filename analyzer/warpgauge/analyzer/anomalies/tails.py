"""How far the deviations of a series usually go: its largest ones, and the threshold extrapolated from them.

Of each epoch and side only the largest deviation is kept, and of these the `PEAKS` largest; they fade slowly. Beyond
the smallest of them deviations are taken to be exponential (peaks over threshold: Pickands 1975, streaming: Siffer
et al., KDD 2017), which gives the height that is passed once in `WANTED_EPOCHS` epochs. A series that bursts every
hour so gets a high threshold and a quiet one a low threshold, and nothing is tuned per series.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from warpgauge.analyzer.anomalies.features import Array

__all__ = ["Tails"]

PEAKS: Final = 12
WANTED_EPOCHS: Final = 10_000.0  # between two false alarms of one feature and side
MEMORY_ROWS: Final = 8000.0
EPOCH_BLOCKS: Final = np.array([1, 1, 1, 4, 2])
"""Blocks per epoch of each feature: one slow excursion must not fill all places."""


class Tails:
    """The largest deviations, [series, side, feature, rank]; side 0 is up, side 1 down."""

    def __init__(self, series: int) -> None:
        features = len(EPOCH_BLOCKS)
        self._peaks = np.zeros((series, 2, features, PEAKS))
        self._present = np.zeros((series, 2, features))  # largest of the epoch that has not ended
        self._epochs = np.zeros(features)
        self._blocks = 0

    def limits(self) -> Array:
        """Height [series, side, feature] that the past makes unlikely; 0 as long as there is no past."""
        kept = np.clip(self._epochs, 1, PEAKS)
        lowest = np.stack([self._peaks[:, :, at, int(count) - 1] for at, count in enumerate(kept)], axis=2)
        excess = self._peaks.sum(axis=3) / kept - lowest
        rarer = np.log(np.maximum(kept * WANTED_EPOCHS / np.maximum(self._epochs, 1), 1.0))
        heights: Array = lowest + excess * rarer
        return heights

    def learn(self, largest: Array, rows: int) -> None:
        """Take in the largest deviation [series, side, feature] of a block of so many rows."""
        np.maximum(self._present, largest, out=self._present)
        self._peaks *= np.exp(-rows / MEMORY_ROWS)
        self._blocks += 1
        ended = np.flatnonzero(self._blocks % EPOCH_BLOCKS == 0)
        if len(ended):
            self._close(ended, rows)

    def _close(self, ended: NDArray[np.intp], rows: int) -> None:
        grown = np.concatenate([self._peaks[:, :, ended], self._present[:, :, ended, None]], axis=3)
        grown.sort(axis=3)
        self._peaks[:, :, ended] = grown[..., :0:-1]
        self._present[:, :, ended] = 0.0
        most = MEMORY_ROWS / (max(rows, 1) * EPOCH_BLOCKS[ended])
        self._epochs[ended] = np.minimum(self._epochs[ended] + 1, most)
