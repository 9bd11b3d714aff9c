"""No preference: all nodes with room are equally good, so how ties are broken decides."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np

from warpgauge.analyzer.planning.placer import Rating

if TYPE_CHECKING:
    from warpgauge.analyzer.planning.placer import After

__all__ = ["Even"]


class Even:
    """Rates everything 0: first fit with ties to the first node, random placement with ties at random."""

    def rate(self, after: After) -> Rating:
        """Rate by nothing."""
        zero = np.zeros(len(after.cpu))
        return Rating(zero, zero)
