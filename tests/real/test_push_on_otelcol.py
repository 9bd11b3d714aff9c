"""The push to a real OpenTelemetry Collector: what its file exporter wrote is compared with what was sent, by ids."""

from __future__ import annotations

import json
import socket
import time
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("grpc", reason="grpcio is not installed: pip install '.[grpc]'")
pytest.importorskip("opentelemetry.proto", reason="opentelemetry-proto is not installed: pip install '.[push]'")
pytest.importorskip("msgpack", reason="msgpack is not installed: pip install '.[fluentd]'")

from tests.real_servers import Servers, free_port, servers_in, wait_until
from tools.built_servers import ServerNotBuiltError, built
from warpgauge.core.catalog import device, host, own
from warpgauge.core.clock import SystemClock
from warpgauge.core.config import Config, FluentdConfig, OtlpConfig, OtlpLogsConfig
from warpgauge.core.fine_buckets import ZERO, bucket_of
from warpgauge.core.queue import DurableQueue
from warpgauge.core.retry import Backoff
from warpgauge.core.sample import Histogram, Sample
from warpgauge.exporters.doctor.check import Verdict
from warpgauge.exporters.doctor.sinks import sink_checks
from warpgauge.exporters.log_record import LogRecord, Severity
from warpgauge.exporters.logs.shipping import log_sinks
from warpgauge.exporters.push.pusher import metric_sinks
from warpgauge.exporters.push.reading import Reading
from warpgauge.exporters.push.worker import Delivery

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.real, pytest.mark.slow]

CONFIG = """
receivers:
  otlp:
    protocols:
      grpc: {{endpoint: "127.0.0.1:{grpc}"}}
      http: {{endpoint: "127.0.0.1:{http}"}}
  fluent_forward: {{endpoint: "127.0.0.1:{forward}"}}
exporters:
  file: {{path: "{out}", flush_interval: 50ms}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    metrics: {{receivers: [otlp], exporters: [file]}}
    logs: {{receivers: [otlp, fluent_forward], exporters: [file]}}
"""


@dataclass(frozen=True)
class Collector:
    grpc: str
    http: str
    forward: str
    out: Path

    def documents(self) -> list[dict[str, Any]]:
        """What it wrote, a line each; the last one may be half there."""
        lines = self.out.read_text().splitlines(keepends=True) if self.out.exists() else []
        return [json.loads(line) for line in lines if line.endswith("\n")]

    def log_records(self) -> list[dict[str, Any]]:
        scopes = [scope for it in self.documents() for one in it.get("resourceLogs", ()) for scope in one["scopeLogs"]]
        return [record for scope in scopes for record in scope["logRecords"]]

    def metrics(self) -> list[dict[str, Any]]:
        found = [one for it in self.documents() for one in it.get("resourceMetrics", ())]
        return [metric for one in found for scope in one["scopeMetrics"] for metric in scope["metrics"]]


def is_open(url: str) -> bool:
    name, _, port = url.removeprefix("http://").partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((name, int(port))) == 0


def start(running: Servers, folder: Path, grpc: int | None = None) -> Collector:
    try:
        program = built("otelcol") / "otelcol"
    except ServerNotBuiltError as error:
        pytest.skip(str(error))
    at: dict[str, Any] = {"out": folder / "out.json"}

    def command(port: int, home: Path) -> list[str | Path]:
        at.update(grpc=grpc or free_port(), forward=free_port(), http=port)
        (home / "otelcol.yaml").write_text(CONFIG.format(**at))
        return [program, f"--config={home / 'otelcol.yaml'}"]

    running.start("otelcol", command, ready=is_open)
    urls = {name: f"http://127.0.0.1:{at[name]}" for name in ("grpc", "http")}
    collector = Collector(forward=f"127.0.0.1:{at['forward']}", out=at["out"], **urls)
    wait_until(lambda: is_open(collector.grpc) and is_open(collector.forward), what="the Collector listens")
    return collector


@pytest.fixture(scope="module")
def collector(tmp_path_factory) -> Iterator[Collector]:
    folder = tmp_path_factory.mktemp("otelcol")
    with servers_in(folder) as running:
        yield start(running, folder)


def url_of(collector: Collector, protocol: str, signal: str) -> str:
    return collector.grpc if protocol == "grpc" else f"{collector.http}/v1/{signal}"


