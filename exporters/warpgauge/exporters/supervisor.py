"""Keeps one driver's child process running and honest.

A device that hangs, crashes the child or is lost is taken out: its data goes at once, the child is started again
without it, and a second, short-lived child tries it with growing pauses until it answers. The others are late by at
most the deadline and one start, once. When everything hangs, everything reads hung, and trying goes on.

Released, it runs no child at all, so that nothing of ours keeps the driver from being taken away from the devices.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import own
from warpgauge.core.clock import Clock, SystemClock
from warpgauge.core.device import DeviceState
from warpgauge.core.retry import Backoff
from warpgauge.exporters.link import FAREWELL_SECONDS, End, Link, Program, is_leaving, undead
from warpgauge.exporters.mends import MENDS, put_restart_needed
from warpgauge.exporters.messages import (
    COMMON,
    Absent,
    At,
    Calls,
    Done,
    Event,
    Failed,
    Found,
    Gained,
    Holding,
    Message,
    Positions,
    Read,
    Refused,
    Took,
)
from warpgauge.exporters.probe import REFUSALS, Probe, reason_gone
from warpgauge.exporters.quarantine import Quarantine
from warpgauge.exporters.roster import Change, Roster
from warpgauge.exporters.schedule import Schedule

if TYPE_CHECKING:
    import subprocess
    from collections.abc import Collection, Mapping

    from warpgauge.core.catalog import Tier
    from warpgauge.core.device import Device
    from warpgauge.exporters.collectors.collector import Settings
    from warpgauge.exporters.increments import Bookmark
    from warpgauge.exporters.readings import Readings

__all__ = ["Supervisor"]

_LOG: Final = logging.getLogger(__name__)
_AT_ONCE: Final = {"lost", "returned", "inventory"}
_STABLE_SECONDS: Final = 10.0  # a child that lived this long was well
_RESTART_BACKOFF: Final = Backoff(first_seconds=0.2, factor=2.0, max_seconds=30.0)
_ABSENT_BACKOFF: Final = Backoff(first_seconds=60.0, factor=2.0, max_seconds=600.0)
_RELEASE_SECONDS: Final = 5.0  # for a child to shut the driver down in order, before it is killed
_DEATH_SECONDS: Final = 1.0  # for killed children to come out of the kernel


class Supervisor:
    """Runs the child of one isolated collector and files what it says."""

    def __init__(  # noqa: PLR0913 - each is a part of the world that a test hands in
        self,
        name: str,
        readings: Readings,
        *,
        intervals: Mapping[Tier, float],
        program: Program,
        clock: Clock | None = None,
        phase: float | None = None,
    ) -> None:
        """Supervisors with the same `phase`, in monotonic seconds, ask for readings at the same moments."""
        self.name = name
        self.is_settled = asyncio.Event()  # the first tick is over, one way or the other
        self.absence: str | None = None  # why there is nothing to read here
        self.settings: Settings = {}  # go along with the next command after each change; never changed in place
        self._readings = readings
        self._tally = readings.tally
        self._program = program
        self._clock = clock or SystemClock()
        self._schedule = Schedule(intervals, self._clock, phase)
        self._quarantine = Quarantine(self._clock, program.retries)
        self._roster = Roster(name, readings)
        self._bookmarks: dict[str, Bookmark] = {}  # by uuid: where the next child goes on
        self._link: Link | None = None
        self._is_productive = False  # whether the running child has read a device
        self._delays = _RESTART_BACKOFF.delays()
        self._absent_delays = _ABSENT_BACKOFF.delays()
        self._stuck: subprocess.Popen[bytes] | None = None  # the last main child, which may not have died yet
        self._is_back = asyncio.Event()  # somebody left the quarantine
        self._is_out = asyncio.Event()  # somebody entered it
        self._is_wanted = asyncio.Event()  # not released
        self._is_wanted.set()
        self._is_read = asyncio.Event()  # the running child has read everybody that can be read
        self._work: asyncio.Task[None] | None = None
        self._farewell_seconds = FAREWELL_SECONDS
        self._denied = False  # whether the driver last failed because it keeps us out

    async def run(self) -> None:
        """Keep reading until cancelled, with pauses while released."""
        while True:
            await self._is_wanted.wait()
            work = self._work = asyncio.create_task(self._read_for_ever())
            try:
                await asyncio.wait({work})
            finally:
                work.cancel()
                await asyncio.gather(work, return_exceptions=True)
                self._work = None
            if not work.cancelled():
                work.result()

    async def release(self) -> list[int]:
        """Give every device and the driver away; process ids of children that hold it and do not die."""
        self._is_wanted.clear()
        self._farewell_seconds = _RELEASE_SECONDS
        if self._work is not None:
            self._work.cancel()
            await asyncio.wait({self._work})
        self._farewell_seconds = FAREWELL_SECONDS
        self._roster.mark_all(DeviceState.RELEASED)
        self._tally.remove(own.COLLECTOR_UP, self.name)
        put_restart_needed(self._tally, self.name, None)
        self.is_settled.set()
        until = self._clock.monotonic() + _DEATH_SECONDS
        while undead() and self._clock.monotonic() < until:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.005)
        return undead()

    async def acquire(self) -> list[str]:
        """Take the devices back; uuids of those that were released and do not answer within the time for a start."""
        self._roster.forget()
        self._quarantine.clear()
        self._delays = _RESTART_BACKOFF.delays()
        self._schedule.forget()
        self._is_read.clear()
        self._is_wanted.set()
        until = self._clock.monotonic() + self._program.start_seconds
        while self._roster.in_state(DeviceState.RELEASED) and not self._is_read.is_set():
            if self._clock.monotonic() > until:
                break
            await asyncio.sleep(0.02)
        return [device.uuid for device in self._roster.in_state(DeviceState.RELEASED)]

    async def _read_for_ever(self) -> None:
        probing = asyncio.create_task(self._probe_for_ever())
        settling = asyncio.create_task(self._settle_in_time())
        try:
            while True:
                begun = self._clock.monotonic()
                end = await self._live()
                self._settle_up(end)
                if self._clock.monotonic() - begun > _STABLE_SECONDS:
                    self._delays = _RESTART_BACKOFF.delays()
                await self._pause(end)
                await self._until_somebody_is_left()
        finally:
            probing.cancel()
            settling.cancel()
            await asyncio.gather(probing, settling, return_exceptions=True)

    async def _pause(self, end: End) -> None:
        """No pause where the cause was taken away; a child that fails of itself is started less and less often."""
        if end.reason == "absent":
            await asyncio.sleep(next(self._absent_delays))
            self._schedule.forget()  # where there is nothing to read no reading was missed
        elif end.reason not in _AT_ONCE and not end.blamed - {COMMON}:
            await asyncio.sleep(next(self._delays))

    # ---- the main child

    async def _live(self) -> End:
        """Run one main child from start to end."""
        self._is_productive = False
        self._roster.start_over()
        link = self._link = await self._start()
        skip = sorted(self._quarantine.positions)
        told = self.settings
        bookmarks = {uuid: dict(bookmark) for uuid, bookmark in self._bookmarks.items()}
        about = {"bookmarks": bookmarks, "settings": told}
        link.send({"do": "open", "only": None, "skip": skip, **about})
        ticking = asyncio.create_task(self._tick(link, told))
        try:
            return await link.follow(self._hear)
        finally:
            self._link = None
            self._stuck = link.process
            ticking.cancel()
            await link.close(farewell_seconds=self._farewell_seconds if is_leaving() else 0.0)

    async def _start(self) -> Link:
        return await Link.start(self._program, self._clock)

    async def _tick(self, link: Link, told: Settings) -> None:
        """Ask for each tier when it is due; opening, with the settings `told` then, reads all of them once."""
        self._count_missed(self._schedule.start_over())
        while True:
            await asyncio.sleep(self._schedule.seconds_to_next)
            tiers, missed = self._schedule.take()
            self._count_missed(missed)
            if link.is_busy:  # somebody still answers the last question, and will not hear this one
                self._count_missed(dict.fromkeys(tiers, 1))
            news = {} if self.settings is told else {"settings": self.settings}
            link.send({"do": "read", "tiers": [tier.value for tier in tiers], **news})
            told = self.settings

    def _count_missed(self, missed: Mapping[Tier, int]) -> None:
        for tier, times in missed.items():
            self._tally.count(own.MISSED_TICKS, self.name, tier.value, by=times)

    def _hear(self, message: Message) -> None:  # noqa: C901, PLR0912 - one case per message
        """File one message of the main child."""
        match message:
            case At():
                pass  # the link knows who is busy
            case Read():
                self._file(message)
            case Gained():
                self._add(message)
            case Holding():
                self._hold(message)
            case Done():
                self._finish_tick()
            case Found():
                self._meet(message.position, message.device)
            case Event():
                self._note(message)
            case Calls():
                self._tally.add_calls(self.name, message.portion)
            case Took():
                self._tally.observe(own.COLLECT_SECONDS, self.name, seconds=message.seconds)
            case Positions():
                self._compare(message.positions)
            case Refused():
                self._take_out(message.position, REFUSALS.get(message.reason, DeviceState.HUNG), message.reason)
                _LOG.warning("device refused", extra={"collector": self.name, "detail": message.detail})
            case Absent():
                self.absence = message.why
                self._end_link("absent")
            case Failed():
                self._fail(message)

    def _note(self, event: Event) -> None:
        device = self._roster.get(event.position)
        if device is None:
            _LOG.warning("event of no known device", extra={"collector": self.name, "event": event.kind})
        else:
            self._readings.happened(device, event.kind, event.number, source=self.name)

    def _file(self, read: Read) -> None:
        device = self._roster.get(read.position)
        for error in read.errors:
            self._tally.count(own.COLLECT_ERRORS, self.name, error.reason)
        gone = reason_gone(read)
        if gone is not None:
            self._take_out(read.position, REFUSALS[gone], gone, count=False)
            self._end_link("lost")  # so that no handle of ours keeps the device from being reset
            return
        if read.position in self._quarantine.positions:
            return  # another tier of the same visit has said that the device is out
        self._readings.update(self.name, read.tier, device.uuid if device else None, read.samples)
        self._is_productive = self._is_productive or device is not None

    def _add(self, gained: Gained) -> None:
        """Both or neither: what is not added now is not passed over by the next child either."""
        device = self._roster.get(gained.position)
        if device is not None and gained.position not in self._quarantine.positions:
            self._readings.add(self.name, device, gained.increments)
            self._bookmarks[device.uuid] = gained.bookmark

    def _hold(self, holding: Holding) -> None:
        device = self._roster.get(holding.position)
        if device is not None and holding.position not in self._quarantine.positions:
            self._readings.hold(device.uuid, holding.holders)

    def _finish_tick(self) -> None:
        if self._link is None or self._link.is_busy or not self._is_productive:
            return
        self._tally.put(own.COLLECTOR_UP, self.name, value=1.0)
        self._tally.put(own.COLLECTOR_LAST_SUCCESS, self.name, value=self._clock.now())
        put_restart_needed(self._tally, self.name, None)
        self.absence = None
        self.is_settled.set()
        if self._roster.is_complete(self._quarantine.positions):
            self._roster.mark_missing()
            self._is_read.set()

    def _meet(self, position: int, device: Device) -> None:
        """A device said its name; whoever was thought to be it or to sit there is corrected."""
        for former in self._roster.meet(position, device):
            self._quarantine.release(former)

    def _compare(self, positions: tuple[int, ...]) -> None:
        """Where devices came or went, each position is asked anew who sits there, those in quarantine included."""
        change = self._roster.compare(positions)
        if change is Change.NONE:
            return
        passed_over = self._quarantine.positions & set(positions)
        self._quarantine.clear()  # it knows positions, and these are other devices now
        if change is Change.WITHIN_CHILD:
            self._end_link("inventory")
        elif passed_over and self._link is not None:
            self._link.send({"do": "add", "positions": sorted(passed_over - self._quarantine.positions)})

    def _fail(self, failed: Failed) -> None:
        mend = MENDS.get(failed.reason)
        about = {"collector": self.name, "reason": failed.reason, "detail": failed.detail}
        _LOG.warning("driver failed", extra={**about, "mend": mend} if mend else about)
        put_restart_needed(self._tally, self.name, failed.reason)
        self._denied = failed.reason == "permission"
        self._tally.count(own.COLLECT_ERRORS, self.name, failed.reason)
        self._end_link("failed")

    def _end_link(self, reason: str) -> None:
        if self._link is not None:
            self._link.end(reason)

    # ---- afterwards

    def _settle_up(self, end: End) -> None:
        """Draw the consequences of a child's end."""
        if end.reason != "absent":
            self._tally.count(own.CHILD_RESTARTS, self.name, end.reason)
            _LOG.warning(
                "child ended",
                extra={"collector": self.name, "reason": end.reason, "devices": sorted(end.blamed), "why": end.detail},
            )
        blamed: Collection[int] = end.blamed - {COMMON}
        if end.reason in {"hung", "crashed"} and COMMON in end.blamed and not blamed:
            blamed = tuple(self._roster)  # the driver as a whole: nobody can be read
        for position in tuple(blamed):
            self._take_out(position, DeviceState.HUNG, end.reason)
        if end.reason == "hung" and not end.blamed:  # it did not start in time, and has touched nobody
            self._roster.mark_all(DeviceState.HUNG)
        if end.reason in {"failed", "absent"}:
            self._roster.mark_all(DeviceState.DENIED if self._denied else DeviceState.LOST)
            self._roster.forget()
            self._quarantine.clear()
        if not self._is_productive or end.reason == "failed":
            self._tally.put(own.COLLECTOR_UP, self.name, value=0.0)
        if end.reason == "absent":
            self._tally.remove(own.COLLECTOR_UP, self.name)
        if not blamed or end.reason == "absent":
            self.is_settled.set()
        self._readings.on_change()  # a page for what was counted, also where no reading comes

    def _take_out(self, position: int, state: DeviceState, reason: str, *, count: bool = True) -> None:
        """A device stopped answering: its data goes now, and it is tried again later by a child of its own."""
        device = self._roster.or_stand_in(position)
        self._readings.see(self.name, device, state)
        self._readings.mark(device.uuid, state)
        if count:
            self._tally.count(own.COLLECT_ERRORS, self.name, reason)
        if position in self._quarantine.positions or self._roster.is_stale:
            return  # several tiers of one tick say the same; a position of an old list is somebody else's now
        self._quarantine.put(position, self._stuck)
        _LOG.warning("device out", extra={"collector": self.name, "device": device.uuid, "state": state.value})
        self._is_out.set()

    async def _until_somebody_is_left(self) -> None:
        positions = self._roster.positions
        while positions and set(positions) <= self._quarantine.positions:
            self._is_read.set()
            self._tally.put(own.COLLECTOR_UP, self.name, value=0.0)
            self._readings.on_change()
            self.is_settled.set()
            self._is_back.clear()
            await self._is_back.wait()

    async def _settle_in_time(self) -> None:
        await asyncio.sleep(self._program.deadline_seconds)
        self.is_settled.set()

    # ---- the second child

    async def _probe_for_ever(self) -> None:
        """Try the devices that are out, all that are due in one child, until each answers."""
        while True:
            due = self._quarantine.due()
            if due:
                answered = await self._probe(due)
                if answered:
                    self._give_back(answered)
            self._is_out.clear()
            with suppress(TimeoutError):
                async with asyncio.timeout(self._quarantine.seconds_to_next()):
                    await self._is_out.wait()

    async def _probe(self, due: frozenset[int]) -> frozenset[int]:
        """Which of these devices answer again; the others wait longer, and may have told more about their state."""
        probe = Probe(await self._start(), due, lambda: self._farewell_seconds, self.settings)
        answered = await probe.run() & self._quarantine.positions
        if probe.listed and probe.listed != self._roster.positions:
            answered = frozenset()  # by a list that we have not heard of: who answered there may be another device
        for position in (due - answered) & self._quarantine.positions:
            self._quarantine.put(position, probe.link.process)
            device = self._roster.get(position)
            if device is not None and position in probe.gone:
                self._readings.mark(device.uuid, probe.gone[position])
        return answered

    def _give_back(self, positions: frozenset[int]) -> None:
        for position in positions:
            self._quarantine.release(position)
        _LOG.warning("devices back", extra={"collector": self.name, "positions": sorted(positions)})
        self._end_link("returned")
        self._is_back.set()
