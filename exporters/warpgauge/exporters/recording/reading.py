"""The agent's way of reading NVML as a row of steps: the recorder takes them by the clock, a replay by the marks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import Tier
from warpgauge.core.sample import ReadError
from warpgauge.exporters.collectors.collector import DeviceRefusedError, DriverError
from warpgauge.exporters.messages import COMMON, Absent, Failed, Found, Gained, Message, Positions, Read, Refused
from warpgauge.exporters.schedule import Schedule

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from warpgauge.core.clock import Clock
    from warpgauge.core.device import Device
    from warpgauge.exporters.collectors.nvml import NvmlCollector

__all__ = ["GONE", "Reader", "Session"]

GONE: Final = {"lost", "needs_reset"}
"""Reasons of a `ReadError` that end the reading of a device."""

_ALL_TIERS: Final = (Tier.FAST, Tier.NORMAL, Tier.SLOW)
_EVENT_SECONDS: Final = 0.3  # a wait for events takes a quarter of a second


class Reader:
    """A collector that is told what to do next; says the same as the agent's child process."""

    def __init__(self, collector: NvmlCollector) -> None:
        self._collector = collector
        self._devices: dict[int, Device | None] = {COMMON: None}
        self.has_events = True

    def perform(self, do: str, position: int | None = None, tiers: Sequence[Tier] = ()) -> list[Message]:
        """Take one step; what the driver refuses is a message too."""
        at = COMMON if position is None else position
        try:
            return self._take(do, at, tiers)
        except DeviceRefusedError as error:
            return [Refused(at, error.reason, error.detail)]
        except DriverError as error:
            return [Failed(error.reason, error.detail)]
        except Exception as error:  # noqa: BLE001 - as in the agent's child: a mistake of ours must show as a failure
            return [Failed("internal", repr(error))]

    def _take(self, do: str, at: int, tiers: Sequence[Tier]) -> list[Message]:
        match do:
            case "open":
                return self._open()
            case "identify":
                self._devices[at] = device = self._collector.identify(at)
                return [Found(at, device)]
            case "read" if at in self._devices:
                return self._read(at, tiers)
            case "events":
                return self._events()
            case "close":
                self._collector.close()
        return []

    def _open(self) -> list[Message]:
        why = self._collector.check()
        return [Absent(why)] if why is not None else [Positions(tuple(self._collector.positions()))]

    def _read(self, at: int, tiers: Sequence[Tier]) -> list[Message]:
        device = self._devices[at]
        said: list[Message] = [Positions(tuple(self._collector.positions()))] if device is None else []
        said += [self._reading(at, tier, device) for tier in tiers]
        if device is not None:
            increments, bookmark = self._collector.gained(device)
            said += [Gained(at, tuple(increments), bookmark)] if increments or bookmark else []
        return said

    def _reading(self, at: int, tier: Tier, device: Device | None) -> Read:
        try:
            samples, errors = self._collector.read(tier, device)
        except DriverError:
            raise
        except Exception as error:  # noqa: BLE001 - costs this reading only
            samples, errors = [], [ReadError("internal", repr(error), device.uuid if device else None)]
        return Read(at, tier, tuple(samples), tuple(errors))

    def _events(self) -> list[Message]:
        events = self._collector.wait_for_events()
        self.has_events = events is not None
        return list(events or ())


class Session:
    """Reads as an agent at its defaults does, for a while: all tiers of all devices, events in between."""

    def __init__(  # noqa: PLR0913 - each is a part of the world that a test hands in
        self,
        reader: Reader,
        mark: Callable[[str, int | None, Sequence[Tier]], None],
        *,
        clock: Clock,
        pause: Callable[[float], None],
        is_over: Callable[[], bool] = lambda: False,
        hear: Callable[[Message], None] = lambda _message: None,
    ) -> None:
        """`mark` is told of each step before it is taken, `hear` what came of it; `is_over` ends it early."""
        self._reader = reader
        self._mark = mark
        self._clock = clock
        self._pause = pause
        self._is_over = is_over
        self._hear = hear
        self._well: list[int] = []
        self.failure: Failed | Absent | None = None

    def open(self) -> Sequence[int]:
        """Open the driver and every device; the positions of those that answer."""
        for message in self._do("open"):
            if isinstance(message, Positions):
                self._well = [at for at in message.positions if self._identified(at)]
        self._tick(_ALL_TIERS)
        return tuple(self._well)

    def run(self, intervals: Mapping[Tier, float], seconds: float) -> None:
        """Read on until the time is over."""
        schedule = Schedule(intervals, self._clock)
        schedule.start_over()
        end = self._clock.monotonic() + seconds
        while self.failure is None and not self._is_over():
            left = end - self._clock.monotonic()
            if left <= 0:
                return
            if schedule.seconds_to_next > 0:
                self._wait(min(left, schedule.seconds_to_next))
                continue
            self._tick(schedule.take()[0])

    def close(self) -> None:
        """Give everything back, unless the driver is gone."""
        if self.failure is None:
            self._do("close")

    def _identified(self, at: int) -> bool:
        return any(isinstance(message, Found) for message in self._do("identify", at))

    def _tick(self, tiers: Sequence[Tier]) -> None:
        if Tier.SLOW in tiers and self.failure is None:
            self._do("read", COMMON, (Tier.SLOW,))
        for at in tuple(self._well):
            if self.failure is None and _is_gone(self._do("read", at, tiers)):
                self._well.remove(at)

    def _wait(self, seconds: float) -> None:
        if seconds < _EVENT_SECONDS or not self._reader.has_events:
            self._pause(min(seconds, _EVENT_SECONDS))
        else:
            self._do("events")

    def _do(self, do: str, at: int | None = None, tiers: Sequence[Tier] = ()) -> list[Message]:
        self._mark(do, at, tiers)
        said = self._reader.perform(do, at, tiers)
        for message in said:
            if isinstance(message, Failed | Absent):
                self.failure = message
            self._hear(message)
        return said


def _is_gone(said: Sequence[Message]) -> bool:
    return any(error.reason in GONE for message in said if isinstance(message, Read) for error in message.errors)
