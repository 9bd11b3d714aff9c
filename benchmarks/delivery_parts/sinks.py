"""The sinks that are tried; another one is one entry: how it is made, what a batch of ids is, how ids are read back."""

from __future__ import annotations

import gzip
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import cramjam
import msgpack
from opentelemetry.proto.collector.logs.v1 import logs_service_pb2
from opentelemetry.proto.collector.metrics.v1 import metrics_service_pb2

from benchmarks.delivery_parts.plain import MESSAGE
from tests.analyzer.prompb import samples_of
from warpgauge.core.catalog import own
from warpgauge.core.config import Config, FluentdConfig, OtlpConfig, OtlpLogsConfig, RemoteWriteConfig
from warpgauge.core.sample import Sample
from warpgauge.exporters.log_record import LogRecord, Severity
from warpgauge.exporters.push.forward.settings import forward_sink
from warpgauge.exporters.push.otlp import Otlp
from warpgauge.exporters.push.otlp_logs import OtlpLogs
from warpgauge.exporters.push.reading import Reading
from warpgauge.exporters.push.remote_write import RemoteWrite

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence

    from warpgauge.exporters.push.sink import Sink

__all__ = ["SINKS", "Entry"]

TIMEOUT_SECONDS = 1.0  # so that a frozen receiver is noticed within a run


@dataclass(frozen=True, kw_only=True)
class Entry:
    """A sink under test; a record's id is a whole number below 2^53."""

    name: str
    sink: Callable[[int], Sink[Any]]  # of a port at 127.0.0.1
    batch: Callable[[Sequence[int], float], Any]  # of ids at a time
    ids: Callable[[bytes], Iterable[int]]  # of a body as it is stored and sent
    is_http: bool = True  # else the receiver is npm's FluentServer
    plain: str = ""  # script of the usual library, and its environment of tools/peers.py
    plain_environment: str = ""


def _logs(ids: Sequence[int], time: float) -> list[LogRecord]:
    return [
        LogRecord(id=str(number), time=time, source="kernel", kind="xid", severity=Severity.CRITICAL, message=MESSAGE,
                  node="n17", uuid="GPU-5b1e", attributes={"xid": 79})
        for number in ids
    ]  # fmt: skip


def _reading(ids: Sequence[int], time: float) -> Reading:
    """A page of as many series; the value of each is the id."""
    return Reading(
        time, [Sample(own.PROCESSES_LEFT_OUT, (f"GPU-{n}", str(n)), float(one)) for n, one in enumerate(ids)]
    )


def _ids_of_logs(body: bytes) -> Iterable[int]:
    entries = msgpack.Unpacker()
    entries.feed(gzip.decompress(msgpack.unpackb(body)[1]))
    return [int(record["id"]) for _, record in entries]


def _ids_of_otlp(body: bytes) -> Iterable[int]:
    request = metrics_service_pb2.ExportMetricsServiceRequest.FromString(_plain(body))
    metrics = [one for of in request.resource_metrics for scope in of.scope_metrics for one in scope.metrics]
    points = [point for one in metrics for point in (*one.gauge.data_points, *one.sum.data_points)]
    return [int(point.as_double or point.as_int) for point in points]


def _ids_of_otlp_logs(body: bytes) -> Iterable[int]:
    """Ours call it the record's uid, the SDK's handler by the name that `logging` was given."""
    request = logs_service_pb2.ExportLogsServiceRequest.FromString(_plain(body))
    records = [one for of in request.resource_logs for scope in of.scope_logs for one in scope.log_records]
    pairs = [pair for record in records for pair in record.attributes]
    return [int(pair.value.string_value) for pair in pairs if pair.key in {"log.record.uid", "id"}]


def _plain(body: bytes) -> bytes:
    return gzip.decompress(body) if body[:2] == b"\x1f\x8b" else body


def _ids_of_write(body: bytes) -> Iterable[int]:
    found = samples_of(bytes(cramjam.snappy.decompress_raw(body)))
    return [int(value) for _, _, value in found if value == value]  # noqa: PLR0124 - NaN marks the end of a series


SINKS = {
    entry.name: entry
    for entry in (
        Entry(
            name="fluentd",
            sink=lambda port: forward_sink(
                FluentdConfig(servers=(f"127.0.0.1:{port}",), timeout_seconds=TIMEOUT_SECONDS)
            ),
            batch=_logs,
            ids=_ids_of_logs,
            is_http=False,
            plain="plain_fluent.py",
        ),
        Entry(
            name="otlp",
            sink=lambda port: Otlp(
                Config(otlp=OtlpConfig(url=f"http://127.0.0.1:{port}/v1/metrics", timeout_seconds=TIMEOUT_SECONDS)), {}
            ),
            batch=_reading,
            ids=_ids_of_otlp,
            plain="plain_otlp.py",
            plain_environment="opentelemetry",
        ),
        Entry(
            name="otlp_logs",
            sink=lambda port: OtlpLogs(
                Config(
                    otlp_logs=OtlpLogsConfig(url=f"http://127.0.0.1:{port}/v1/logs", timeout_seconds=TIMEOUT_SECONDS)
                ),
                {},
            ),
            batch=_logs,
            ids=_ids_of_otlp_logs,
            plain="plain_otlp_logs.py",
            plain_environment="opentelemetry",
        ),
        Entry(
            name="remote_write",
            sink=lambda port: RemoteWrite(
                Config(
                    remote_write=RemoteWriteConfig(
                        url=f"http://127.0.0.1:{port}/api/v1/write", timeout_seconds=TIMEOUT_SECONDS
                    )
                ),
                {},
            ),
            batch=_reading,
            ids=_ids_of_write,
        ),
    )
}
