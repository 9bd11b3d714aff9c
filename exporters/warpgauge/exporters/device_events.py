"""What happened to devices: counted, dated, and told once though two sources may tell it.

The counts outlive the device's data: a GPU that fell off the bus is gone from the page when its XID is looked for.
"""

from __future__ import annotations

import logging
from collections import defaultdict
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import device as rows
from warpgauge.core.sample import Sample
from warpgauge.core.xid import entry_of

if TYPE_CHECKING:
    from collections.abc import Iterable

    from warpgauge.core.clock import Clock
    from warpgauge.core.device import Device

__all__ = ["EXPECTED_XIDS", "DeviceEvents"]

_LOG: Final = logging.getLogger(__name__)
_SAME_EVENT_SECONDS: Final = 5.0  # between the driver's event and its line in the kernel log
_MOST_WAITING: Final = 1000

EXPECTED_XIDS: Final = (48, 62, 64, 74, 79, 95, 119, 120)
"""Those that mean a broken device exist as 0 before they happen, so that increase() sees the first one."""

_Key = tuple[str, int]
"""UUID and XID."""


class DeviceEvents:
    """Counts of what happened to each device since the agent was started. Used from the event loop only."""

    def __init__(self, clock: Clock) -> None:
        self.version = 0  # rises with each change
        self._clock = clock
        self._xids: dict[Device, dict[int, tuple[int, float]]] = defaultdict(dict)  # number -> count, last time
        self._events: dict[tuple[Device, str], int] = defaultdict(int)
        self._switch: dict[tuple[str, int], int] = defaultdict(int)
        self._waiting: list[tuple[_Key, str, float]] = []  # told by one source, and not yet by the other

    def xid(self, device: Device, number: int, *, source: str, detail: str = "") -> bool:
        """Count an XID; False when another source has told of the same one within five seconds."""
        if self._is_told(device, number, source):
            return False
        count, _ = self._xids[device].get(number, (0, 0.0))
        self._xids[device][number] = (count + 1, self._clock.now())
        self.version += 1
        entry = entry_of(number)
        about = {"device": device.uuid, "xid": number, "severity": str(entry.blame), "meaning": entry.meaning}
        _LOG.warning("xid", extra={**about, "source": source, "detail": detail})
        return True

    def last_xid(self, device: Device) -> tuple[int, str] | None:
        """Number and meaning of the XID that happened last, None if none did."""
        happened = self._xids.get(device)
        if not happened:
            return None
        number = max(happened, key=lambda it: happened[it][1])
        return number, entry_of(number).meaning

    def other(self, device: Device, event: str) -> None:
        """Count an event that is no XID."""
        self._events[device, event] += 1
        self.version += 1
        _LOG.warning("device event", extra={"device": device.uuid, "event": event})

    def sxid(self, pci_bus_id: str, number: int, detail: str) -> None:
        """Count an error that an NVSwitch reported."""
        self._switch[pci_bus_id, number] += 1
        self.version += 1
        _LOG.warning("sxid", extra={"pci_bus_id": pci_bus_id, "sxid": number, "detail": detail})

    def samples(self, devices: Iterable[Device]) -> Iterable[Sample]:
        """Every series: what happened, and 0 for what is looked for on these devices and has not happened."""
        for device in {**dict.fromkeys(devices), **dict.fromkeys(self._xids)}:
            happened = self._xids.get(device, {})
            for number in sorted({*EXPECTED_XIDS, *happened}):
                count, last = happened.get(number, (0, 0.0))
                yield Sample(rows.XID_EVENTS, (*device.labels, str(number)), float(count))
                if count:
                    yield Sample(rows.XID_LAST, (*device.labels, str(number)), last)
        for (device, event), count in self._events.items():
            yield Sample(rows.DEVICE_EVENTS, (*device.labels, event), float(count))
        for (address, number), count in self._switch.items():
            yield Sample(rows.SXID_EVENTS, (address, str(number)), float(count))

    def _is_told(self, device: Device, number: int, source: str) -> bool:
        """Each event of one source answers to one of the other: two in a row stay two."""
        now, key = self._clock.monotonic(), (device.uuid, number)
        self._waiting = [entry for entry in self._waiting if now - entry[2] <= _SAME_EVENT_SECONDS][-_MOST_WAITING:]
        twin = next((entry for entry in self._waiting if entry[0] == key and entry[1] != source), None)
        if twin is not None:
            self._waiting.remove(twin)
            return True
        self._waiting.append((key, source, now))
        return False
