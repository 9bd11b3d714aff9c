"""The process that writes a recording. It never touches the driver, so nothing that hangs or crashes can end the file.

The child names each call before it makes it. One that does not come back in time ends the recording, and the last line
says which it was; so does a crash inside the driver.
"""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
from contextlib import suppress
from dataclasses import dataclass
from typing import IO, TYPE_CHECKING, Any, Final, cast

from warpgauge.core.clock import SystemClock
from warpgauge.core.errors import SourceError
from warpgauge.exporters.recording.lines import (
    LINE_LIMIT,
    BadLineError,
    End,
    Header,
    Mark,
    decode,
    decode_header,
    encode,
    encode_header,
)
from warpgauge.exporters.recording.plan import ABSENT, FAILED, Plan
from warpgauge.exporters.recording.storage import FLUSH_SECONDS, Writer

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from warpgauge.core.clock import Clock

__all__ = ["Capture", "capture"]

_LOOK_SECONDS: Final = 0.1
_CHUNK_BYTES: Final = 1 << 16
_FAREWELL_SECONDS: Final = 5.0  # a child that finished its last step gives the driver back and ends


@dataclass(frozen=True, slots=True)
class Capture:
    """How a recording went."""

    end: End
    lines: int


def capture(
    out: Path, plan: Plan, *, clock: Clock | None = None, is_over: Callable[[], bool] = lambda: False
) -> Capture:
    """Record into a new file until the plan is done, `is_over` says so, or the driver hangs or crashes.

    Raises:
        StorageError: the file exists, or cannot be written.
        SourceError: there is no library of the driver on this machine.

    """
    clock = clock or SystemClock()
    writer = Writer(out, clock)
    try:
        done = _Recording(writer, plan, clock).run(is_over)
    except BaseException:
        with suppress(OSError):
            writer.close()
        raise
    if done is None:
        writer.discard()
        msg = "no libnvidia-ml.so.1 on this machine: there is no NVIDIA driver to record"
        raise SourceError(msg)
    writer.close()
    return done


class _Recording:
    """One run of the child."""

    def __init__(self, writer: Writer, plan: Plan, clock: Clock) -> None:
        self._writer = writer
        self._plan = plan
        self._clock = clock
        self._begun = clock.monotonic()
        self._rest = b""
        self._lines = 0
        self._has_header = False
        self._has_read = False
        self._about: tuple[str, int | None, float] | None = None  # the call that is not back: function, GPU, since when
        self._last_heard = self._begun
        self._seconds = 0.0  # of the last entry

    def run(self, is_over: Callable[[], bool]) -> Capture | None:
        """Follow the child to its end; None where there is no library."""
        process = subprocess.Popen(  # noqa: S603 - our own program
            [*self._plan.command, self._plan.document()],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=self._plan.environment,
            bufsize=0,
            process_group=0,  # Ctrl-C is for us; the child is asked to end
        )
        try:
            end = self._follow(process, is_over)
        finally:
            with suppress(OSError):
                process.kill()
            _close(process)
        if end is None:
            return None
        self._put_header()
        self._write(encode(end))
        return Capture(end, self._lines)

    def _follow(self, process: subprocess.Popen[bytes], is_over: Callable[[], bool]) -> End | None:
        asked_at: float | None = None
        out = cast("IO[bytes]", process.stdout).fileno()
        with selectors.DefaultSelector() as waiting:
            waiting.register(out, selectors.EVENT_READ)
            while True:
                if waiting.select(min(_LOOK_SECONDS, FLUSH_SECONDS)):
                    chunk = os.read(out, _CHUNK_BYTES)
                    if not chunk:
                        return self._ended(process)
                    try:
                        self._hear(chunk)
                    except BadLineError as error:
                        return self._end("crashed", f"the recording process wrote nonsense: {error}")
                self._writer.flush_if_due()
                late = self._lateness()
                if late is not None:
                    return self._end("hung", f"no answer within {late:g} s")
                if asked_at is None and is_over():
                    asked_at = self._clock.monotonic()
                    cast("IO[bytes]", process.stdin).close()

    def _hear(self, chunk: bytes) -> None:
        self._last_heard = self._clock.monotonic()
        *whole, self._rest = (self._rest + chunk).split(b"\n")
        if len(self._rest) > LINE_LIMIT:
            msg = f"a line of more than {LINE_LIMIT} bytes"
            raise BadLineError(msg)
        for line in whole:
            self._take(line)

    def _take(self, line: bytes) -> None:
        if line.startswith(b'{"about"'):
            about: dict[str, Any] = json.loads(line)
            self._about = (str(about["about"]), about["d"], self._clock.monotonic())
            return
        self._about = None
        if not self._has_header:
            decode_header(line)
            self._has_header = True
        else:
            entry = decode(line)
            self._seconds = entry.seconds
            self._has_read = self._has_read or (isinstance(entry, Mark) and entry.do == "events")
        self._write(line + b"\n")

    def _write(self, line: bytes) -> None:
        self._lines += 1
        self._writer.write(line)

    def _put_header(self) -> None:
        """A driver that hangs at once tells no version; the file still says what it is."""
        if not self._has_header:
            start = self._clock.now() - (self._clock.monotonic() - self._begun)
            self._write(encode_header(Header(start=round(start, 3), is_masked=self._plan.is_masked)))

    def _lateness(self) -> float | None:
        """The time that a call was given, once it is over."""
        plan = self._plan
        allowed = plan.deadline_seconds if self._has_read else max(plan.start_seconds, plan.deadline_seconds)
        since = self._last_heard if self._about is None else self._about[2]
        if self._about is None:  # between two calls it pauses for less than the shortest interval
            allowed += max(plan.start_seconds, *plan.intervals.values())
        return allowed if self._clock.monotonic() - since > allowed else None

    def _ended(self, process: subprocess.Popen[bytes]) -> End | None:
        try:
            status = process.wait(_FAREWELL_SECONDS)
        except subprocess.TimeoutExpired:
            return self._end("hung", "the recording process does not end")
        if status == ABSENT:
            return None
        if status in {0, FAILED}:
            return End(self._seconds, "done" if status == 0 else "failed")
        cause = signal.Signals(-status).name if status < 0 else f"exit status {status}"
        return self._end("crashed", cause)

    def _end(self, reason: str, detail: str) -> End:
        function, device, _ = self._about or ("", None, 0.0)
        seconds = max(self._seconds, round(self._clock.monotonic() - self._begun, 6))
        return End(seconds, reason, function, device, detail)


def _close(process: subprocess.Popen[bytes]) -> None:
    """Reap the child; one that is stuck in the kernel is left to it."""
    for pipe in (process.stdin, process.stdout):
        if pipe is not None:
            pipe.close()
    with suppress(subprocess.TimeoutExpired):
        process.wait(1.0)
