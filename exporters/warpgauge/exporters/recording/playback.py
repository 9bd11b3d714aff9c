"""A recording fed to the collector again, mark by mark, and the page that came of it.

Nothing of the machine that replays gets in. What did not come through the driver's library, such as the NUMA node and
the kernel log, is not in a recording. The page is marked: `accel_device_info{simulated="true"}` keeps it out of
everything that acts, sends on or remembers, for a recording is not a device that is there now.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import device as rows
from warpgauge.core.device import Device, DeviceState
from warpgauge.core.exposition import Format, page
from warpgauge.exporters.collectors.nvml import NvmlCollector
from warpgauge.exporters.messages import Event, Failed, Found, Gained, Message, Read, Refused
from warpgauge.exporters.readings import Readings
from warpgauge.exporters.recording.boundary import below_pynvml
from warpgauge.exporters.recording.lines import Mark
from warpgauge.exporters.recording.reading import GONE, Reader
from warpgauge.exporters.recording.replay import ReplayLibrary

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from warpgauge.core.sample import Sample
    from warpgauge.exporters.recording.storage import Recording

__all__ = ["Playback"]

_COLLECTOR: Final = "nvml"
_NOWHERE: Final = "/nonexistent"
_SIMULATED: Final = rows.DEVICE_INFO.labels.index("simulated")
_STATES: Final = {"lost": DeviceState.LOST, "needs_reset": DeviceState.NEEDS_RESET}


class Playback:
    """One run through a recording."""

    def __init__(self, recording: Recording, hear: Callable[[Message], None] = lambda _message: None) -> None:
        """`hear` is told everything that the collector says."""
        self._recording = recording
        self._library = ReplayLibrary(recording)
        self._clock = self._library.clock
        self._reader = Reader(NvmlCollector(clock=self._clock, sys_root=_NOWHERE))
        self._hear = hear
        self._devices: dict[int, Device] = {}
        self.readings = Readings(self._clock)

    def run(self, until: float | None = None) -> None:
        """Take every step that was over by then (seconds since the start; None is the end)."""
        for _ in self.moments(until):
            pass

    def moments(self, until: float | None = None) -> Iterator[float]:
        """The same, step by step: yields seconds since the epoch after each reading."""
        with below_pynvml(self._library):
            for mark, over in self._steps():
                if until is not None and over > until:
                    return
                self._clock.reach(mark.seconds)
                if mark.do == "dump":
                    continue
                for message in self._reader.perform(mark.do, mark.position, mark.tiers):
                    self._hear(message)
                    self._file(message)
                if mark.do == "read":
                    yield self._clock.now()

    def page(self, fmt: Format = Format.TEXT) -> bytes:
        """The page as it stands."""
        return page(self.readings.families(), fmt)

    def samples(self) -> list[Sample]:
        """Every sample of the devices and the driver, as it stands."""
        uuids = [standing.device.uuid for standing in self.readings.standings]
        return [sample for uuid in (None, *uuids) for sample in self.readings.samples_of(uuid)]

    def _steps(self) -> Iterator[tuple[Mark, float]]:
        """Marks, each with the time when its step was over; where a recording broke off, the last one is not whole."""
        marks = [entry for entry in self._recording.entries if isinstance(entry, Mark)]
        overs = [mark.seconds for mark in marks[1:]]
        end = self._recording.end
        if end is not None and end.reason in {"done", "failed"}:
            overs.append(end.seconds)
        return zip(marks, overs, strict=False)

    def _file(self, message: Message) -> None:
        readings = self.readings
        match message:
            case Found():
                self._devices[message.position] = message.device
                readings.see(_COLLECTOR, message.device)
            case Read():
                self._file_read(message)
            case Gained() if message.position in self._devices:
                readings.add(_COLLECTOR, self._devices[message.position], message.increments)
            case Event() if message.position in self._devices:
                readings.happened(self._devices[message.position], message.kind, message.number, source=_COLLECTOR)
            case Refused() if message.position in self._devices:
                readings.mark(self._devices[message.position].uuid, _STATES.get(message.reason, DeviceState.LOST))
            case Failed():
                readings.drop(_COLLECTOR)

    def _file_read(self, read: Read) -> None:
        device = self._devices.get(read.position)
        gone = next((error.reason for error in read.errors if error.reason in GONE), None)
        if gone is not None and device is not None:
            self.readings.mark(device.uuid, _STATES[gone])
            return
        samples = [_marked(sample) for sample in read.samples]
        self.readings.update(_COLLECTOR, read.tier, device.uuid if device else None, samples)


def _marked(sample: Sample) -> Sample:
    """What says what a device is says too that it is not one that is there now."""
    if sample.metric is not rows.DEVICE_INFO:
        return sample
    labels = (*sample.labels[:_SIMULATED], "true", *sample.labels[_SIMULATED + 1 :])
    return replace(sample, labels=labels)
