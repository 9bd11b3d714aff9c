"""The time inside a recording: that of the last thing written into it.

A collector that is recorded reads this clock, and one that is fed a recording reads the same one, so that it decides
the same and a replay gives the very same samples.
"""

from __future__ import annotations

__all__ = ["RecordedClock"]


class RecordedClock:
    """A clock that is moved by calls and marks."""

    def __init__(self, start: float) -> None:
        """`start` is seconds since the epoch."""
        self._start = start
        self._seconds = 0.0

    def now(self) -> float:
        """Seconds since the epoch."""
        return self._start + self._seconds

    def monotonic(self) -> float:
        """Seconds since the start of the recording."""
        return self._seconds

    def reach(self, seconds: float) -> None:
        """Move on to a time since the start; never back."""
        self._seconds = max(self._seconds, seconds)
