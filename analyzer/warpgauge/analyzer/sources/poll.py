"""A Prometheus read again and again: first the whole window, then what came since."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.sources.batch import Ranges, SourceStatus
from warpgauge.analyzer.sources.prometheus import Prometheus, Span
from warpgauge.analyzer.sources.replicas import REPLICA_LABELS
from warpgauge.core.errors import ConfigError, SourceError

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    import aiohttp

    from warpgauge.analyzer.sources.access import Access
    from warpgauge.core.clock import Clock

__all__ = ["PrometheusPoll"]

_LOG: Final = logging.getLogger(__name__)
_OVERLAP_SECONDS: Final = 60.0  # a sample is stored some time after the moment that it carries


class PrometheusPoll:
    """Polls until cancelled and hands what it reads to `deliver`; the frame drops what it has already."""

    def __init__(  # noqa: PLR0913 - what it needs from outside
        self,
        session: aiohttp.ClientSession,
        deliver: Callable[[Ranges], Awaitable[None]],
        *,
        access: Access,
        interval_seconds: float,
        window_seconds: float,
        clock: Clock,
        match: str | None = None,
        replica_labels: tuple[str, ...] = REPLICA_LABELS,
    ) -> None:
        self._server = Prometheus(session, access)
        self._what = Span(start=0.0, end=0.0, match=match, replica_labels=replica_labels)
        self._deliver = deliver
        self._interval_seconds = interval_seconds
        self._window_seconds = window_seconds
        self._clock = clock
        self._read_to: float | None = None
        self._status = SourceStatus(name="prometheus", target=access.url, up=False)

    @property
    def is_settled(self) -> bool:
        """Whether the first reading succeeded or failed."""
        return self._status.up or self._status.error is not None

    def statuses(self) -> list[SourceStatus]:
        """How the server does."""
        return [self._status]

    async def run(self) -> None:
        """Poll until cancelled."""
        while True:
            try:
                await self._poll()
            except (SourceError, ConfigError) as error:  # ConfigError: a file of secrets is gone
                if self._status.up or self._status.error is None:
                    _LOG.warning("source failed", extra={"target": self._status.target, "error": str(error)})
                self._status = replace(self._status, up=False, error=str(error))
            else:
                self._status = replace(self._status, up=True, last_success=self._clock.now(), error=None)
            await asyncio.sleep(self._interval_seconds)

    async def _poll(self) -> None:
        end = self._clock.now()
        oldest = end - self._window_seconds
        start = oldest if self._read_to is None else max(oldest, self._read_to - _OVERLAP_SECONDS)
        span = replace(self._what, start=start, end=end)
        async for ranges in self._server.read(span, await self._server.budget(span)):
            await self._deliver(ranges)
        self._read_to = end
