"""Runs a collector that needs no process of its own, in one thread that the agent never waits for."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import own
from warpgauge.core.clock import Clock, SystemClock
from warpgauge.exporters.collectors.collector import Quiet
from warpgauge.exporters.lane import Lane
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
_Result = dict["Tier", tuple[list["Sample"], list["ReadError"]]]


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
        self._lane = Lane(f"collector {collector.name}")
        self._is_well = True

    async def run(self) -> None:
        """Keep reading until cancelled."""
        reading: asyncio.Task[None] | None = None
        settling = asyncio.create_task(self._settle_in_time())
        try:
            self.absence = await ask(self._lane, self._collector.check)
            if self.absence is not None:
                return
            tiers, _ = self._tiers, self._schedule.start_over()
            while True:
                if reading is None or reading.done():
                    reading = asyncio.create_task(self._read(tiers))
                else:
                    self._count_missed(dict.fromkeys(tiers, 1))
                await asyncio.sleep(self._schedule.seconds_to_next)
                tiers, missed = self._schedule.take()
                self._count_missed(missed)
        finally:
            self.is_settled.set()
            settling.cancel()
            if reading is not None:
                reading.cancel()
            await self._leave()

    async def _read(self, tiers: Sequence[Tier]) -> None:
        if self.is_settled.is_set() and isinstance(self._collector, Quiet) and self._collector.has_never_changed():
            self._tally.put(own.COLLECTOR_LAST_SUCCESS, self.name, value=self._clock.now())
            return
        begun = self._clock.monotonic()
        answer = asyncio.ensure_future(ask(self._lane, lambda: self._all(tiers)))
        try:
            async with asyncio.timeout(self._deadline_seconds):
                result = await asyncio.shield(answer)
        except TimeoutError:
            self._fail("hung", f"no answer within {self._deadline_seconds} s")
            result = await answer  # may never come; until then the lane is busy and every tick is missed
        except Exception as error:  # noqa: BLE001 - a collector that fails costs its own samples and nothing else
            self._fail("internal", repr(error))
            return
        self._file(result, self._clock.monotonic() - begun)

    def _all(self, tiers: Sequence[Tier]) -> _Result:
        return {tier: self._collector.read(tier, None) for tier in tiers}

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
