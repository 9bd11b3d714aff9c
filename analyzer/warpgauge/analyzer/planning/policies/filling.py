"""Filling: fragmentation gradient descent that also looks at what a node can still be filled with; our own policy.

FGD asks whether the next pod could use what is idle. It does not see that a node with eight idle devices has cores for
two more pods only, or that a share leaves a rest on a device that no share fits. This policy takes the mean of FGD's
gradient and that of `TypicalPods.stranded`, cuts it as FGD does, and breaks ties by best fit.

Numbers, the seeds they were tuned on and what else was tried: docs/benchmarks.md.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.planning.placer import Rating
from warpgauge.analyzer.planning.policies.best_fit import tightness
from warpgauge.analyzer.planning.policies.fgd import Fgd, whole_percent

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from warpgauge.analyzer.planning.placer import After
    from warpgauge.analyzer.planning.typical import TypicalPods

__all__ = ["Filling"]

_TIE: Final = 0.01  # best fit decides only between equal whole percents


class Filling:
    """Half FGD, half what stays idle once a node is filled up."""

    def __init__(self, typical: TypicalPods) -> None:
        self._typical = typical
        self._gradient = Fgd(typical)
        self._weights: dict[str, NDArray[np.float64]] = {}

    def rate(self, after: After) -> Rating:
        """Whole percent of the mean of both falls, then tightness."""
        fall = (self._gradient.fall(after) + self._stranded_fall(after)) / 2
        score = whole_percent(fall) + _TIE * tightness(after)
        return Rating(score, score)

    def _stranded_fall(self, after: After) -> NDArray[np.float64]:
        weights = self._weights.get(after.model)
        if weights is None:
            weights = self._weights[after.model] = self._typical.demand_weights(after.model)
        before = self._typical.stranded(np.array([after.cpu_before]), after.gpus_before[None, :], weights)
        fall: NDArray[np.float64] = before[0] - self._typical.stranded(after.cpu, after.gpus, weights)
        return fall
