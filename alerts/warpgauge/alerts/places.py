"""Labels by which alerts name a place, and how their texts say it."""

from __future__ import annotations

from typing import Final

from warpgauge.core.catalog import device
from warpgauge.core.promql import aggregate, over_time, rate

__all__ = ["AT_DEVICE", "BUSY", "DEVICE", "NODE", "ON_DEVICE", "SLOWED_BY_HEAT", "throttled"]

DEVICE: Final = ("cluster", "node", "uuid", "index")
NODE: Final = ("cluster", "node")
ON_DEVICE: Final = f"on ({', '.join(DEVICE)})"
AT_DEVICE: Final = "{{ $labels.node }}/gpu{{ $labels.index }}"

BUSY: Final = aggregate("max", over_time("avg", device.UTILIZATION, "5m", engine="compute"), by=DEVICE) + " > 0.5"
"""Devices that worked most of the last five minutes: an idle one saves power, which looks like a fault and is none."""


def throttled(*reasons: str) -> str:
    """Share of the last five minutes in which a reason held the clocks down, of each device, 0-1.

    The driver's own time where it keeps it, else how often the reason was seen.
    """
    timed = rate(device.THROTTLE_SECONDS, "5m", reason=reasons)
    seen = over_time("avg", device.THROTTLE_ACTIVE, "5m", reason=reasons)
    return aggregate("max", f"{timed} or {seen}", by=DEVICE)


SLOWED_BY_HEAT: Final = throttled("sw_thermal", "hw_thermal")
