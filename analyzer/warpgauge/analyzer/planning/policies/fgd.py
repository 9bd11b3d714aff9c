"""Fragmentation gradient descent: the node on which the pod makes the least idle GPU useless to other pods.

Weng et al., USENIX ATC 2023, with the integer score of the authors' scheduler plugin; ties go to the smallest name.
Both matter: with the exact score and random ties it allocates five points less on the authors' own trace.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from warpgauge.analyzer.planning.placer import Rating

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from warpgauge.analyzer.planning.placer import After
    from warpgauge.analyzer.planning.typical import TypicalPods

__all__ = ["Fgd", "whole_percent"]


class Fgd:
    """The published policy."""

    def __init__(self, typical: TypicalPods) -> None:
        self._typical = typical
        self._weights: dict[str, NDArray[np.float64]] = {}

    def rate(self, after: After) -> Rating:
        """100 x sigmoid of the fall of fragmentation in GPUs, cut to a whole number."""
        score = whole_percent(self.fall(after))
        return Rating(score, score)

    def fall(self, after: After) -> NDArray[np.float64]:
        """Milli-GPU of fragmentation that each candidate removes; negative if it adds some."""
        weights = self._weights.get(after.model)
        if weights is None:
            weights = self._weights[after.model] = self._typical.weights(after.model)
        before = self._typical.fragmented(np.array([after.cpu_before]), after.gpus_before[None, :], weights)
        fall: NDArray[np.float64] = before[0] - self._typical.fragmented(after.cpu, after.gpus, weights)
        return fall


def whole_percent(fall: NDArray[np.float64]) -> NDArray[np.float64]:
    """The authors' score of a fall in milli-GPU: 100 x sigmoid of it in GPUs, cut to a whole number, 0-100."""
    return np.trunc(100 / (1 + np.exp(-fall / 1000)))
