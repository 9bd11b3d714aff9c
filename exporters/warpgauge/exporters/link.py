"""One child process seen from outside: its pipe, its deadline and its end."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
from collections import deque
from contextlib import suppress
from dataclasses import dataclass, field
from typing import IO, TYPE_CHECKING, Any, Final, cast

from warpgauge.core.retry import Backoff
from warpgauge.exporters.dictation import Listener
from warpgauge.exporters.messages import (
    COMMON,
    LINE_LIMIT,
    At,
    BadMessageError,
    Done,
    Event,
    Message,
    Refused,
)

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from warpgauge.core.clock import Clock

__all__ = ["FAREWELL_SECONDS", "GATHER_SECONDS", "End", "Link", "Program", "is_leaving", "undead"]

GRACE_SECONDS: Final = 0.05  # to read what already waits in the pipe before anyone is blamed
FAREWELL_SECONDS: Final = 0.5  # for a child that was asked to end
GATHER_SECONDS: Final = 0.05  # the readings of one tick come within this, and are taken from the pipe together
AT_A_STRETCH_SECONDS: Final = 0.0005  # the longest that taking them in may keep a scrape waiting, but for one message
_CHUNK_BYTES: Final = 1 << 16  # as much as a pipe holds
_ENDS: Final = (Done, Refused)  # of what an `At` began; as a union it would be made anew for each message

_UNDEAD: Final[list[subprocess.Popen[bytes]]] = []
"""Killed, but still inside a driver call in the kernel; kept so that they are reaped when they come out of it."""


@dataclass(frozen=True, slots=True)
class End:
    """Why a child is no more: hung, crashed, or the reason it was asked to end for; and whom it was busy with.

    One that hung and had not said a word yet was busy with nobody: it names whatever it touches before it does.
    """

    reason: str
    blamed: frozenset[int] = frozenset()
    detail: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Program:
    """How to start a child, and how long it may take for what."""

    command: Sequence[str]
    environment: Mapping[str, str] | None = None
    deadline_seconds: float = 2.0  # for one reading of one device
    start_seconds: float = 10.0  # to open a driver or device: without persistence mode a GPU takes seconds
    retries: Backoff = field(default_factory=lambda: Backoff(first_seconds=1.0, max_seconds=30.0))  # of a device


class Link:
    """A running child. Every wait in here has an end, whatever the child does."""

    def __init__(self, process: subprocess.Popen[bytes], program: Program, clock: Clock) -> None:
        self.process = process
        self._program = program
        self._clock = clock
        self._listener = Listener()
        self._reader = asyncio.StreamReader(limit=LINE_LIMIT)
        self._lines: deque[bytes] = deque()  # complete ones that were read and not yet passed on
        self._rest = b""  # the beginning of the next one
        self._busy: dict[int, tuple[str, float]] = {}  # position -> what it is doing, since when
        self._asked: tuple[str, float] | None = None  # what a command that nothing has answered yet asked for, and when
        self._suspicion: float | None = None  # since when somebody is overdue while others talk
        self._ending: str | None = None
        self._pipe: asyncio.ReadTransport | None = None
        self._is_gathering = False
        self._has_spoken = False

    @classmethod
    async def start(cls, program: Program, clock: Clock) -> Link:
        """Start a child; nothing is asked of it yet."""
        process = subprocess.Popen(  # noqa: S603, ASYNC220 - our own program; asyncio's would wait for it in a thread
            program.command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            env=program.environment,
            bufsize=0,
            process_group=0,  # Ctrl-C is for the supervisor; a child that still imports would print a traceback
        )
        link = cls(process, program, clock)
        os.set_blocking(cast("IO[bytes]", process.stdin).fileno(), False)
        loop = asyncio.get_running_loop()
        try:
            link._pipe, _ = await loop.connect_read_pipe(
                lambda: asyncio.StreamReaderProtocol(link._reader), cast("IO[bytes]", process.stdout)
            )
        except BaseException:  # told to end: nobody will have the link, so nobody else can end the child
            process.kill()
            for pipe in (process.stdin, process.stdout):
                cast("IO[bytes]", pipe).close()
            _UNDEAD.append(process)
            raise
        return link

    @property
    def is_busy(self) -> bool:
        """Whether the driver is being asked something."""
        return bool(self._busy)

    def send(self, command: Mapping[str, Any]) -> None:
        """Give a command; one that the child no longer reads is noticed as a missing answer."""
        self._asked = self._asked or (command["do"], self._clock.monotonic())
        with suppress(OSError, ValueError):  # full or closed: the child is stuck or gone, and `follow` tells which
            cast("IO[bytes]", self.process.stdin).write(json.dumps(command).encode() + b"\n")
        if command["do"] == "read":
            self._gather()

    def _gather(self) -> None:
        """Leave what is said in the pipe for a while: to be woken up for each line costs more than the line."""
        # Some Pythons (3.11.2) cannot say whether a pipe is being read, and would read a closed one again.
        if self._pipe is not None and not self._is_gathering and not self._pipe.is_closing():
            self._is_gathering = True
            self._pipe.pause_reading()
            asyncio.get_running_loop().call_later(GATHER_SECONDS, self._take_in)

    def _take_in(self) -> None:
        self._is_gathering = False
        if self._pipe is not None and not self._pipe.is_closing():
            self._pipe.resume_reading()

    def end(self, reason: str) -> None:
        """Ask the child to end; `follow` then returns with this reason."""
        if self._ending is None:
            self._ending = reason
            cast("IO[bytes]", self.process.stdin).close()

    async def follow(self, heard: Callable[[Message], None]) -> End:
        """Pass on what the child says until it ends, hangs or speaks nonsense."""
        rested = self._clock.monotonic()
        while True:
            line = self._lines.popleft() if self._lines else await self._line()
            if line is None:
                blamed = self._overdue()
                if self._ending or blamed:
                    return End(self._ending or "hung", blamed if self._has_spoken else frozenset())
                continue
            if not line:
                return self._ended()
            try:
                message = self._listener.decode(line)
            except BadMessageError as error:
                if self._ending:  # it left in the middle of a word, as it was told to
                    return End(self._ending)
                return End("crashed", frozenset(self._busy), str(error))
            self._note(message)
            heard(message)
            if self._clock.monotonic() - rested > AT_A_STRETCH_SECONDS:
                await asyncio.sleep(0)  # whoever scrapes meanwhile goes first
                if self._is_suspicion_ripe():  # the others talk on and on, so that there never is a pause to look
                    return End("hung", self._overdue())
                rested = self._clock.monotonic()

    async def close(self, *, farewell_seconds: float = 0.0) -> None:
        """See the child off, with some time to end by itself or without. One stuck in the kernel is left behind."""
        if farewell_seconds and self._ending is None:
            self.send({"do": "leave", "seconds": farewell_seconds})
        self.end("stopped")
        try:
            await self._is_dead(farewell_seconds)
        finally:  # also if we are told to end once more meanwhile
            with suppress(OSError):
                self.process.kill()  # does nothing to one that has ended
            if self._pipe is not None:
                self._pipe.close()
            _UNDEAD.append(self.process)
        await self._is_dead(FAREWELL_SECONDS)
        undead()

    async def _is_dead(self, seconds: float) -> bool:
        until = self._clock.monotonic() + seconds
        while self.process.poll() is None and self._clock.monotonic() < until:  # noqa: ASYNC110 - no event tells of it
            await asyncio.sleep(0.005)
        return self.process.poll() is not None

    async def _line(self) -> bytes | None:
        """The next line, empty at the end of the pipe, None if none came in time."""
        while not self._lines:
            chunk = await self._chunk()
            if chunk is None:
                return None
            if not chunk:
                last, self._rest = self._rest, b""
                return last
            *lines, self._rest = (self._rest + chunk).split(b"\n")
            self._lines.extend(line + b"\n" for line in lines)
            if len(self._rest) > LINE_LIMIT:
                return b"\n"
        return self._lines.popleft()

    async def _chunk(self) -> bytes | None:
        """What the child said since, many lines at a time; empty at the end of the pipe, None if nothing in time."""
        for seconds in (self._patience(), GRACE_SECONDS):
            try:  # not wait_for: before Python 3.12 it swallows a cancellation that meets a finished read
                async with asyncio.timeout(seconds):
                    return await self._reader.read(_CHUNK_BYTES)
            except TimeoutError:
                continue
        return None

    def _patience(self) -> float:
        if self._ending:
            return FAREWELL_SECONDS
        now = self._clock.monotonic()
        ends = [since + self._allowed(doing) for doing, since in self._busy.values()]
        if self._asked is not None:
            asked_for, since = self._asked
            ends.append(since + self._allowed(asked_for))
        return max(0.0, min(ends) - now) if ends else self._program.deadline_seconds

    def _allowed(self, doing: str) -> float:
        """Seconds for one thing; readings get longer while a device is being opened, which can hold them up.

        Opening includes the start of Python, which on a machine out of CPU takes longer than a reading ever may.
        """
        is_starting = doing != "read" or any(other != "read" for other, _ in self._busy.values())
        program = self._program
        return max(program.start_seconds, program.deadline_seconds) if is_starting else program.deadline_seconds

    def _overdue(self) -> frozenset[int]:
        """Whom to blame: once one is late, everything that is half as late too, so that several cost one deadline."""
        now = self._clock.monotonic()
        lateness = {position: (now - since) / self._allowed(doing) for position, (doing, since) in self._busy.items()}
        if not any(late >= 1.0 for late in lateness.values()):
            is_mute = self._asked is not None and now - self._asked[1] >= self._allowed(self._asked[0])
            return frozenset(lateness or {COMMON}) if is_mute else frozenset()
        return frozenset(position for position, late in lateness.items() if late >= 0.5)  # noqa: PLR2004 - half

    def _is_suspicion_ripe(self) -> bool:
        """Whether somebody has been overdue for all the time that it takes to read what waited in the pipe."""
        if self._ending or not self._overdue():
            self._suspicion = None
            return False
        now = self._clock.monotonic()
        self._suspicion = self._suspicion or now
        return now - self._suspicion >= 2 * GRACE_SECONDS

    def _note(self, message: Message) -> None:
        if isinstance(message, Event):  # comes of itself and answers nothing
            return
        self._asked = None
        self._has_spoken = True
        if isinstance(message, At):
            self._busy[message.position] = (message.doing, self._clock.monotonic())
        elif isinstance(message, _ENDS):
            self._busy.pop(message.position, None)

    def _ended(self) -> End:
        """The pipe is closed: after a request to end that is well, else the child crashed."""
        if self._ending:
            return End(self._ending)
        return End("crashed", frozenset(self._busy), f"exit status {self.process.poll()}")


def undead() -> list[int]:
    """Process ids of children that were killed and do not die: the driver still holds them, and they hold it."""
    _UNDEAD[:] = [process for process in _UNDEAD if process.poll() is None]
    return [process.pid for process in _UNDEAD]


def is_leaving() -> bool:
    """Whether the running task was told to end, which is the only time there is a moment for a farewell."""
    task = asyncio.current_task()
    return task is not None and task.cancelling() > 0
