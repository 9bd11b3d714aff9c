"""The second child: tries devices that stopped answering, so that a hang there is nobody else's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from warpgauge.core.device import DeviceState
from warpgauge.exporters.messages import COMMON, Absent, Done, Failed, Message, Positions, Read, Refused

if TYPE_CHECKING:
    from warpgauge.exporters.collectors.collector import Settings
    from warpgauge.exporters.link import Link

__all__ = ["GONE", "Probe"]

GONE: Final = {"lost": DeviceState.LOST, "needs_reset": DeviceState.NEEDS_RESET}
"""Reasons of read errors that say a device is gone, and the state they mean."""


@dataclass(slots=True)
class Probe:
    """One try of several devices, all at once: those that hang cost one deadline together."""

    link: Link
    due: frozenset[int]
    settings: Settings = field(default_factory=dict)
    gone: dict[int, DeviceState] = field(default_factory=dict)  # who said why they cannot be read
    _finished: set[int] = field(default_factory=set)
    _failed: set[int] = field(default_factory=set)

    async def run(self) -> frozenset[int]:
        """Who can be opened and read in every tier."""
        self.link.send({"do": "open", "only": sorted(self.due), "skip": [], "settings": self.settings})
        try:
            await self.link.follow(self._hear)
        finally:
            await self.link.close()
        return frozenset(self._finished - self._failed)

    def _hear(self, message: Message) -> None:
        match message:
            case Read():
                self._check(message.position, {error.reason for error in message.errors})
            case Refused():
                self._failed.add(message.position)
                self._check(message.position, {message.reason})
            case Positions():
                self._failed.update(self.due - set(message.positions))
            case Done() if message.position != COMMON:
                self._finished.add(message.position)
            case Absent() | Failed():
                self._failed.update(self.due)
            case _:
                pass
        if self.due <= self._finished | self._failed:
            self.link.end("stopped")

    def _check(self, position: int, reasons: set[str]) -> None:
        for reason in reasons & GONE.keys():
            self._failed.add(position)
            self.gone[position] = GONE[reason]
