"""OpenTelemetry's logging integration and OTLP/HTTP exporter: plain_otlp_logs.py FOLDER PORT LIFE [options].

`logging` into the handler of opentelemetry-instrumentation-logging, the SDK's batch processor behind it, as its manual
shows. After each batch the processor is flushed, since its queue of 2048 drops what comes faster than it sends. What
`logging` took counts as taken: the SDK says of no record what became of it, and `force_flush` says True either way.
"""

from __future__ import annotations

import logging
import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http._log_exporter import OTLPLogExporter
from opentelemetry.instrumentation.logging.handler import LoggingHandler
from opentelemetry.sdk._logs import LoggerProvider
from opentelemetry.sdk._logs.export import BatchLogRecordProcessor

from benchmarks.delivery_parts.ledger import Ledger
from benchmarks.delivery_parts.plain import MESSAGE, run


class Plain:
    """Logs each record and flushes the batch."""

    def __init__(self, folder: Path, port: int) -> None:
        self._ledger = Ledger(folder / "appended")
        exporter = OTLPLogExporter(endpoint=f"http://127.0.0.1:{port}/v1/logs", timeout=1, compression=Compression.Gzip)
        self._provider = LoggerProvider()
        self._provider.add_log_record_processor(BatchLogRecordProcessor(exporter))
        self._logger = logging.Logger("delivery")  # noqa: LOG001 - of this run alone
        self._logger.addHandler(LoggingHandler(logger_provider=self._provider))

    def give(self, ids: range, time: float) -> None:
        """Log these, then flush."""
        del time
        fields = {
            "source": "kernel",
            "kind": "xid",
            "severity": "critical",
            "node": "n17",
            "uuid": "GPU-5b1e",
            "xid": 79,
        }
        for number in ids:
            self._logger.critical(MESSAGE, extra={**fields, "id": str(number)})
        self._ledger.write(ids)
        self._provider.force_flush()

    def close(self) -> None:
        """Shut the provider down."""
        self._provider.shutdown()


run(Plain)
