"""A token bucket: how often requests are let in."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from warpgauge.web.webconfig.schema import RateLimit

__all__ = ["Limiter"]


class Limiter:
    """Lets one in each interval, and as many as the burst at once after a rest."""

    def __init__(self, limit: RateLimit, now: float) -> None:
        """Begin full at `now`, in seconds of a monotonic clock."""
        self.limit = limit
        self._tokens = float(limit.burst)
        self._at = now

    def admits(self, now: float) -> bool:
        """Whether a request may pass now; it then counts."""
        gained = (now - self._at) / self.limit.interval_seconds
        self._tokens, self._at = min(self._tokens + gained, self.limit.burst), now
        if self._tokens < 1:
            return False
        self._tokens -= 1
        return True
