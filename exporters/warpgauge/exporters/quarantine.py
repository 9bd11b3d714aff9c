"""Devices that stopped answering, and when each is to be tried again."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from warpgauge.core.retry import Backoff

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Iterator

    from warpgauge.core.clock import Clock

__all__ = ["Quarantine"]

_STABLE_SECONDS: Final = 300.0  # a device that fails again sooner than this waits longer than the last time
_NOBODY: Final[frozenset[int]] = frozenset()


@dataclass(slots=True)
class _Case:
    """One device's trouble; kept a while after it ended, so that a flapping device is tried less and less."""

    delays: Iterator[float]
    due: float  # monotonic seconds
    is_in: bool = True
    released: float = 0.0  # monotonic seconds
    stuck: subprocess.Popen[bytes] | None = None  # the process that hung on it and may not have died yet


class Quarantine:
    """Positions that the main child must not touch."""

    def __init__(self, clock: Clock, backoff: Backoff | None = None) -> None:
        self._clock = clock
        self._backoff = backoff or Backoff(first_seconds=1.0, factor=2.0, max_seconds=30.0)
        self._cases: dict[int, _Case] = {}

    @property
    def positions(self) -> frozenset[int]:
        """Who is in."""
        if not self._cases:  # which is asked at each line of a child
            return _NOBODY
        return frozenset(position for position, case in self._cases.items() if case.is_in)

    def put(self, position: int, stuck: subprocess.Popen[bytes] | None = None) -> None:
        """Take a device in, or note that another try failed."""
        now = self._clock.monotonic()
        case = self._cases.get(position)
        if case is None or (not case.is_in and now - case.released > _STABLE_SECONDS):
            case = self._cases[position] = _Case(self._backoff.delays(), now)
        case.is_in = True
        case.due = now + next(case.delays)
        case.stuck = stuck

    def release(self, position: int) -> None:
        """Let a device out: it answers again."""
        case = self._cases.get(position)
        if case is not None and case.is_in:
            case.is_in, case.released = False, self._clock.monotonic()

    def clear(self) -> None:
        """Let everybody out and forget them, except where a process still hangs in the kernel."""
        self._cases = {
            position: case
            for position, case in self._cases.items()
            if case.is_in and case.stuck is not None and case.stuck.poll() is None
        }

    def due(self) -> frozenset[int]:
        """Who is to be tried now; never a device on which a process still hangs in the kernel."""
        now = self._clock.monotonic()
        return frozenset(
            position
            for position in self.positions
            if (case := self._cases[position]).due <= now and (case.stuck is None or case.stuck.poll() is not None)
        )

    def seconds_to_next(self) -> float | None:
        """How long until somebody may be due, None while nobody is in."""
        waits = [self._cases[position].due - self._clock.monotonic() for position in self.positions]
        return max(0.05, min(waits)) if waits else None
