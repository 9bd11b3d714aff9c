"""The simulated fleet beside the real devices: pages of its own, never on /metrics."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Any, Final

from warpgauge.exporters.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warpgauge.core.clock import Clock
    from warpgauge.core.config import DemoConfig
    from warpgauge.core.exposition import Format
    from warpgauge.exporters.synthetic import SimulatedPages

__all__ = ["Demo"]

_LOG: Final = logging.getLogger(__name__)


class Demo:
    """Whether there is a simulated fleet, and its pages. One thread owns the model, so /metrics never waits for it."""

    def __init__(self, config: DemoConfig, clock: Clock) -> None:
        self._config = config
        self._clock = clock
        self._worker = Worker("simulated fleet")
        self._pages: SimulatedPages | None = None
        self._is_decided = asyncio.Event()

    @property
    def is_on(self) -> bool:
        """Whether the fleet is there and has lived its past."""
        return self._pages is not None

    async def decide(self, *, has_devices: bool) -> None:
        """Start the fleet if the settings ask for it: always, or automatically where no accelerator was found."""
        mode = self._config.mode
        if mode == "always" or (mode == "auto" and not has_devices):
            self._pages = await self._worker.ask(self._start)
            _LOG.info("simulated fleet", extra={"seed": self._config.seed, "faults": ",".join(self._config.faults)})
        self._is_decided.set()

    async def wait(self, seconds: float) -> SimulatedPages | None:
        """The pages, after at most some seconds for the model to live its past; None where there is no fleet."""
        try:
            async with asyncio.timeout(seconds):
                await self._is_decided.wait()
        except TimeoutError:
            return None
        return self._pages

    async def metrics(self, pages: SimulatedPages, node: str, fmt: Format) -> bytes:
        """The page of one simulated node, now."""
        return await self._worker.ask(lambda: pages.metrics(node, fmt))

    async def backfill(self, pages: SimulatedPages, node: str) -> Iterator[bytes]:
        """The node's simulated past, in chunks."""
        return await self._worker.ask(lambda: pages.backfill(node))

    async def truth(self, pages: SimulatedPages) -> dict[str, Any]:
        """What is wrong with the fleet."""
        return await self._worker.ask(pages.truth)

    def _start(self) -> SimulatedPages:
        from warpgauge.exporters.synthetic import Fleet, SimulatedPages  # noqa: PLC0415 - loaded only for the demo

        fleet = Fleet(self._config.seed, self._config.faults, start=self._clock.now())
        pages = SimulatedPages(fleet, self._clock)
        pages.prepare()
        return pages
