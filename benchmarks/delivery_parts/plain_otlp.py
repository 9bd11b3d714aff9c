"""OpenTelemetry's SDK and OTLP/HTTP exporter: plain_otlp.py FOLDER PORT LIFE [--burst N | --seconds S]; as sender.py.

Each batch is one collection of a gauge with as many observations. The SDK says of no batch what became of it, so all
that it was given counts as taken; an export that fails is retried by the exporter itself, within its timeout.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import TYPE_CHECKING

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from opentelemetry.exporter.otlp.proto.http import Compression
from opentelemetry.exporter.otlp.proto.http.metric_exporter import OTLPMetricExporter
from opentelemetry.metrics import CallbackOptions, Observation
from opentelemetry.sdk.metrics import MeterProvider
from opentelemetry.sdk.metrics.export import PeriodicExportingMetricReader

from benchmarks.delivery_parts.ledger import Ledger
from benchmarks.delivery_parts.plain import run

if TYPE_CHECKING:
    from collections.abc import Iterable


class Plain:
    """A collection and its export for each batch."""

    def __init__(self, folder: Path, port: int) -> None:
        self._ledger = Ledger(folder / "appended")
        self._ids = range(0)
        exporter = OTLPMetricExporter(
            endpoint=f"http://127.0.0.1:{port}/v1/metrics", timeout=1, compression=Compression.Gzip
        )
        self._reader = PeriodicExportingMetricReader(exporter, export_interval_millis=float("inf"))
        self._provider = MeterProvider([self._reader])
        self._provider.get_meter("delivery").create_observable_gauge("id", callbacks=[self._observe])

    def _observe(self, _: CallbackOptions) -> Iterable[Observation]:
        return [Observation(float(number), {"n": str(n)}) for n, number in enumerate(self._ids)]

    def give(self, ids: range, time: float) -> None:
        """Collect and export these."""
        del time
        self._ids = ids
        self._reader.collect()
        self._ledger.write(ids)

    def close(self) -> None:
        """Shut the provider down."""
        self._ids = range(0)
        self._provider.shutdown()


run(Plain)
