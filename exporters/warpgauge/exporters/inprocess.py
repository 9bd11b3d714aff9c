"""Runs a collector that needs no process of its own, in one thread that the agent never waits for."""

from __future__ import annotations

import asyncio
import logging
import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import own
from warpgauge.core.clock import Clock, SystemClock
from warpgauge.exporters.collectors.collector import Quiet
from warpgauge.exporters.lane import Lane
from warpgauge.exporters.link import GATHER_SECONDS
from warpgauge.exporters.schedule import Schedule
from warpgauge.exporters.worker import ask

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from warpgauge.core.catalog import Tier
    from warpgauge.core.sample import ReadError, Sample
    from warpgauge.exporters.collectors.collector import Collector
    from warpgauge.exporters.readings import Readings

__all__ = ["InProcess"]

_LOG: Final = logging.getLogger(__name__)
_FAREWELL_SECONDS: Final = 1.0
_FIRST_LOOK_SECONDS: Final = 0.01
_Result = dict["Tier", tuple["Sequence[Sample]", list["ReadError"]]]


@dataclass(slots=True)
class _Answer:
    """What the lane was asked for; the lane alone writes `result`, `error` and `ended`, before it is idle again."""

    begun: float  # monotonic seconds
    ended: float = 0.0
    result: _Result = field(default_factory=dict)
    error: str = ""
    is_late: bool = False


class InProcess:
    """Reads one collector on its schedule and files what it says; one that hangs or fails loses its samples."""

    def __init__(  # noqa: PLR0913 - each is a part of the world that a test hands in
        self,
        collector: Collector,
        readings: Readings,
        *,
        intervals: Mapping[Tier, float],
        deadline_seconds: float = 2.0,
        clock: Clock | None = None,
        phase: float | None = None,
    ) -> None:
        """Collectors with the same `phase`, in monotonic seconds, are read at the same moments."""
        self.name = collector.name
        self.is_settled = asyncio.Event()  # the first tick is over, one way or the other
        self.absence: str | None = None  # why there is nothing to read here
        self._collector = collector
        self._readings = readings
        self._tally = readings.tally
        self._deadline_seconds = deadline_seconds
        self._clock = clock or SystemClock()
        self._schedule = Schedule(intervals, self._clock, phase)
        self._tiers: Sequence[Tier] = tuple(intervals)
        self._quiet = collector if isinstance(collector, Quiet) else None
        self._lane = Lane(f"collector {collector.name}")
        self._answer: _Answer | None = None  # that the lane owes us
        self._is_well = True

    async def run(self) -> None:
        """Keep reading until cancelled."""
        settling = asyncio.create_task(self._settle_in_time())
        try:
            self.absence = await ask(self._lane, self._collector.check)
            if self.absence is not None:
                return
            tiers, _ = self._tiers, self._schedule.start_over()
            while True:
                if self._answer is None:
                    self._ask(tiers)
                else:
                    self._count_missed(dict.fromkeys(tiers, 1))
                await self._until_next_tick()
                tiers, missed = self._schedule.take()
                self._count_missed(missed)
        finally:
            self.is_settled.set()
            settling.cancel()
            await self._leave()

    async def _until_next_tick(self) -> None:
        """File the answer at the first look that finds one: a lane that told of it would wake the agent once more."""
        while True:
            seconds = self._schedule.seconds_to_next
            await asyncio.sleep(min(seconds, self._patience()))
            self._look()
            if self._schedule.seconds_to_next <= 0.0:
                return

    def _patience(self) -> float:
        """Seconds until a look is worth it; the first answer keeps nobody waiting, and a late one may never come."""
        if self._answer is None or self._answer.is_late:
            return math.inf
        return GATHER_SECONDS if self.is_settled.is_set() else _FIRST_LOOK_SECONDS

    def _ask(self, tiers: Sequence[Tier]) -> None:
        if self.is_settled.is_set() and self._quiet is not None and self._quiet.has_never_changed():
            self._tally.put(own.COLLECTOR_LAST_SUCCESS, self.name, value=self._clock.now())
            return
        answer = self._answer = _Answer(self._clock.monotonic())
        self._lane.start(lambda: self._read(tiers, answer))

    def _read(self, tiers: Sequence[Tier], answer: _Answer) -> None:
        """In the lane's thread: everything that was asked for, or why there is nothing."""
        try:
            answer.result = {tier: self._collector.read(tier, None) for tier in tiers}
        except Exception as error:  # noqa: BLE001 - a collector that fails costs its own samples and nothing else
            answer.error = repr(error)
        answer.ended = self._clock.monotonic()

    def _look(self) -> None:
        """Take the answer if the lane has one, late or not; until then every tick is missed."""
        answer = self._answer
        if answer is None:
            return
        if self._lane.is_idle:
            self._answer = None
            if answer.error:
                self._fail("internal", answer.error)
            else:
                self._file(answer.result, answer.ended - answer.begun)
        elif not answer.is_late and self._clock.monotonic() - answer.begun >= self._deadline_seconds:
            answer.is_late = True
            self._fail("hung", f"no answer within {self._deadline_seconds} s")

    def _file(self, result: _Result, seconds: float) -> None:
        for tier, (samples, errors) in result.items():
            self._readings.update(self.name, tier, None, samples)
            for error in errors:
                self._tally.count(own.COLLECT_ERRORS, self.name, error.reason)
        self._tally.observe(own.COLLECT_SECONDS, self.name, seconds=seconds)
        self._tally.put(own.COLLECTOR_UP, self.name, value=1.0)
        self._tally.put(own.COLLECTOR_LAST_SUCCESS, self.name, value=self._clock.now())
        self._note(is_well=True, detail="")
        self.is_settled.set()

    def _fail(self, reason: str, detail: str) -> None:
        self._readings.drop(self.name)
        self._tally.count(own.COLLECT_ERRORS, self.name, reason)
        self._tally.put(own.COLLECTOR_UP, self.name, value=0.0)
        self._note(is_well=False, detail=detail)
        self.is_settled.set()

    def _note(self, *, is_well: bool, detail: str) -> None:
        """Log a change of state, once."""
        if is_well is not self._is_well:
            level, event = (logging.INFO, "collector back") if is_well else (logging.WARNING, "collector failed")
            _LOG.log(level, event, extra={"collector": self.name, "why": detail})
        self._is_well = is_well

    def _count_missed(self, missed: Mapping[Tier, int]) -> None:
        for tier, times in missed.items():
            self._tally.count(own.MISSED_TICKS, self.name, tier.value, by=times)

    async def _settle_in_time(self) -> None:
        await asyncio.sleep(self._deadline_seconds)
        self.is_settled.set()

    async def _leave(self) -> None:
        """Close the collector if it answers; a thread inside a hung call is left to end with the process."""
        if not self._lane.wait(_FAREWELL_SECONDS):
            return
        try:
            async with asyncio.timeout(_FAREWELL_SECONDS):
                await ask(self._lane, self._collector.close)
        except TimeoutError:
            _LOG.warning("collector does not close", extra={"collector": self.name})
