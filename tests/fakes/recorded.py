"""Records a session on a fake library in this process, on a clock of its own; nothing waits."""

from __future__ import annotations

import random
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from tests.fakes.nvml_abi import FakeNvml
from warpgauge.core.clock import ManualClock
from warpgauge.exporters.collectors.nvml import NvmlCollector
from warpgauge.exporters.recording.boundary import below_pynvml
from warpgauge.exporters.recording.clock import RecordedClock
from warpgauge.exporters.recording.every_id import ask_every_id
from warpgauge.exporters.recording.lines import End, Entry, Header, decode, encode
from warpgauge.exporters.recording.plan import Plan
from warpgauge.exporters.recording.reading import Reader, Session
from warpgauge.exporters.recording.recorder import RecordingLibrary
from warpgauge.exporters.recording.storage import Recording

if TYPE_CHECKING:
    from collections.abc import Callable

    from warpgauge.exporters.messages import Message
    from warpgauge.exporters.recording.masking import Masking

INTERVALS = Plan(seconds=1).intervals


class _Quiet:
    """The events of a fake without waiting for any: the time goes on instead."""

    def __init__(self, events: Any, wait: Callable[[float], None]) -> None:
        self._events, self._wait = events, wait

    def get(self, timeout: float) -> Any:
        self._wait(timeout)
        return self._events.get_nowait()

    def put(self, event: Any) -> None:
        self._events.put(event)


@dataclass
class Recorded:
    """What a live run said, and the recording of it as it stands in a file."""

    live: list[Message] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    start: float = 0.0

    @property
    def recording(self) -> Recording:
        """After a way through the lines of a file."""
        entries = [decode(encode(entry)) for entry in self.entries]
        return Recording(Header(start=self.start), (*entries, End(entries[-1].seconds + 1, "done")))


def record_on(
    library: Any,
    *,
    seconds: float = 12.0,
    masking: Masking | None = None,
    all_ids: bool = False,
    pass_time: Callable[[float], None] = lambda _seconds: None,
) -> Recorded:
    """A session of so many seconds; `pass_time` is told how far the time went. Calls take a moment, each another."""
    recorded, source, noise = Recorded(), ManualClock(), random.Random(1)
    recorded.start = source.now()
    clock = RecordedClock(source.now())

    def pause(span: float) -> None:
        source.advance(span)
        pass_time(span)

    def about_to(_function: str, _device: int | None) -> None:
        pause(noise.uniform(0, 1e-3))

    if isinstance(library, FakeNvml):
        library.events = _Quiet(library.events, pause)
    recorder = RecordingLibrary(
        library, recorded.entries.append, source=source, clock=clock, masking=masking, about_to=about_to
    )
    with below_pynvml(recorder):
        reader = Reader(NvmlCollector(clock=clock, sys_root="/nonexistent"))
        session = Session(reader, recorder.mark, clock=source, pause=pause, hear=recorded.live.append)
        for position in session.open():
            if all_ids:
                recorder.mark("dump", position)
                ask_every_id(position, pause)
        session.run(INTERVALS, seconds)
        session.close()
    return recorded
