"""Giving the devices away for driver work, and taking them back: on order, or when the time of the order is up.

A release has an end of its own, so that a forgotten one does not blind a fleet. It lives in this process only: an agent
that starts has its devices.
"""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from warpgauge.core.catalog import own
from warpgauge.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.core.clock import Clock
    from warpgauge.exporters.supervisor import Supervisor
    from warpgauge.exporters.tally import Tally

__all__ = ["DEFAULT_SECONDS", "Release", "parse_seconds"]

_LOG: Final = logging.getLogger(__name__)
DEFAULT_SECONDS: Final = 900
MOST_SECONDS: Final = 86_400


def parse_seconds(text: str | None) -> int:
    """How long a release is to last, from the query.

    Raises:
        InputError: it is no whole number of seconds from 1 to 86400.

    """
    if text is None:
        return DEFAULT_SECONDS
    is_number = text.isascii() and text.isdecimal() and len(text) <= len(str(MOST_SECONDS))
    if not is_number or not 1 <= int(text) <= MOST_SECONDS:
        msg = f"seconds must be a whole number from 1 to {MOST_SECONDS}, got {text[:40]!r}"
        raise InputError(msg)
    return int(text)


class Release:
    """Whether this agent holds its devices; one order at a time is carried out, to its end even if nobody waits."""

    def __init__(self, supervisors: Sequence[Supervisor], tally: Tally, clock: Clock) -> None:
        self._supervisors = supervisors
        self._tally = tally
        self._clock = clock
        self._until: float | None = None  # monotonic seconds; None: the devices are ours
        self._turn = asyncio.Lock()
        self._timer: asyncio.Task[None] | None = None
        self._orders: set[asyncio.Task[dict[str, Any]]] = set()

    @property
    def seconds_left(self) -> float | None:
        """Until the devices are taken back; None while they are ours."""
        return None if self._until is None else max(0.0, self._until - self._clock.monotonic())

    def document(self) -> dict[str, Any]:
        """How it stands, for the API."""
        left = self.seconds_left
        about: dict[str, Any] = {"state": "held" if left is None else "released", "collectors": self._names()}
        return about if left is None else {**about, "seconds_left": round(left, 1)}

    async def release(self, seconds: float, *, by: str) -> dict[str, Any]:
        """Give the devices away for some seconds from now; what happened, and who still holds the driver."""
        return await self._carry_out(self._release(seconds, by))

    async def acquire(self, *, by: str) -> dict[str, Any]:
        """Take the devices back; what happened, and which released devices did not answer."""
        return await self._carry_out(self._acquire(by))

    def close(self) -> None:
        """Forget the end of a release: the agent itself ends."""
        for task in (self._timer, *self._orders):
            if task is not None:
                task.cancel()

    async def _carry_out(self, order: Any) -> dict[str, Any]:  # noqa: ANN401 - a coroutine of ours
        task: asyncio.Task[dict[str, Any]] = asyncio.create_task(order)
        self._orders.add(task)
        task.add_done_callback(self._orders.discard)
        return await asyncio.shield(task)

    async def _release(self, seconds: float, by: str) -> dict[str, Any]:
        async with self._turn:
            was_released = self._until is not None
            if not self._supervisors:
                return {**self.document(), "changed": False, "message": "no collector here holds a driver"}
            self._set_end(seconds)
            answers = await asyncio.gather(*[one.release() for one in self._supervisors])
            held = sorted({pid for pids in answers for pid in pids})
            words = "already released, the end was moved" if was_released else "released"
            _LOG.warning("devices released", extra={"by": by, "seconds": seconds, "still_held_by": held, "what": words})
            message = f"{words}: taken back in {seconds:g} s, or with POST /-/acquire"
            if held:
                pids = ", ".join(map(str, held))
                message = f"{words}, but process {pids} still holds the driver: it was killed and hangs in the kernel"
            return {**self.document(), "changed": not was_released, "message": message, "still_held_by": held}

    async def _acquire(self, by: str, *, is_due_only: bool = False) -> dict[str, Any]:
        async with self._turn:
            if is_due_only and self.seconds_left:
                return self.document()  # its end was moved while we waited for our turn
            if self._until is None:
                return {**self.document(), "changed": False, "message": "already held: nothing was released"}
            self._until = None
            self._stop_timer()
            self._tally.remove(own.RELEASED_UNTIL)
            answers = await asyncio.gather(*[one.acquire() for one in self._supervisors])
            missing = sorted(uuid for uuids in answers for uuid in uuids)
            _LOG.warning("devices acquired", extra={"by": by, "missing": missing})
            message = "taken back"
            if missing:
                message = f"taken back, except {len(missing)} that the driver did not list or open in time"
            return {**self.document(), "changed": True, "message": message, "missing": missing}

    def _set_end(self, seconds: float) -> None:
        self._until = self._clock.monotonic() + seconds
        self._tally.put(own.RELEASED_UNTIL, value=self._clock.now() + seconds)
        self._stop_timer()
        self._timer = asyncio.create_task(self._take_back_later(seconds))

    def _stop_timer(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
        self._timer = None

    async def _take_back_later(self, seconds: float) -> None:
        await asyncio.sleep(seconds)
        await self._carry_out(self._acquire("end of its time", is_due_only=True))

    def _names(self) -> list[str]:
        return [one.name for one in self._supervisors]
