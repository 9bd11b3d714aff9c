"""Questions from the event loop to a thread: the loop never waits, the thread is never joined."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, TypeVar

from warpgauge.exporters.lane import Lane

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Worker", "ask"]

_T = TypeVar("_T")


async def ask(lane: Lane, work: Callable[[], _T]) -> _T:
    """Have a free lane do something and wait for the result; its exception is raised here.

    Raises:
        RuntimeError: the lane is busy.

    """
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[_T] = loop.create_future()
    results: list[_T] = []
    errors: list[Exception] = []

    def job() -> None:
        try:
            results.append(work())
        except Exception as error:  # noqa: BLE001 - carried to whoever asked, and raised there
            errors.append(error)

    def settle() -> None:
        if answer.done():  # whoever asked has gone
            return
        if errors:
            answer.set_exception(errors[0])
        else:
            answer.set_result(results[0])

    def tell() -> None:
        if not loop.is_closed():
            loop.call_soon_threadsafe(settle)

    if not lane.start(job, tell):
        msg = "the lane is busy"
        raise RuntimeError(msg)
    return await answer


class Worker:
    """A thread that answers one question after the other; who stops waiting disturbs nobody."""

    def __init__(self, name: str) -> None:
        self._lane = Lane(name)
        self._turn = asyncio.Lock()

    async def ask(self, work: Callable[[], _T]) -> _T:
        """Result of `work` in the thread; its exception is raised here."""
        return await asyncio.shield(asyncio.create_task(self._in_turn(work)))

    async def _in_turn(self, work: Callable[[], _T]) -> _T:
        async with self._turn:
            return await ask(self._lane, work)
