"""Jobs without steps: a notebook that works in bursts, a model server that follows its requests."""

from __future__ import annotations

from math import exp, pi, sin
from random import Random
from typing import TYPE_CHECKING, Final

from warpgauge.exporters.synthetic.gpu import Work
from warpgauge.exporters.synthetic.request_queue import served_per_second
from warpgauge.exporters.synthetic.requests import Requests

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.exporters.synthetic.roster import Session
    from warpgauge.exporters.synthetic.workload import Demand, Seat

__all__ = ["Notebook", "Server"]

_BURST_SECONDS: Final = (150.0, 600.0)
_PAUSE_SECONDS: Final = (60.0, 300.0)
_TRAFFIC_MEMORY_SECONDS: Final = 90.0
_TRAFFIC_DAY_SECONDS: Final = 2400.0


class _SessionJob:
    """What both have in common: they hold memory all the time and compute for a share of it."""

    is_lockstep = False

    def __init__(self, row: Session, seats: Sequence[Seat], random: Random, begin: float) -> None:
        self.owner = row.owner
        self.seats = seats
        self.is_abandoned = False  # a cause: nobody uses it any more, but its processes stay
        self._row = row
        self._random = random
        self._time = begin

    def advance(self, to: float, demands: Sequence[Demand]) -> list[Work]:
        """Work per device until `to`; launch threads and host memory fall on `demands`."""
        span = to - self._time
        share = self._active_ratio(self._time, to)
        self._time = to
        works = []
        for seat in self.seats:
            own = min(1.0, share * (1.0 + self._random.gauss(0.0, 0.02)))
            works.append(self._work(0.0 if self.is_abandoned else max(0.0, own), span))
            demand = demands[seat.node]
            demand.user_seconds += works[-1].compute * span * 1.1
            demand.system_seconds += works[-1].compute * span * 0.2 + 0.01 * span
            demand.memory_bytes += self._row.host_bytes
        return works

    def _active_ratio(self, start: float, end: float) -> float:
        raise NotImplementedError

    def _work(self, share: float, span: float) -> Work:
        board = self.seats[0].gpu.board
        return Work(
            self._row.kernel,
            share * 0.94,
            share * 0.06,
            self._row.memory_ratio * board.memory_total_bytes,
            1,
            share * span * 4e7,
            share * span * 2.5e8,
            share * span * 6e9,
        )


class Notebook(_SessionJob):
    """A person runs cells: bursts of 3-10 min, pauses of 1-5 min; one burst ends exactly at `anchor`."""

    def __init__(self, row: Session, seats: Sequence[Seat], random: Random, begin: float, anchor: float) -> None:
        super().__init__(row, seats, random, begin)
        self._bursts = self._backward(anchor, begin)

    def _backward(self, anchor: float, begin: float) -> list[tuple[float, float, float]]:
        """Bursts (start, end, share) from before `begin` up to the one that ends at `anchor`, oldest first."""
        bursts: list[tuple[float, float, float]] = []
        end = anchor
        while not bursts or bursts[-1][0] > begin:
            start = end - self._random.uniform(*_BURST_SECONDS)
            bursts.append((start, end, self._random.uniform(0.5, 0.9)))
            end = start - self._random.uniform(*_PAUSE_SECONDS)
        return bursts[::-1]

    def _active_ratio(self, start: float, end: float) -> float:
        while self._bursts[-1][1] < end:
            begin = self._bursts[-1][1] + self._random.uniform(*_PAUSE_SECONDS)
            length = self._random.uniform(*_BURST_SECONDS)
            self._bursts.append((begin, begin + length, self._random.uniform(0.5, 0.9)))
        self._bursts = [burst for burst in self._bursts if burst[1] > start] or self._bursts[-1:]
        busy = sum(max(0.0, min(end, stop) - max(start, begin)) * share for begin, stop, share in self._bursts)
        return busy / (end - start)


class Server(_SessionJob):
    """Requests come and go: a slow wave with a random walk around it; never wholly still while it is in use."""

    def __init__(self, row: Session, seats: Sequence[Seat], random: Random, begin: float) -> None:
        super().__init__(row, seats, random, begin)
        self._phase = random.uniform(0.0, 2.0 * pi)
        self._walk = 0.0
        self.requests = Requests(Random(self._phase))  # draws of its own: what it shows changes nothing elsewhere
        # Causes that a fault may change.
        self.overload_ratio = 0.0  # requests that come, relative to what a full batch serves; 0: as people ask
        self.context_ratio = 1.0  # length of contexts, relative to average ones

    def advance(self, to: float, demands: Sequence[Demand]) -> list[Work]:
        """Work per device until `to`; the requests follow, or lead where they are more than the devices serve."""
        span, is_queued = to - self._time, self._is_queued
        works = super().advance(to, demands)
        if span > 0.0 and not is_queued:
            self.requests.follow(works[0].compute + works[0].communication, span)
        return works

    @property
    def _is_queued(self) -> bool:
        """Whether requests are followed one by one; nobody sends any to a server that nobody uses."""
        is_struck = self.overload_ratio > 0.0 or self.context_ratio != 1.0
        return not self.is_abandoned and (is_struck or self.requests.is_queue_left)

    def _active_ratio(self, start: float, end: float) -> float:
        kept = exp(-(end - start) / _TRAFFIC_MEMORY_SECONDS)
        self._walk = self._walk * kept + self._random.gauss(0.0, 0.08) * (1.0 - kept * kept) ** 0.5
        wave = 0.16 * sin(2.0 * pi * end / _TRAFFIC_DAY_SECONDS + self._phase)
        asked = min(0.95, max(0.12, 0.55 + wave + self._walk))
        if not self._is_queued:
            return asked
        arrivals = self.overload_ratio * served_per_second(1.0) or served_per_second(asked)
        return self.requests.serve(arrivals, self.context_ratio, end - start)
