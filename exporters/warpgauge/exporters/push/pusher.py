"""The agent's push: at an interval everything on the page goes to each sink's queue, and what became of it is told."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING

from warpgauge.core.errors import ConfigError
from warpgauge.exporters.push.queues import QueueTeller, delivery_of, queue_folder
from warpgauge.exporters.push.reading import Reading

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.core.clock import Clock
    from warpgauge.core.config import Config
    from warpgauge.exporters.push.sink import Sink
    from warpgauge.exporters.push.worker import Delivery
    from warpgauge.exporters.readings import Readings

__all__ = ["Pusher", "metric_sinks"]


def metric_sinks(config: Config, environ: Mapping[str, str]) -> list[Sink[Reading]]:
    """Every configured sink for metrics.

    Raises:
        ConfigError: a setting is unfit, or the libraries of the extra are missing.

    """
    sinks: list[Sink[Reading]] = []
    try:
        if config.remote_write.url:
            from warpgauge.exporters.push.remote_write import RemoteWrite  # noqa: PLC0415 - needs an extra

            sinks.append(RemoteWrite(config, environ))
        if config.otlp.url:
            from warpgauge.exporters.push.otlp import Otlp  # noqa: PLC0415 - needs an extra

            sinks.append(Otlp(config, environ))
    except ModuleNotFoundError as error:
        raise ConfigError(str(error)) from error
    return sinks


class Pusher:
    """Feeds the sinks; does nothing where none is configured."""

    def __init__(self, config: Config, readings: Readings, clock: Clock, environ: Mapping[str, str]) -> None:
        """Open the queues of the configured sinks, in `push` of the data directory.

        Raises:
            ConfigError: a setting is unfit.
            StorageError: a queue cannot be opened.

        """
        self._readings = readings
        self._clock = clock
        self._settings = config.push
        self._teller = QueueTeller(readings)
        sinks = metric_sinks(config, environ)
        folder = queue_folder(config, environ) if sinks else None
        self._deliveries: list[Delivery[Reading]] = [
            delivery_of(sink, folder, config.push, clock) for sink in sinks if folder
        ]

    async def run(self) -> None:
        """Push until cancelled; what is in the queues then waits for the next start."""
        if not self._deliveries:
            return
        for delivery in self._deliveries:
            delivery.start()
        telling = asyncio.create_task(self.tell())
        try:
            due = self._clock.monotonic()
            while True:
                due = max(due + self._settings.interval_seconds, self._clock.monotonic())
                await asyncio.sleep(due - self._clock.monotonic())
                self.push()
                if telling.done():  # a disk that hangs holds up what is told about it, not the next push
                    telling = asyncio.create_task(self.tell())
        finally:
            telling.cancel()
            for delivery in self._deliveries:
                delivery.close()

    def push(self) -> None:
        """Hand everything that is on the page now to every sink; waits for nothing."""
        reading = Reading(self._clock.now(), tuple(self._readings.samples()))
        for delivery in self._deliveries:
            delivery.offer(reading)

    async def tell(self) -> None:
        """Put on the page what waits and what became of the rest."""
        await self._teller.tell(self._deliveries)
