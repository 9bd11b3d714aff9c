"""The second child: tries devices that stopped answering, so that a hang there is nobody else's."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import Tier
from warpgauge.core.device import DeviceState
from warpgauge.exporters.link import is_leaving
from warpgauge.exporters.messages import COMMON, Absent, Done, Failed, Message, Positions, Read, Refused

if TYPE_CHECKING:
    from collections.abc import Callable

    from warpgauge.exporters.collectors.collector import Settings
    from warpgauge.exporters.link import Link

__all__ = ["GONE", "REFUSALS", "Probe", "reason_gone"]

GONE: Final = {"lost": DeviceState.LOST, "needs_reset": DeviceState.NEEDS_RESET}
"""Reasons of read errors that say a device is gone, and the state they mean."""
REFUSALS: Final = {**GONE, "permission": DeviceState.DENIED, "unsupported": DeviceState.LOST}
"""Reasons for which a device cannot be opened; unsupported: its position is none any more. Others may pass: hung."""


def reason_gone(read: Read) -> str | None:
    """Why a device is not to be read any more, a key of `REFUSALS`; None while it is."""
    reasons = [error.reason for error in read.errors]
    gone = next((reason for reason in reasons if reason in GONE), None)
    is_shut_out = read.tier is Tier.FAST and not read.samples and set(reasons) == {"permission"}
    return gone or ("permission" if is_shut_out else None)


@dataclass(slots=True)
class Probe:
    """One try of several devices, all at once: those that hang cost one deadline together."""

    link: Link
    due: frozenset[int]
    farewell: Callable[[], float]  # seconds that the child has to end in order, if the task that runs this is told to
    settings: Settings = field(default_factory=dict)
    gone: dict[int, DeviceState] = field(default_factory=dict)  # who said why they cannot be read
    listed: tuple[int, ...] = ()  # where the driver lists devices, as the child was told
    _finished: set[int] = field(default_factory=set)
    _failed: set[int] = field(default_factory=set)

    async def run(self) -> frozenset[int]:
        """Who can be opened and read in every tier."""
        self.link.send({"do": "open", "only": sorted(self.due), "skip": [], "settings": self.settings})
        try:
            await self.link.follow(self._hear)
        finally:
            await self.link.close(farewell_seconds=self.farewell() if is_leaving() else 0.0)
        return frozenset(self._finished - self._failed)

    def _hear(self, message: Message) -> None:
        match message:
            case Read():
                self._check(message.position, reason_gone(message))
            case Refused():
                self._failed.add(message.position)
                self._check(message.position, message.reason)
            case Positions():
                self.listed = message.positions
                self._failed.update(self.due - set(message.positions))
            case Done() if message.position != COMMON:
                self._finished.add(message.position)
            case Absent() | Failed():
                self._failed.update(self.due)
            case _:
                pass
        if self.due <= self._finished | self._failed:
            self.link.end("stopped")

    def _check(self, position: int, reason: str | None) -> None:
        if reason in REFUSALS:
            self._failed.add(position)
            self.gone[position] = REFUSALS[reason]
