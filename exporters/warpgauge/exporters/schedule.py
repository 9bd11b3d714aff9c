"""When each tier is due, on a grid that late readings do not shift."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.core.catalog import Tier
    from warpgauge.core.clock import Clock

__all__ = ["Schedule"]


class Schedule:
    """The next time of every tier, and how many were missed."""

    def __init__(self, intervals: Mapping[Tier, float], clock: Clock, phase: float | None = None) -> None:
        """Everybody with the same `phase`, in monotonic seconds, is due at the same moments: that wakes us up once."""
        self._intervals = intervals
        self._clock = clock
        self._phase = phase
        self._due: dict[Tier, float] = {}

    def start_over(self) -> dict[Tier, int]:
        """Everything is being read now, so each tier is next due in an interval; how many were missed until now.

        With a phase in an interval give or take half of the shortest.
        """
        now = self._clock.monotonic()
        missed = {tier: self._whole(tier, now - due) for tier, due in self._due.items() if now > due}
        self._due = {tier: self._in_phase(now) + interval for tier, interval in self._intervals.items()}
        return missed

    def forget(self) -> None:
        """Nothing was due until now: nobody wanted readings."""
        self._due.clear()

    @property
    def seconds_to_next(self) -> float:
        """How long until a tier is due."""
        return max(0.0, min(self._due.values()) - self._clock.monotonic())

    def take(self) -> tuple[list[Tier], dict[Tier, int]]:
        """The tiers that are due, each moved on to its next time; and how many of each passed by unused."""
        now = self._clock.monotonic()
        tiers = [tier for tier, due in self._due.items() if due <= now]
        missed = {}
        for tier in tiers:
            passed = math.floor((now - self._due[tier]) / self._intervals[tier])
            self._due[tier] += self._intervals[tier] * (1 + passed)
            if passed:
                missed[tier] = passed
        return tiers, missed

    def _in_phase(self, now: float) -> float:
        if self._phase is None:
            return now
        step = min(self._intervals.values())
        return self._phase + round((now - self._phase) / step) * step

    def _whole(self, tier: Tier, late_seconds: float) -> int:
        return math.ceil(late_seconds / self._intervals[tier])
