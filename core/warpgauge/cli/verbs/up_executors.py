"""Executors beside `warpgauge up`: each a process of its own, started again when it ends, ended with us."""

from __future__ import annotations

import asyncio
import logging
import os
import signal
import subprocess
import sys
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from warpgauge.core.retry import Backoff

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

__all__ = ["Executors", "ended"]

_LOG: Final = logging.getLogger(__name__)
_STOP_SECONDS: Final = 5.0
_WRONG_USE: Final = 2  # its settings: starting it again is of no use
_REST: Final = Backoff(first_seconds=1.0, factor=2.0, max_seconds=60.0)


class Executors:
    """One process for each core that the settings name; `start` once the analyzer listens, `end` at the end."""

    def __init__(
        self, cores: Sequence[str], command: Sequence[str], environment: Mapping[str, str], *, rest: Backoff = _REST
    ) -> None:
        """`command` is our own program with the flags that all verbs have."""
        self._cores = cores
        self._command = command
        self._environment = environment
        self._rest = rest
        self._tasks: list[asyncio.Task[None]] = []

    def start(self, analyzer_url: str) -> None:
        """Start them all, inside the running loop."""
        self._tasks = [asyncio.create_task(self._keep(core, analyzer_url)) for core in self._cores]

    async def end(self) -> None:
        """End them all and wait for that."""
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _keep(self, core: str, analyzer_url: str) -> None:
        """Run one until it cannot be: what it says itself stands in the log before ours."""
        for pause in self._rest.delays():
            code = await self._run([*self._command, "executor", "--core", core, "--analyzer", analyzer_url])
            if code == _WRONG_USE:
                _LOG.error("executor not started", extra={"core": core, "why": "see its own line above"})
                return
            _LOG.warning("executor ended", extra={"core": core, "code": code, "again_in_seconds": round(pause, 1)})
            await asyncio.sleep(pause)

    async def _run(self, command: Sequence[str]) -> int:
        child = await asyncio.create_subprocess_exec(
            *command,
            stdin=subprocess.PIPE,  # its end tells it that we are gone
            stdout=subprocess.DEVNULL,
            env=self._environment,
            start_new_session=sys.platform != "win32",
        )
        try:
            return await child.wait()
        finally:
            await ended(child)


async def ended(child: asyncio.subprocess.Process) -> None:
    """Return once the child has ended: asked to first, made to after five seconds."""
    if child.returncode is not None:
        return
    with suppress(ProcessLookupError):
        os.kill(child.pid, signal.SIGTERM)  # `terminate` takes the exit status from asyncio if it has just ended
    try:
        await asyncio.wait_for(child.wait(), _STOP_SECONDS)
    except TimeoutError:
        child.kill()
        await child.wait()
