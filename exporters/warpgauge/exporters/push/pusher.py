"""The agent's push: at an interval everything on the page goes to each sink's queue, and what became of it is told."""

from __future__ import annotations

import asyncio
import logging
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import own
from warpgauge.core.config import data_directory
from warpgauge.core.errors import ConfigError, StorageError
from warpgauge.core.queue import DurableQueue
from warpgauge.exporters.push.reading import Reading
from warpgauge.exporters.push.worker import Delivery
from warpgauge.exporters.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path

    from warpgauge.core.clock import Clock
    from warpgauge.core.config import Config
    from warpgauge.exporters.push.sink import Sink
    from warpgauge.exporters.push.worker import DeliveryStats
    from warpgauge.exporters.readings import Readings

__all__ = ["Pusher", "metric_sinks"]

_LOG: Final = logging.getLogger(__name__)


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
        self._troubles: dict[str, str] = {}
        self._worker = Worker("push")
        sinks = metric_sinks(config, environ)
        folder = _folder(config, environ) if sinks else None
        self._deliveries: list[Delivery[Reading]] = [self._delivery(sink, folder) for sink in sinks if folder]

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
        for delivery in self._deliveries:
            try:
                self._show(delivery.sink.name, await self._worker.ask(delivery.stats))
            except StorageError as error:
                self._log(delivery.sink.name, str(error))
        self._readings.on_change()

    def _delivery(self, sink: Sink[Reading], folder: Path) -> Delivery[Reading]:
        queue = DurableQueue(
            folder / f"{sink.name}.db",
            max_bytes=self._settings.queue_max_bytes,
            max_age_seconds=self._settings.queue_max_age_seconds,
            clock=self._clock,
        )
        return Delivery(sink, queue, clock=self._clock, pace_seconds=self._settings.pace_seconds)

    def _show(self, sink: str, stats: DeliveryStats) -> None:
        tally = self._readings.tally
        tally.put(own.QUEUE_RECORDS, sink, value=float(stats.records))
        tally.put(own.QUEUE_BYTES, sink, value=float(stats.bytes))
        tally.put(own.QUEUE_ACKED, sink, value=float(stats.acked))
        tally.put(own.QUEUE_DROPPED, sink, value=float(stats.dropped))
        tally.put(own.QUEUE_RETRIES, sink, value=float(stats.retries))
        tally.put(own.QUEUE_DEAD_LETTERED, sink, value=float(stats.dead_lettered))
        tally.put(own.QUEUE_REFUSED, sink, value=float(stats.refused))
        if stats.oldest_timestamp is None:
            tally.remove(own.QUEUE_OLDEST, sink)
        else:
            tally.put(own.QUEUE_OLDEST, sink, value=stats.oldest_timestamp)
        self._log(sink, stats.trouble)

    def _log(self, sink: str, trouble: str) -> None:
        """Once per change between well and not."""
        before = self._troubles.get(sink, "")
        self._troubles[sink] = trouble
        if trouble and not before:
            _LOG.warning("sink does not take all", extra={"sink": sink, "why": trouble})
        elif before and not trouble:
            _LOG.info("sink is well again", extra={"sink": sink})


def _folder(config: Config, environ: Mapping[str, str]) -> Path:
    path = data_directory(config, environ) / "push"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        msg = f"cannot make {path}: {error.strerror or error}"
        raise StorageError(msg) from error
    return path