def config_for(collector: Collector, protocol: str = "grpc", compression: str = "gzip") -> Config:
    how = {"protocol": protocol, "compression": compression}
    return Config(
        otlp=OtlpConfig(url=url_of(collector, protocol, "metrics"), **how),
        otlp_logs=OtlpLogsConfig(url=url_of(collector, protocol, "logs"), **how),
        fluentd=FluentdConfig(servers=(collector.forward,)),
    )


def record(number: str) -> LogRecord:
    return LogRecord(
        id=number, time=1_750_000_000.25, source="kernel", kind="xid", severity=Severity.CRITICAL, message="NVRM: Xid",
        node="n1", uuid="GPU-1", job_id="77", attributes={"xid": 79},
    )  # fmt: skip


def deliver(sink: Any, batches: list[Any], queue: Path) -> None:
    """Through the durable queue, until all is acknowledged."""
    stored = DurableQueue(queue, max_bytes=1 << 20, max_age_seconds=1e9, clock=SystemClock())
    delivery: Delivery[Any] = Delivery(sink, stored, clock=SystemClock())
    for batch in batches:
        assert delivery.store(batch)
    while delivery.step() is not None:
        assert delivery.stats().trouble == ""
    stats = delivery.stats()
    assert (stats.acked, stats.records, stats.dead_lettered) == (len(batches), 0, 0)
    delivery.close()
    stored.close()


def attributes(holder: dict[str, Any]) -> dict[str, Any]:
    return {pair["key"]: next(iter(pair["value"].values())) for pair in holder.get("attributes", ())}


@pytest.mark.parametrize("compression", ["gzip", "none"])
@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_every_metric_that_was_sent_is_there_with_its_value(collector, tmp_path, protocol, compression):
    (sink,) = metric_sinks(config_for(collector, protocol, compression), {})
    uuids = [f"GPU-{protocol}-{compression}-{number}" for number in range(20)]
    counts = tuple(range(len(own.COLLECT_SECONDS.buckets) + 1))
    histogram = Sample(own.COLLECT_SECONDS, (f"{protocol}-{compression}",), Histogram(counts, 4.5))
    readings = [Reading(time.time(), (Sample(device.POWER, (uuid, "0"), 123.5),)) for uuid in uuids]
    readings.append(Reading(time.time(), (histogram, Sample(host.LOAD1, (), 0.25))))
    deliver(sink, readings, tmp_path / "queue.db")

    def points(name: str, kind: str) -> list[dict[str, Any]]:
        return [point for one in collector.metrics() if one["name"] == name for point in one[kind]["dataPoints"]]

    def arrived() -> list[tuple[str, float]]:
        found = [(attributes(point)["hw.id"], point["asDouble"]) for point in points("hw.power", "gauge")]
        return sorted(one for one in found if one[0] in uuids)

    wait_until(lambda: len(arrived()) >= len(uuids), what="all powers are in the file")
    assert arrived() == sorted((uuid, 123.5) for uuid in uuids)

    def bars_of() -> list[dict[str, Any]]:
        found = points("warpgauge_agent_collect_seconds", "histogram")
        return [one for one in found if attributes(one)["collector"] == f"{protocol}-{compression}"]

    (bars,) = wait_until(bars_of, what="the histogram is in the file")
    assert (int(bars["count"]), bars["sum"], len(bars["explicitBounds"])) == (counts[-1], 4.5, len(counts) - 1)


def test_an_exponential_histogram_comes_through_bucket_by_bucket(collector, tmp_path):
    otlp = replace(config_for(collector).otlp, exponential_histograms=True)
    (sink,) = metric_sinks(Config(otlp=otlp), {})
    counts = (0,) * len(device.POWER_DISTRIBUTION.buckets)
    value = Histogram((*counts, 60), 4.5, ((ZERO, 10), (bucket_of(100.0), 20), (bucket_of(150.0), 30)))
    deliver(sink, [Reading(1.0, (Sample(device.POWER_DISTRIBUTION, ("GPU-1", "0"), value),))], tmp_path / "queue.db")

    def points() -> list[dict[str, Any]]:
        found = [one for one in collector.metrics() if one["name"] == device.POWER_DISTRIBUTION.name]
        return [point for one in found for point in one["exponentialHistogram"]["dataPoints"]]

    (point,) = wait_until(points, what="the histogram is in the file")
    assert (point["scale"], int(point["zeroCount"]), int(point["count"]), point["sum"]) == (3, 10, 60, 4.5)
    offset, bars = point["positive"]["offset"], list(map(int, point["positive"]["bucketCounts"]))
    assert {offset + at + 1: bar for at, bar in enumerate(bars) if bar} == {bucket_of(100.0): 20, bucket_of(150.0): 30}


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_every_log_record_that_was_sent_is_there_with_what_it_says(collector, tmp_path, protocol):
    (sink,) = [one for one in log_sinks(config_for(collector, protocol), {}) if one.name == "otlp_logs"]
    ids = [f"{protocol}-{number}" for number in range(500)]
    deliver(sink, [[record(one) for one in ids[at : at + 50]] for at in range(0, 500, 50)], tmp_path / "queue.db")

    def arrived() -> dict[str, dict[str, Any]]:
        found = {attributes(one).get("log.record.uid"): one for one in collector.log_records()}
        return {name: one for name, one in found.items() if name in set(ids)}

    wait_until(lambda: len(arrived()) >= len(ids), what="all records are in the file")
    one = arrived()[ids[0]]
    assert (one["severityNumber"], one["severityText"], one["body"]) == (18, "critical", {"stringValue": "NVRM: Xid"})
    assert one["timeUnixNano"] == "1750000000250000000"
    assert one["eventName"] == "warpgauge.xid"
    said = attributes(one)
    assert (said["uuid"], said["hw.id"], said["job_id"], said["xid"], said["node"]) == (
        "GPU-1",
        "GPU-1",
        "77",
        "79",
        "n1",
    )


