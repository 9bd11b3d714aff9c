"""Visits to several positions: in one thread as long as each ends soon, and beside one that does not in another.

A thread for each device would be woken for each device at each tick, and waking it up costs more than a device does.
"""

from __future__ import annotations

from collections import deque
from threading import Lock
from typing import TYPE_CHECKING, Final

from warpgauge.exporters.lane import Lane

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable

    from warpgauge.core.clock import Clock

__all__ = ["Rounds"]

PATIENCE_SECONDS: Final = 0.05  # for a visit, before the next one is begun beside it
PATIENCE_TOGETHER_SECONDS: Final = 0.4  # all visits are begun within this, however many never end
_SHORTEST_LOOK_SECONDS: Final = 0.001

_Visit = tuple[int, "Callable[[int], None]"]


class Rounds:
    """Begins visits for one owner; the lock guards what its lanes share: who is to be visited, and who is visited."""

    def __init__(self, clock: Clock, rested: Callable[[], None] = lambda: None) -> None:
        """`rested` is called in each lane that has nobody left to visit."""
        self._clock = clock
        self._rested = rested
        self._lock = Lock()
        self._lanes: list[Lane] = []
        self._waiting: deque[_Visit] = deque()
        self._present: set[int] = set()  # where a visit has not ended
        self._begun = 0.0  # monotonic seconds of the last visit's begin

    def go(self, positions: Iterable[int], visit: Callable[[int], None]) -> None:
        """Begin a visit to each, and wait a little for the last one; who is still visited is passed over.

        Visits must not raise.
        """
        with self._lock:
            new = [position for position in positions if position not in self._present]
            self._waiting.extend((position, visit) for position in new)
        patience = min(PATIENCE_SECONDS, PATIENCE_TOGETHER_SECONDS / max(1, len(new)))
        while self._waiting:
            self._begun = self._clock.monotonic()
            lane = self._free_lane()
            lane.start(self._work)
            self._watch(lane, patience)

    def wait(self, seconds: float) -> bool:
        """Whether every visit ended within some seconds each."""
        return all(lane.is_idle or lane.wait(seconds) for lane in self._lanes)

    def _free_lane(self) -> Lane:
        for lane in self._lanes:
            if lane.is_idle:
                return lane
        self._lanes.append(Lane(f"visits {len(self._lanes)}"))
        return self._lanes[-1]

    def _watch(self, lane: Lane, patience: float) -> None:
        """Return once nothing is left to do, or when each lane that works is inside a visit and one takes too long."""
        left = patience
        while not lane.wait(max(_SHORTEST_LOOK_SECONDS, left)):
            left = self._begun + patience - self._clock.monotonic()
            working = sum(not lane.is_idle for lane in self._lanes)
            if left <= 0 and working <= len(self._present):  # else one of them was not given a CPU yet
                return

    def _work(self) -> None:
        while (next_one := self._next()) is not None:
            position, visit = next_one
            visit(position)
            with self._lock:
                self._present.discard(position)
        self._rested()

    def _next(self) -> _Visit | None:
        with self._lock:
            if not self._waiting:
                return None
            position, visit = self._waiting.popleft()
            self._present.add(position)
            self._begun = self._clock.monotonic()
            return position, visit
