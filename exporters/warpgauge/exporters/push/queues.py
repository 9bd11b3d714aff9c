"""What all push sinks have in common: where their queues are, and how it is told what became of batches."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Any, Final, TypeVar

from warpgauge.core.catalog import own
from warpgauge.core.config import data_directory
from warpgauge.core.errors import StorageError
from warpgauge.core.queue import DurableQueue
from warpgauge.exporters.push.worker import Delivery
from warpgauge.exporters.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping
    from pathlib import Path

    from warpgauge.core.clock import Clock
    from warpgauge.core.config import Config, PushConfig
    from warpgauge.exporters.push.sink import Sink
    from warpgauge.exporters.push.worker import DeliveryStats
    from warpgauge.exporters.readings import Readings

__all__ = ["QueueTeller", "delivery_of", "queue_folder"]

_LOG: Final = logging.getLogger(__name__)
_BatchT = TypeVar("_BatchT")


def queue_folder(config: Config, environ: Mapping[str, str]) -> Path:
    """`push` in the data directory, made if it is not there.

    Raises:
        StorageError: it cannot be made.

    """
    path = data_directory(config, environ) / "push"
    try:
        path.mkdir(mode=0o700, exist_ok=True)
    except OSError as error:
        msg = f"cannot make {path}: {error.strerror or error}"
        raise StorageError(msg) from error
    return path


def delivery_of(sink: Sink[_BatchT], folder: Path, settings: PushConfig, clock: Clock) -> Delivery[_BatchT]:
    """A sink with its queue, as the settings bound it.

    Raises:
        StorageError: the queue cannot be opened.

    """
    queue = DurableQueue(
        folder / f"{sink.name}.db",
        max_bytes=settings.queue_max_bytes,
        max_age_seconds=settings.queue_max_age_seconds,
        clock=clock,
    )
    return Delivery(sink, queue, clock=clock, pace_seconds=settings.pace_seconds)


class QueueTeller:
    """Puts on the page what waits and what became of the rest. For the event loop."""

    def __init__(self, readings: Readings) -> None:
        self._readings = readings
        self._worker = Worker("queues")
        self._troubles: dict[str, str] = {}
        self._losses: dict[str, str] = {}

    async def tell(self, deliveries: Iterable[Delivery[Any]]) -> None:
        """Ask every queue in a thread, since a disk may hang, and show what it says."""
        for delivery in deliveries:
            try:
                self._show(delivery.sink.name, await self._worker.ask(delivery.stats))
            except StorageError as error:
                self._log(delivery.sink.name, str(error))
        self._readings.on_change()

    def _show(self, sink: str, stats: DeliveryStats) -> None:
        tally = self._readings.tally
        tally.put(own.QUEUE_RECORDS, sink, value=float(stats.records))
        tally.put(own.QUEUE_BYTES, sink, value=float(stats.bytes))
        tally.put(own.QUEUE_MAX_BYTES, sink, value=float(stats.max_bytes))
        tally.put(own.QUEUE_ACKED, sink, value=float(stats.acked))
        tally.put(own.QUEUE_DROPPED, sink, value=float(stats.dropped))
        tally.put(own.QUEUE_RETRIES, sink, value=float(stats.retries))
        tally.put(own.QUEUE_DEAD_LETTERED, sink, value=float(stats.dead_lettered))
        tally.put(own.QUEUE_REFUSED, sink, value=float(stats.refused))
        if stats.oldest_timestamp is None:
            tally.remove(own.QUEUE_OLDEST, sink)
        else:
            tally.put(own.QUEUE_OLDEST, sink, value=stats.oldest_timestamp)
        self._log_loss(sink, stats.loss)
        self._log(sink, stats.trouble)

    def _log_loss(self, sink: str, loss: str) -> None:
        """Once per change: a receiver that is away as well must not hide that a full disk keeps nothing."""
        before = self._losses.get(sink, "")
        self._losses[sink] = loss
        if loss and not before:
            _LOG.error("batches are lost", extra={"sink": sink, "why": loss})
        elif before and not loss:
            _LOG.info("batches are kept again", extra={"sink": sink})

    def _log(self, sink: str, trouble: str) -> None:
        """Once per change between well and not."""
        before = self._troubles.get(sink, "")
        self._troubles[sink] = trouble
        if trouble and not before:
            _LOG.warning("sink does not take all", extra={"sink": sink, "why": trouble})
        elif before and not trouble:
            _LOG.info("sink is well again", extra={"sink": sink})
