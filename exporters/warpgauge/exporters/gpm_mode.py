"""Whether GPM is read: a setting, and for `auto` a look now and then at who else is on this machine.

GPM and DCGM read the same hardware counters, and two readers can perturb each other
(https://github.com/Syllo/nvtop/pull/483). Whose numbers would then be wrong nobody can tell from the numbers, and DCGM
was there on purpose; its profiling fields say the same as GPM and the analyzer reads dcgm-exporter's page. So `auto`
leaves the counters to DCGM while it runs, and takes them up again when it has gone.
"""

from __future__ import annotations

import asyncio
import logging
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import own
from warpgauge.exporters.hostengine import find_hostengine
from warpgauge.exporters.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Callable

    from warpgauge.exporters.hostengine import Running
    from warpgauge.exporters.tally import Tally

__all__ = ["GpmMode"]

_LOG: Final = logging.getLogger(__name__)
_FIRST_LOOK_SECONDS: Final = 0.5  # that the start of the agent waits for at most


class GpmMode:
    """The mode in force. Used from the event loop only; a thread of its own looks at /proc."""

    def __init__(
        self,
        setting: str,
        proc_root: str,
        tally: Tally,
        *,
        find: Callable[[str], Running | None] = find_hostengine,
    ) -> None:
        """`setting` is on, off or auto; a find that fails to answer leaves `auto` reading."""
        self.mode = "auto_reading" if setting == "auto" else setting
        self._proc_root = proc_root
        self._tally = tally
        self._find = find
        self._is_shown = False
        self._worker = Worker("gpm mode") if setting == "auto" else None

    @property
    def is_on(self) -> bool:
        """Whether GPM may be read now."""
        return self.mode in {"on", "auto_reading"}

    def show(self) -> None:
        """Put the mode on the page; called once there is a device that it is about."""
        self._is_shown = True
        for mode in own.GPM_MODE.states:
            self._tally.put(own.GPM_MODE, mode, value=float(mode == self.mode))

    async def first_look(self) -> None:
        """Decide before anything is read, unless /proc takes too long."""
        with suppress(TimeoutError):
            async with asyncio.timeout(_FIRST_LOOK_SECONDS):
                await self.look()

    async def look(self) -> None:
        """See who is there now; a change is logged and shown."""
        if self._worker is None:
            return
        running = await self._worker.ask(lambda: self._find(self._proc_root))
        mode = "auto_yielding" if running else "auto_reading"
        if mode != self.mode:
            self.mode = mode
            why = f"{running.program} runs (pid {running.pid})" if running else "DCGM runs no more"
            _LOG.warning("gpm mode", extra={"mode": mode, "why": why})
            if self._is_shown:
                self.show()

    async def keep(self, interval_seconds: float, changed: Callable[[], None]) -> None:
        """Look again and again until cancelled; `changed` is told after each look."""
        while True:
            await asyncio.sleep(interval_seconds)
            await self.look()
            changed()