def test_its_forward_receiver_acknowledges_every_chunk_and_has_every_record(collector, tmp_path):
    (sink,) = [one for one in log_sinks(config_for(collector), {}) if one.name == "fluentd"]
    ids = [f"forward-{number}" for number in range(500)]
    deliver(sink, [[record(one) for one in ids[at : at + 50]] for at in range(0, 500, 50)], tmp_path / "queue.db")

    def arrived() -> dict[str, dict[str, Any]]:
        found = {attributes(one).get("id"): one for one in collector.log_records()}
        return {name: one for name, one in found.items() if name in set(ids)}

    wait_until(lambda: len(arrived()) >= len(ids), what="all records are in the file")
    written = [attributes(one).get("id") for one in collector.log_records()]
    assert [one for one in written if one in set(ids)] == ids
    one = arrived()[ids[0]]
    said = attributes(one)
    assert said.pop("fluent.tag") == "warpgauge.logs"
    assert (one["body"], one["timeUnixNano"]) == ({"stringValue": "NVRM: Xid"}, "1750000000250000000")
    assert said == {
        "id": ids[0], "source": "kernel", "kind": "xid", "severity": "critical", "node": "n1",
        "uuid": "GPU-1", "job_id": "77", "xid": "79",
    }  # fmt: skip


def test_what_waits_while_it_is_stopped_arrives_in_order_once_it_is_back(tmp_path):
    port, ids = free_port(), [f"outage-{number}" for number in range(60)]
    sink = log_sinks(Config(otlp_logs=OtlpLogsConfig(url=f"http://127.0.0.1:{port}", protocol="grpc")), {})[0]
    arrived: list[str] = []
    with DurableQueue(tmp_path / "queue.db", max_bytes=1 << 20, max_age_seconds=1e9, clock=SystemClock()) as queue:
        delivery = Delivery(sink, queue, clock=SystemClock(), backoff=Backoff(first_seconds=0.1, max_seconds=0.5))
        delivery.start()
        for life in range(2):
            with servers_in(tmp_path / str(life)) as running:
                collector = start(running, tmp_path / str(life), grpc=port)
                for one in ids[40 * life : 40 * life + 20]:
                    assert delivery.store([record(one)])
                wait_until(lambda: delivery.stats().records == 0, what="all is acknowledged")
            arrived += [attributes(one)["log.record.uid"] for one in collector.log_records()]  # it ended in peace
            if life == 0:
                for one in ids[20:40]:
                    assert delivery.store([record(one)])
                wait_until(lambda: delivery.stats().retries > 0, what="it was tried in vain")
        stats = delivery.stats()
        assert (stats.acked, stats.dropped, stats.dead_lettered) == (60, 0, 0)
        delivery.close()
    assert list(dict.fromkeys(arrived)) == ids


@pytest.mark.parametrize("protocol", ["grpc", "http"])
def test_the_doctor_asks_it_and_leaves_nothing_there(collector, protocol):
    config = config_for(collector, protocol)
    checks = list(sink_checks([*metric_sinks(config, {}), *log_sinks(config, {})]))
    assert [(one.subject, one.verdict) for one in checks] == [
        ("push otlp", Verdict.OK), ("push fluentd", Verdict.OK), ("push otlp_logs", Verdict.OK),
    ]  # fmt: skip
