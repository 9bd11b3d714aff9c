"""Reads and plans a scheduling core's pool again and again, in a process that may hang, fail or print too much.

The process is `warpgauge plan --document`: what a core that hangs, an answer of 100,000 jobs or a long plan costs is
paid there, never by a tick. At the deadline it is killed with all that it started.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import signal
import subprocess
import sys
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Final

from warpgauge.analyzer.planning.wording import shown

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from warpgauge.core.clock import Clock
    from warpgauge.core.config import PlanningConfig

__all__ = ["Failure", "PoolCommand", "PoolReader", "Reading"]

_LOG: Final = logging.getLogger(__name__)
MOST_BYTES: Final = 8 * 2**20  # of a plan: 4,096 devices with names of 300 letters are half of it
_MOST_COMPLAINT_BYTES: Final = 16 * 2**10
_PIECE_BYTES: Final = 2**16
_SUMMARY: Final = "warpgauge: "  # how the program begins the one line that says why
_FOUND, _FINE = 1, 0
_SIMULATED: Final = "simulated"
_ASK_AGAIN_SECONDS: Final = 2.0
_NICENESS: Final = 10


@dataclass(frozen=True, slots=True, kw_only=True)
class PoolCommand:
    """The program that plans the pool of a core, with its arguments; it prints a plan object."""

    core: str
    words: tuple[str, ...]
    environ: Mapping[str, str] = field(default_factory=dict)  # beside that of this process

    @property
    def is_simulated(self) -> bool:
        """Whether it plans the fleet model, and no core."""
        return self.core == _SIMULATED


@dataclass(frozen=True, slots=True, kw_only=True)
class Reading:
    """A plan as it was printed; `at` is when the reading began, in seconds since the epoch."""

    plan: Mapping[str, Any]
    at: float
    took_seconds: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Failure:
    """Why the newest readings failed: the last one's words, since when, how many in a row."""

    why: str
    since: float
    times: int = 1


class _UnreadableError(Exception):
    """A reading that failed; the message is for people."""


class PoolReader:
    """The newest reading, and the newest failure if the last attempt failed."""

    def __init__(
        self,
        command: PoolCommand,
        settings: PlanningConfig,
        clock: Clock,
        *,
        is_wanted: Callable[[], bool] = lambda: True,
    ) -> None:
        """Nothing is read before `is_wanted`."""
        self.command = command
        self.settings = settings
        self.reading: Reading | None = None
        self.failure: Failure | None = None
        self.began: float | None = None  # when the first attempt began, in seconds since the epoch
        self._clock = clock
        self._is_wanted = is_wanted

    async def run(self, changed: Callable[[], None]) -> None:
        """Read, tell, rest, for ever."""
        while not self._is_wanted():  # noqa: ASYNC110 - what it waits for is no event
            await asyncio.sleep(_ASK_AGAIN_SECONDS)
        while True:
            await self.read()
            changed()
            await asyncio.sleep(self.settings.interval_seconds)

    async def read(self) -> None:
        """One attempt; a fault of whatever kind becomes the failure, and the last good reading stays."""
        at, began = self._clock.now(), self._clock.monotonic()
        self.began = self.began or at
        try:
            plan = _plan_of(await self._printed())
        except _UnreadableError as error:
            before = self.failure
            if before is None:
                _LOG.warning("pool not read", extra={"core": self.command.core, "why": str(error)})
            self.failure = Failure(
                why=str(error), since=before.since if before else at, times=before.times + 1 if before else 1
            )
            return
        if self.failure is not None:
            _LOG.info("pool read again", extra={"core": self.command.core})
        self.failure = None
        self.reading = Reading(plan=plan, at=at, took_seconds=self._clock.monotonic() - began)

    async def _printed(self) -> bytes:
        """What the program printed, if it ended well and in time."""
        try:
            child = await asyncio.create_subprocess_exec(
                *self.command.words,
                stdin=subprocess.DEVNULL,
                stdout=subprocess.PIPE,
                stderr=subprocess.PIPE,
                env={**os.environ, **self.command.environ},
                start_new_session=sys.platform != "win32",  # a group of its own, to be killed with what it started
            )
        except OSError as error:
            msg = f"{self.command.words[0]} could not be started: {error.strerror or error}"
            raise _UnreadableError(msg) from error
        _make_less_urgent(child.pid)
        has_ended = False
        try:
            async with asyncio.timeout(self.settings.timeout_seconds):
                printed, complaint = await asyncio.gather(_bounded(child.stdout), _last_of(child.stderr))
                code = await child.wait()
            has_ended = True
        except TimeoutError as error:
            msg = f"no plan within {self.settings.timeout_seconds:g} s: the core did not answer, or its pool is large"
            raise _UnreadableError(msg) from error
        finally:
            if not has_ended:
                await _kill(child)
        if code not in {_FINE, _FOUND}:
            raise _UnreadableError(_why(complaint, code))
        return printed


def _make_less_urgent(pid: int) -> None:
    """What watches the machines goes first."""
    if sys.platform != "win32":
        with suppress(OSError):  # it has ended, or we are less urgent ourselves
            os.setpriority(os.PRIO_PROCESS, pid, _NICENESS)


async def _bounded(stream: asyncio.StreamReader | None) -> bytes:
    pieces, size = [], 0
    while stream is not None and (piece := await stream.read(_PIECE_BYTES)):
        size += len(piece)
        if size > MOST_BYTES:
            msg = f"the plan is longer than {MOST_BYTES} bytes"
            raise _UnreadableError(msg)
        pieces.append(piece)
    return b"".join(pieces)


async def _last_of(stream: asyncio.StreamReader | None) -> bytes:
    """The end of a stream: a program may complain for longer than anybody reads."""
    last = b""
    while stream is not None and (piece := await stream.read(_PIECE_BYTES)):
        last = (last + piece)[-_MOST_COMPLAINT_BYTES:]
    return last


async def _kill(child: asyncio.subprocess.Process) -> None:
    """End the program with what it started, such as a squeue that hangs and may have outlived it."""
    with suppress(ProcessLookupError):
        if sys.platform == "win32":
            child.kill()
        else:
            os.killpg(child.pid, signal.SIGKILL)
    # There is no public way to let go of pipes that nobody reads any more, and `wait` returns only at their end.
    child._transport.close()  # type: ignore[attr-defined]  # noqa: SLF001 - as the line above says
    await child.wait()


def _why(complaint: bytes, code: int) -> str:
    """The program's own last line, which names the mend."""
    lines = complaint.decode(errors="replace").strip().splitlines()
    said = [line for line in lines if line.startswith(_SUMMARY)] or lines
    return shown(said[-1].removeprefix(_SUMMARY)) if said else f"it ended with status {code} and said nothing"


def _plan_of(printed: bytes) -> dict[str, Any]:
    try:
        plan = json.loads(printed)
    except (ValueError, RecursionError) as error:
        msg = "what was printed is no plan"
        raise _UnreadableError(msg) from error
    if not isinstance(plan, dict) or not isinstance(plan.get("goals"), list):
        msg = "what was printed is no plan"
        raise _UnreadableError(msg)
    return plan
