"""The agent's logs on their way out: sources and sinks as the settings want them, once a second."""

from __future__ import annotations

import asyncio
import logging
import os
import platform
from contextlib import suppress
from pathlib import Path
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import device as rows
from warpgauge.core.catalog import own
from warpgauge.core.errors import ConfigError
from warpgauge.exporters.logs.collection import Collection
from warpgauge.exporters.logs.files import LogFiles
from warpgauge.exporters.logs.journal import Journal
from warpgauge.exporters.logs.nvrm import pci_address
from warpgauge.exporters.logs.own_events import OwnEvents
from warpgauge.exporters.push.queues import QueueTeller, delivery_of, queue_folder
from warpgauge.exporters.worker import Worker

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from warpgauge.core.clock import Clock
    from warpgauge.core.config import Config, LogsConfig
    from warpgauge.exporters.log_record import LogRecord
    from warpgauge.exporters.push.sink import Sink
    from warpgauge.exporters.push.worker import Delivery
    from warpgauge.exporters.readings import Readings

__all__ = ["LogShipping", "log_sinks"]

_LOG: Final = logging.getLogger(__name__)
_LONGEST_LINE_BYTES: Final = 1 << 16  # a batch of such lines fits the smallest queue that push.queue_max_bytes allows
_LOOK_SECONDS: Final = 1.0
_LOOKS_BETWEEN_SEARCHES: Final = 5
_FAREWELL_SECONDS: Final = 12.0  # two joins of five seconds, and the last writes


def log_sinks(
    config: Config, environ: Mapping[str, str], clock: Clock | None = None
) -> list[Sink[Sequence[LogRecord]]]:
    """Every configured sink for log records.

    Raises:
        ConfigError: a setting is unfit, or the libraries of the extra push or grpc are missing.
        MissingExtraError: a sink's library is not installed.

    """
    sinks: list[Sink[Sequence[LogRecord]]] = []
    if config.fluentd.servers:
        from warpgauge.exporters.push.forward.settings import forward_sink  # noqa: PLC0415 - needs an extra

        sinks.append(forward_sink(config.fluentd, clock))
    if config.otlp_logs.url:
        try:
            from warpgauge.exporters.push.otlp_logs import OtlpLogs  # noqa: PLC0415 - needs an extra

            sinks.append(OtlpLogs(config, environ))
        except ModuleNotFoundError as error:
            raise ConfigError(str(error)) from error
    return sinks


class LogShipping:
    """Collects and delivers log records; does nothing where no sink for them is configured."""

    def __init__(
        self, config: Config, readings: Readings, clock: Clock, environ: Mapping[str, str] = os.environ
    ) -> None:
        """Open queues and positions.

        Raises:
            ConfigError: a setting is unfit.
            MissingExtraError: a sink's library is not installed.
            StorageError: a queue or the positions cannot be opened.

        """
        self._readings = readings
        self._clock = clock
        self._worker = Worker("logs")
        self._trouble = ""
        self._teller = QueueTeller(readings)
        self._deliveries: list[Delivery[Sequence[LogRecord]]] = []
        self._events = OwnEvents() if config.logs.events else None
        self.wants_kernel = False
        self._collection: Collection | None = None
        sinks = log_sinks(config, environ, clock)
        if sinks:
            self._open(config, sinks, environ)

    def hear(self, line: str) -> None:
        """Take a line of the kernel log."""
        if self._collection is not None and self.wants_kernel:
            self._collection.hear(line)

    async def run(self) -> None:
        """Collect until cancelled; what is in the queues then waits for the next start."""
        if self._collection is None:
            return
        logger = logging.getLogger("warpgauge")
        if self._events is not None:
            logger.addHandler(self._events)
        for delivery in self._deliveries:
            delivery.start()
        try:
            while True:
                await asyncio.sleep(_LOOK_SECONDS)
                await self._look(self._collection)
        finally:
            if self._events is not None:
                logger.removeHandler(self._events)
            with suppress(TimeoutError):  # a disk that hangs does not keep us from ending: what it has is safe
                await asyncio.wait_for(self._worker.ask(self._end), _FAREWELL_SECONDS)

    def _end(self) -> None:
        """In the thread that collects, after what it does."""
        if self._collection is not None:
            self._collection.close()
        for delivery in self._deliveries:
            delivery.close()

    async def _look(self, collection: Collection) -> None:
        tally = self._readings.tally
        try:
            count = await self._worker.ask(collection.collect)
        except Exception as error:  # noqa: BLE001 - whatever it is, it costs this look, not the agent
            self._complain(f"{type(error).__name__}: {error}")
            return
        self._complain("")
        tally.count(own.LOG_RECORDS, by=float(count))
        tally.put(own.LOG_RECORDS_DROPPED, value=float(collection.dropped))
        await self._teller.tell(self._deliveries)

    def _complain(self, why: str) -> None:
        """Once per change."""
        if why and why != self._trouble:
            _LOG.error("logs not collected", extra={"why": why})
        self._trouble = why

    def _open(self, config: Config, sinks: Sequence[Sink[Sequence[LogRecord]]], environ: Mapping[str, str]) -> None:
        relative = [pattern for pattern in config.logs.files if not Path(pattern).is_absolute()]
        if relative:
            msg = f"logs.files must be absolute paths, got {relative[0]!r}"
            raise ConfigError(msg)
        if config.logs.max_line_bytes > _LONGEST_LINE_BYTES:
            msg = f"logs.max_line_bytes must be <= {_LONGEST_LINE_BYTES}, got {config.logs.max_line_bytes}"
            raise ConfigError(msg)
        folder = queue_folder(config, environ)
        self._deliveries = [delivery_of(sink, folder, config.push, self._clock) for sink in sinks]
        logs = config.logs
        self.wants_kernel = logs.kernel and bool(config.agent.kernel_log)
        self._collection = Collection(
            self._deliveries,
            node=platform.node(),
            clock=self._clock,
            whose=self._whose,
            events=self._events,
            files=LogFiles(
                logs.files,
                folder / "log-positions.json",
                most_files=logs.max_files,
                max_line_bytes=logs.max_line_bytes,
                reads_between_searches=_LOOKS_BETWEEN_SEARCHES,
            )
            if logs.files
            else None,
            most_per_second=logs.max_records_per_second,
            journal=self._journal(logs, folder) if logs.journal else None,
        )

    def _journal(self, logs: LogsConfig, folder: Path) -> Journal:
        return Journal(
            logs,
            folder / "journal-cursor.json",
            node=platform.node(),
            clock=self._clock,
            without_kernel_reports=self.wants_kernel,
            without_pid=os.getpid() if logs.events else None,
        )

    def _whose(self, pci_bus_id: str) -> tuple[str, str]:
        """UUID of the device at an address, and its job where it has exactly one."""
        address = pci_address(pci_bus_id)
        for standing in self._readings.standings:
            uuid = standing.device.uuid
            if address is not None and pci_address(standing.device.pci_bus_id) == address:
                found = [it for it in self._readings.samples_of(uuid) if it.metric is rows.WORKLOAD_INFO]
                jobs = {job for it in found if (job := it.label("job_id"))}
                return uuid, jobs.pop() if len(jobs) == 1 else ""
        return "", ""
