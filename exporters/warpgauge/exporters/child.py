"""The child process of one driver: `python -m warpgauge.exporters.child NAME`. Started by the supervisor only.

It names a device before it touches it, so that a hang or a crash has a culprit. One thread reads all devices as long as
they answer; beside one that does not another thread goes on, so that it keeps no other waiting, and several that hang
cost one deadline together.

It ends when its standard input closes; a kernel signal ends it even inside a hung call when the supervisor dies.
"""

from __future__ import annotations

import ctypes
import json
import os
import signal
import sys
from contextlib import suppress
from threading import Event as TellTale
from threading import Lock, Thread
from typing import IO, TYPE_CHECKING, Any, Final, cast

from warpgauge.core.catalog import Tier
from warpgauge.core.clock import SystemClock
from warpgauge.core.sample import ReadError
from warpgauge.exporters.collectors import make
from warpgauge.exporters.collectors.collector import (
    Adjustable,
    DeviceRefusedError,
    DriverError,
    EventSource,
    HolderSource,
)
from warpgauge.exporters.dictation import Speaker
from warpgauge.exporters.increments import Accumulating
from warpgauge.exporters.messages import (
    COMMON,
    Absent,
    At,
    Calls,
    Done,
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
from warpgauge.exporters.rounds import Rounds

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from warpgauge.core.device import Device
    from warpgauge.core.sample import Sample
    from warpgauge.exporters.collectors.collector import IsolatedCollector, Settings
    from warpgauge.exporters.increments import Bookmark

__all__ = ["Child", "main"]

WATCHER_SECONDS: Final = 2.5  # longer than it waits for events at a time
_FAREWELL_SHARE: Final = 0.8  # of the time that we are given may pass until the devices are given back
ALL_TIERS: Final = (Tier.FAST, Tier.NORMAL, Tier.SLOW)


class Child:
    """Obeys commands and reports; the lock guards `_out`, which all visits write to."""

    def __init__(self, collector: IsolatedCollector, out: IO[bytes]) -> None:
        self._collector = collector
        self._accumulating = collector if isinstance(collector, Accumulating) else None
        self._adjustable = collector if isinstance(collector, Adjustable) else None
        self._holding_source = collector if isinstance(collector, HolderSource) else None
        self._out = out
        self._lock = Lock()
        self._speaker = Speaker()
        self._positions = [COMMON]  # to visit
        self._devices: dict[int, Device | None] = {COMMON: None}  # that were opened
        self._is_leaving = TellTale()
        self._watcher: Thread | None = None
        self._clock = SystemClock()
        self._rounds = Rounds(self._clock, self._flush)
        self._farewell_seconds = 0.0  # to leave in order: a reading that is under way may end first

    def obey(self, commands: Iterable[bytes]) -> None:
        """Carry out commands until they end."""
        for line in commands:
            command: dict[str, Any] = json.loads(line)
            if "settings" in command:
                self._adjust(command["settings"])
            if command["do"] == "open":
                self._resume(command.get("bookmarks", {}))
                if not self._open(command["only"], set(command["skip"])):
                    return
            elif command["do"] == "add":
                self._add(command["positions"])
            elif command["do"] == "leave":
                self._farewell_seconds = _FAREWELL_SHARE * float(command["seconds"])
            else:
                self._read([Tier(tier) for tier in command["tiers"]])

    def _adjust(self, settings: Settings) -> None:
        self._speaker.says_fine = bool(settings.get("fine", True))
        if self._adjustable is not None:
            self._adjustable.adjust(settings)

    def leave(self) -> None:
        """Give the devices back, unless one of them is still being asked something; else our end gives them back.

        The driver cannot be called back from its wait for events, so only a farewell that is long enough waits for it.
        """
        self._is_leaving.set()
        until = self._clock.monotonic() + self._farewell_seconds
        is_watching = self._watcher is not None and self._watcher.is_alive()
        if self._watcher is not None and self._farewell_seconds >= WATCHER_SECONDS:
            self._watcher.join(self._farewell_seconds)
            is_watching = self._watcher.is_alive()
        if not is_watching and self._rounds.wait(max(0.0, until - self._clock.monotonic())):
            self._collector.close()

    def _watch(self, source: EventSource) -> None:
        """Pass on what the driver announces, as it happens."""
        try:
            while not self._is_leaving.is_set():
                events = source.wait_for_events(is_patient=self._devices.keys() >= set(self._positions))
                if events is None:
                    return
                if events:
                    self._say(*events)
        except BrokenPipeError:
            os._exit(0)  # the supervisor is gone

    def _say(self, *messages: Message, is_flushed: bool = True) -> None:
        """What need not be flushed goes out before the next device is touched, or when none is left."""
        lines = b"".join(map(self._speaker.encode, messages))
        with self._lock:
            self._out.write(lines)
            if is_flushed:
                self._out.flush()

    def _flush(self) -> None:
        try:
            with self._lock:
                self._out.flush()
        except BrokenPipeError:
            os._exit(0)  # the supervisor is gone

    def _open(self, only: Sequence[int] | None, skip: set[int]) -> bool:
        self._say(At(COMMON, "open"))
        try:
            why = self._collector.check()
            positions = tuple(self._collector.positions()) if why is None else ()
        except DriverError as error:
            self._say(Failed(error.reason, error.detail))
            return False
        if why is not None:
            self._say(Absent(why))
            return False
        self._say(Positions(positions), Done(COMMON))
        wanted = [position for position in positions if position not in skip and (only is None or position in only)]
        self._positions += wanted
        self._each(self._positions, ALL_TIERS)
        if only is None and isinstance(self._collector, EventSource):  # a probe's events would be counted twice
            self._watcher = Thread(target=self._watch, args=(self._collector,), name="events", daemon=True)
            self._watcher.start()
        return True

    def _add(self, positions: Sequence[int]) -> None:
        """Open positions that were passed over before."""
        self._positions += [position for position in positions if position not in self._positions]
        self._each(positions, ALL_TIERS)

    def _resume(self, bookmarks: Mapping[str, Bookmark]) -> None:
        if self._accumulating is not None:
            self._accumulating.resume(bookmarks)

    def _read(self, tiers: Sequence[Tier]) -> None:
        begun = self._clock.monotonic()
        slow_only = () if Tier.SLOW in tiers else (COMMON,)  # the driver itself has nothing to say more often
        self._each([position for position in self._devices.copy() if position not in slow_only], tiers)
        if Tier.NORMAL in tiers:
            self._say(Calls(self._collector.calls.take()))
        if self._rounds.wait(0.0):
            self._say(Took(self._clock.monotonic() - begun))

    def _each(self, positions: Iterable[int], tiers: Sequence[Tier]) -> None:
        """Visit all that do not still answer something else."""
        self._rounds.go(positions, lambda position: self._visit(position, tiers))

    def _visit(self, position: int, tiers: Sequence[Tier]) -> None:
        """Open a device if that is still to do, then read it."""
        try:
            if position not in self._devices:
                self._say(At(position, "identify"))
                device = self._collector.identify(position)
                self._say(Found(position, device))
                self._devices[position] = device
            self._say(At(position, "read"))
            inventory = [Positions(tuple(self._collector.positions()))] if position == COMMON else []
            readings = [self._reading(position, tier) for tier in tiers]
            told = [*readings, *(self._holding(position) if Tier.NORMAL in tiers else ())]
            self._say(*inventory, *self._gained(position), *told, Done(position), is_flushed=False)
        except DeviceRefusedError as error:
            self._say(Refused(position, error.reason, error.detail))
        except DriverError as error:
            self._say(Failed(error.reason, error.detail))
        except BrokenPipeError:
            os._exit(0)  # the supervisor is gone
        except Exception as error:  # noqa: BLE001 - a mistake of ours must show as a failure, not as a hang
            self._say(Failed("internal", repr(error)))

    def _gained(self, position: int) -> list[Message]:
        """Said before the readings: if they tell that the device is gone, its histograms go with its other data."""
        device = self._devices[position]
        if device is None or self._accumulating is None:
            return []
        increments, bookmark = self._accumulating.gained(device)
        return [Gained(position, increments, bookmark)] if increments or bookmark else []

    def _holding(self, position: int) -> list[Message]:
        device = self._devices[position]
        if device is None or self._holding_source is None:
            return []
        holders = self._holding_source.holders(device)
        return [Holding(position, None if holders is None else tuple(holders))]

    def _reading(self, position: int, tier: Tier) -> Read:
        device = self._devices[position]
        samples: Sequence[Sample]
        try:
            samples, errors = self._collector.read(tier, device)
        except DriverError:
            raise
        except Exception as error:  # noqa: BLE001 - a mistake of ours in one reading must cost that reading only
            samples, errors = [], [ReadError("internal", repr(error), device.uuid if device else None)]
        return Read(position, tier, samples, tuple(errors))


def die_with_parent() -> None:
    """Have the kernel end this process when its parent ends, however it ends (elsewhere only standard input tells)."""
    if sys.platform == "linux":
        pr_set_pdeathsig = 1
        ctypes.CDLL(None).prctl(pr_set_pdeathsig, signal.SIGKILL)


def serve(collector: IsolatedCollector) -> None:
    """Obey standard input. Standard output is ours alone: what a library prints goes to standard error."""
    die_with_parent()
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C reaches the whole group; the supervisor decides
    out = os.fdopen(os.dup(sys.stdout.fileno()), "wb", buffering=1 << 16)
    os.dup2(sys.stderr.fileno(), sys.stdout.fileno())
    child = Child(collector, out)
    with suppress(BrokenPipeError):  # the supervisor went while we were telling it something
        child.obey(sys.stdin.buffer)
    child.leave()
    os._exit(0)  # a lane inside a driver call would hold up the usual way out


def main() -> None:
    """Serve the collector named on the command line."""
    serve(cast("IsolatedCollector", make(sys.argv[1])))


if __name__ == "__main__":
    main()
