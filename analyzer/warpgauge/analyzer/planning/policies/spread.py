"""Spread: the node that the pod leaves with the most room.

In the manner of LeastAllocated, the default of Kubernetes' scheduler, with CPU and GPU as the resources it looks at;
unless told otherwise Kubernetes looks at CPU and memory.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from warpgauge.analyzer.planning.placer import Rating
from warpgauge.analyzer.planning.pool import MILLI

if TYPE_CHECKING:
    from warpgauge.analyzer.planning.placer import After

__all__ = ["Spread"]


class Spread:
    """Mean free part of CPU and GPU, in whole percent as Kubernetes scores; a share goes to the emptiest device."""

    def rate(self, after: After) -> Rating:
        """Rate by room left."""
        gpu = after.gpus.sum(axis=1) / max(1, MILLI * after.gpus.shape[1])
        cpu = after.cpu / max(1, after.cpu_capacity)
        return Rating(np.trunc(50 * (gpu + cpu)), -(after.gpus.astype(np.float64) ** 2).sum(axis=1))
