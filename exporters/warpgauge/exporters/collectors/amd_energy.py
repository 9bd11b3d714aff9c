"""Whether a board's energy counter tells the truth: some run at another speed than the board's own power.

ml-energy/zeus found such boards (zeus/device/gpu/amd.py) and compares with integrated power once, at start. So do we.
"""

from __future__ import annotations

from enum import Enum
from typing import Final

__all__ = ["EnergyCheck", "Trust"]

LEAST_SECONDS: Final = 20.0
LEAST_JOULES: Final = 200.0  # integrated; the counter's resolution and one late reading are small against it
TOLERANCE: Final = 0.25  # power is sampled once a second, so a swinging load differs by some percent
LONGEST_GAP_SECONDS: Final = 3.0  # a longer one cannot be integrated over


class Trust(Enum):
    """What is known of the counter."""

    UNKNOWN = "unknown"
    GOOD = "good"
    BAD = "bad"


class EnergyCheck:
    """Compares a counter with the integral of power until it knows."""

    def __init__(self) -> None:
        self.trust = Trust.UNKNOWN
        self.ratio = 0.0  # counter over integral, once known
        self._last: tuple[float, float, float] | None = None  # monotonic seconds, watts, joules
        self._seconds = self._integrated = self._counted = 0.0

    def observe(self, now: float, watts: float, joules: float) -> Trust:
        """Take one pair of readings."""
        last, self._last = self._last, (now, watts, joules)
        if self.trust is not Trust.UNKNOWN or last is None:
            return self.trust
        seconds = now - last[0]
        if not 0 < seconds <= LONGEST_GAP_SECONDS or joules < last[2]:
            return self.trust  # paused, or the driver was loaded anew
        self._seconds += seconds
        self._integrated += seconds * (watts + last[1]) / 2
        self._counted += joules - last[2]
        if self._seconds >= LEAST_SECONDS and self._integrated >= LEAST_JOULES:
            self.ratio = self._counted / self._integrated
            self.trust = Trust.GOOD if abs(self.ratio - 1) <= TOLERANCE else Trust.BAD
        return self.trust
