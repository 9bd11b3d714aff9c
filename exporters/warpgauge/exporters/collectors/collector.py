"""What a collector is: something that reads devices and says what it could not read."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Protocol, runtime_checkable

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.core.catalog import Tier
    from warpgauge.core.device import Device
    from warpgauge.core.sample import ReadError, Sample
    from warpgauge.exporters.collectors.calls import CallTimes
    from warpgauge.exporters.messages import Event

__all__ = [
    "Adjustable",
    "Collector",
    "DeviceRefusedError",
    "DriverError",
    "EventSource",
    "HolderSource",
    "IsolatedCollector",
    "Quiet",
    "Settings",
]

Settings = Mapping[str, str | float | bool]
"""Settings by their short names, as they go to a child with its first command and where they changed."""


class Collector(Protocol):
    """Reads once, then maps. Never raises for a device that fails: that is a `ReadError` beside the other samples."""

    name: str
    isolated: bool  # True: a driver that can hang or crash, so it runs in a child process of its own

    def check(self) -> str | None:
        """None when its devices are on this machine, else why not in one sentence."""

    def devices(self) -> Sequence[Device]:
        """Every device that can be identified now."""

    def read(self, tier: Tier, device: Device | None) -> tuple[Sequence[Sample], list[ReadError]]:
        """Samples of one tier for one device; None asks for what belongs to the collector and to no device."""

    def close(self) -> None:
        """Give back what the driver lent."""


class IsolatedCollector(Collector, Protocol):
    """A collector for a child process: opens devices one by one, so that each can be named before it is touched.

    What belongs to no device is asked for with the slow tier only.
    `identify` and `read` are called from one thread per device, never twice at once for the same device.
    """

    calls: CallTimes  # durations of driver calls since they were last taken

    def positions(self) -> Sequence[int]:
        """Where devices are, without touching them.

        Raises:
            DriverError: the driver as a whole does not answer.

        """

    def identify(self, position: int) -> Device:
        """Open the device at a position.

        Raises:
            DeviceRefusedError: this device does not answer; others may.
            DriverError: the driver as a whole does not answer.

        """


@runtime_checkable
class EventSource(Protocol):
    """An isolated collector whose driver tells of events; called from one thread of its own."""

    def wait_for_events(self, *, is_patient: bool) -> list[Event] | None:
        """What happens within at most half a second, or two if nobody else is expected to be opened; told at once.

        None when there will never be any. Never raises.
        """


@runtime_checkable
class HolderSource(Protocol):
    """An isolated collector whose driver lists the processes that have a device open."""

    def holders(self, device: Device) -> Sequence[tuple[int, str]] | None:
        """Pid and GPU instance (empty for a whole device) as of the last normal tier; None if nobody can tell."""


@runtime_checkable
class Quiet(Protocol):
    """A collector in our own process that often has nothing to tell: then no thread is woken up to ask it."""

    def has_never_changed(self) -> bool:
        """Whether it says what it said the first time. Never waits."""


@runtime_checkable
class Adjustable(Protocol):
    """An isolated collector with settings, some of which change while it runs."""

    def adjust(self, settings: Settings) -> None:
        """Obey these from now on, all of them each time; called before a device is opened and between readings."""


class DriverError(Exception):
    """A driver as a whole cannot be used; `reason` is a short stable word for a label."""

    def __init__(self, reason: str, detail: str) -> None:
        """Keep the word and the driver's own sentence."""
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail


class DeviceRefusedError(DriverError):
    """One device cannot be opened: lost, needs_reset or permission."""
