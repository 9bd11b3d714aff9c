"""One thread that does one thing at a time and is never waited for: a driver call may never return.

Python's thread pools join their threads at exit, which a hung driver turns into a process that cannot end.
"""

from __future__ import annotations

from queue import SimpleQueue
from threading import Lock, Thread
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["Lane"]


class Lane:
    """A daemon thread with at most one job, begun and waited for by one other thread.

    `_busy` guards nothing but is held while a job is under way: a plain lock is the cheapest thing to wait for.
    """

    def __init__(self, name: str) -> None:
        self._jobs: SimpleQueue[tuple[Callable[[], None], Callable[[], None]]] = SimpleQueue()
        self._busy = Lock()
        Thread(target=self._work, name=name, daemon=True).start()

    @property
    def is_idle(self) -> bool:
        """Whether the last job has ended."""
        return not self._busy.locked()

    def start(self, job: Callable[[], None], then: Callable[[], None] = lambda: None) -> bool:
        """Begin a job; False, and nothing begun, while the last one still runs. Jobs must not raise.

        `then` is called in the lane's thread once the next job can begin.
        """
        if not self._busy.acquire(blocking=False):
            return False
        self._jobs.put((job, then))
        return True

    def wait(self, seconds: float) -> bool:
        """Whether the job ended within some seconds."""
        if not self._busy.acquire(timeout=max(0.0, seconds)):
            return False
        self._busy.release()
        return True

    def _work(self) -> None:
        while True:
            job, then = self._jobs.get()
            job()
            self._busy.release()
            then()
