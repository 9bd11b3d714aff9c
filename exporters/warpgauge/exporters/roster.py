"""Which device sits at which position of a driver, and who of those ever seen sits nowhere any more.

A position is worth no more than the driver's list of today: one device that goes, or a new load of the driver, moves
the others. So a device is known by its uuid, and each new child asks everybody for their names again.
"""

from __future__ import annotations

from enum import Enum
from typing import TYPE_CHECKING, Final

from warpgauge.core.device import Device, DeviceKind, DeviceState

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warpgauge.exporters.readings import Readings

__all__ = ["Change", "Roster"]

_STAYS: Final = frozenset({DeviceState.RELEASED, DeviceState.LOST, DeviceState.NEEDS_RESET})
"""What holds on for a device that the driver no longer lists; in any other state it is lost now."""


class Change(Enum):
    """Whether the driver's list of devices differs from the last one, and when it changed."""

    NONE = "none"
    BETWEEN_CHILDREN = "between children"  # the running child has the new list and nothing but that
    WITHIN_CHILD = "within a child"  # it opened devices by the old list


class Roster:
    """The devices of one collector, by position."""

    def __init__(self, collector: str, readings: Readings) -> None:
        self.positions: tuple[int, ...] = ()  # where the driver lists devices, empty while not known
        self._collector = collector
        self._readings = readings
        self._devices: dict[int, Device] = {}  # who was last seen at a position
        self._met: set[int] = set()  # positions whose device said its name to the running child
        self._is_listed = False  # whether the running child told where devices are
        self.is_stale = False  # whether the running child opened devices by a list that no longer holds
        self._is_searched = False  # whether those that sit nowhere were looked for since

    def __iter__(self) -> Iterator[int]:
        """Positions where a device was seen."""
        return iter(tuple(self._devices))

    def get(self, position: int) -> Device | None:
        """Who was last seen at a position."""
        return self._devices.get(position)

    def or_stand_in(self, position: int) -> Device:
        """Who was last seen there, or a name for a device that never said its own."""
        return self._devices.get(position) or _stand_in(self._collector, position)

    def start_over(self) -> None:
        """A new child was started, which asks everybody for their names."""
        self._met.clear()
        self._is_listed = self._is_searched = self.is_stale = False

    def forget(self) -> None:
        """Positions mean nothing any more: the driver may have been loaded anew."""
        self.positions = ()
        self._devices.clear()
        self._met.clear()

    def meet(self, position: int, device: Device) -> list[int]:
        """A device said its name; the other positions where it was thought to be."""
        elsewhere = self._devices.keys() - self._met - {position}  # at those of _met sits who said so
        former = [other for other in elsewhere if self._devices[other].uuid == device.uuid]
        for other in former:
            del self._devices[other]
        self._readings.forget(_stand_in(self._collector, position).uuid)
        self._devices[position] = device
        self._met.add(position)
        self._readings.see(self._collector, device)
        return former

    def compare(self, positions: tuple[int, ...]) -> Change:
        """Take over where the driver lists devices now: did any come or go since it, or another child, last told?"""
        before, self.positions = self.positions, positions
        is_first, self._is_listed = not self._is_listed, True
        if not before or before == positions:
            return Change.NONE
        self.is_stale = not is_first
        return Change.BETWEEN_CHILDREN if is_first else Change.WITHIN_CHILD

    def is_complete(self, out: frozenset[int]) -> bool:
        """Whether everybody listed has said its name to the running child or is `out`."""
        return bool(self.positions) and set(self.positions) <= self._met | out

    def mark_missing(self) -> None:
        """Once complete, once per child: whoever was seen before and sits nowhere now has left this machine."""
        if self._is_searched:
            return
        self._is_searched = True
        for position in self._devices.keys() - set(self.positions):
            del self._devices[position]
        here = {device.uuid for device in self._devices.values()}
        for standing in [standing for standing in self._readings.standings if standing.collector == self._collector]:
            uuid, index = standing.device.uuid, standing.device.index
            if uuid == _stand_in(self._collector, index).uuid:
                if index not in self.positions:
                    self._readings.forget(uuid)
            elif uuid not in here and standing.state not in _STAYS:
                self._readings.mark(uuid, DeviceState.LOST)

    def mark_all(self, state: DeviceState) -> None:
        """Nobody can be read: every device ever seen is in this state and its data goes."""
        for standing in self._readings.standings:
            if standing.collector == self._collector:
                self._readings.mark(standing.device.uuid, state)
        self._readings.drop(self._collector)

    def in_state(self, state: DeviceState) -> list[Device]:
        """Devices of the collector that are in a state."""
        return [
            standing.device
            for standing in self._readings.standings
            if standing.collector == self._collector and standing.state is state
        ]


def _stand_in(collector: str, position: int) -> Device:
    return Device(uuid=f"{collector}-unidentified-{position}", index=position, kind=DeviceKind.GPU, vendor="", model="")
