"""Best fit: the node that the pod leaves with the least room."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.planning.placer import Rating

if TYPE_CHECKING:
    from numpy.typing import NDArray

    from warpgauge.analyzer.planning.placer import After

__all__ = ["BestFit", "tightness"]

_LARGEST_CPU_MILLI: Final = 128_000  # the authors' constants: the largest node of the trace
_LARGEST_GPU_MILLI: Final = 8_000


def tightness(after: After) -> NDArray[np.float64]:
    """How little is left, at most 1: 1 - (CPU left / 128 cores + GPU left / 8 devices) / 2."""
    room: NDArray[np.float64] = after.cpu / _LARGEST_CPU_MILLI + after.gpus.sum(axis=1) / _LARGEST_GPU_MILLI
    return 1 - room / 2


class BestFit:
    """The authors' best fit: whole percent of tightness; a share goes to the device with the least left."""

    def rate(self, after: After) -> Rating:
        """Rate by tightness."""
        node = np.trunc(100 * tightness(after))
        # Of all ways to take the same from one device, taking it from the fullest leaves the largest sum of squares.
        return Rating(node, (after.gpus.astype(np.float64) ** 2).sum(axis=1))
