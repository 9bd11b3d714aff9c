"""A power limit that somebody set below the boards' own, where a lag is: the cheapest of its causes to undo."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from warpgauge.analyzer.bottlenecks.classes import LOWERED_LIMIT
from warpgauge.analyzer.detection.windows import median
from warpgauge.core.catalog import device

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.analyzer.anomalies.peers import Group
    from warpgauge.analyzer.frame import Frame

__all__ = ["LoweredLimit", "lowered_limit"]


@dataclass(frozen=True, slots=True, kw_only=True)
class LoweredLimit:
    """Watts, of the median of the devices that lag."""

    enforced: float
    default: float

    @property
    def words(self) -> str:
        """A sentence of a summary."""
        return f"Somebody set a power limit of {self.enforced:.0f} W there; the board's own is {self.default:.0f} W."

    def before(self, remedy: str) -> str:
        """What to try before a remedy that moves work."""
        return (
            f"If that power limit is not meant, undo it first (nvidia-smi -pl {self.default:.0f} on each device):"
            f" nothing has to move for it. Else: {remedy}"
        )


def lowered_limit(frame: Frame, group: Group, members: Sequence[int]) -> LoweredLimit | None:
    """The limit that all of these members' devices have and most of their peers' do not; None if there is none."""
    if not group.all_have_devices:
        return None
    enforced, default = (
        frame.latest(device.POWER_LIMIT, limit, rows=group.device_rows).astype(np.float64)
        for limit in ("enforced", "default")
    )
    is_lowered, own = enforced < LOWERED_LIMIT * default, list(members)
    if not is_lowered[own].all() or np.delete(is_lowered, own).mean() >= 1 / 2:
        return None
    return LoweredLimit(enforced=float(median(enforced[own])), default=float(median(default[own])))
