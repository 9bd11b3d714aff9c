"""OTLP through a real agent of somebody else: rotel takes what we push and sends it on to a receiver of ours."""

from __future__ import annotations

import gzip
import importlib.util
import socket
import time
from pathlib import Path

import pytest

pytest.importorskip("opentelemetry.proto", reason="opentelemetry-proto is not installed: pip install '.[push]'")

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from tests.exporters.push.receivers import receiver
from tests.real_servers import Servers, free_port, wait_until
from warpgauge.core.catalog import device, host, own
from warpgauge.core.config import Config, OtlpConfig
from warpgauge.core.sample import Histogram, Sample
from warpgauge.exporters.push.otlp import Otlp
from warpgauge.exporters.push.reading import Reading
from warpgauge.exporters.push.sink import Acked

pytestmark = [pytest.mark.real, pytest.mark.slow]


def rotel_agent() -> Path:
    found = importlib.util.find_spec("rotel")
    if found is None or not found.submodule_search_locations:
        pytest.skip("rotel is not installed: pip install rotel==0.0.1a15")
    return Path(found.submodule_search_locations[0]) / "rotel-agent"


def is_open(base: str) -> bool:
    host_name, _, port = base.removeprefix("http://").partition(":")
    with socket.socket() as probe:
        return probe.connect_ex((host_name, int(port))) == 0


def points_of(bodies: list[tuple[dict[str, str], bytes]]) -> dict[str, list[float]]:
    found: dict[str, list[float]] = {}
    for headers, body in bodies:
        plain = gzip.decompress(body) if headers.get("content-encoding") == "gzip" else body
        for resource in ExportMetricsServiceRequest.FromString(plain).resource_metrics:
            for metric in (metric for scope in resource.scope_metrics for metric in scope.metrics):
                numbers = [*metric.gauge.data_points, *metric.sum.data_points]
                values = [point.as_double for point in numbers] + [point.sum for point in metric.histogram.data_points]
                found.setdefault(metric.name, []).extend(values)
    return found


def test_rotel_takes_gauges_sums_and_histograms_and_passes_them_on_unchanged(servers: Servers):
    program = rotel_agent()
    counts = tuple(range(len(own.COLLECT_SECONDS.buckets) + 1))
    samples = (
        Sample(device.POWER, ("GPU-1", "0"), 123.5),
        Sample(device.ENERGY, ("GPU-1", "0"), 7.0),
        Sample(host.LOAD1, (), 0.25),
        Sample(own.COLLECT_SECONDS, ("host",), Histogram(counts, 4.5)),
    )
    with receiver() as behind:

        def command(port: int, _: Path) -> list[str | Path]:
            listen = ["--otlp-http-endpoint", f"127.0.0.1:{port}", "--otlp-grpc-endpoint", f"127.0.0.1:{free_port()}"]
            send = ["--exporter", "otlp", "--otlp-exporter-endpoint", behind.url, "--otlp-exporter-protocol", "http"]
            return [program, "start", *listen, *send]

        base = servers.start("rotel", command, ready=is_open)
        sink = Otlp(Config(otlp=OtlpConfig(url=f"{base}/v1/metrics")), {})
        assert sink.check().endswith("took an empty request")
        assert sink.send(sink.encode(Reading(time.time(), samples))) == Acked()
        expected = {
            "hw.power": [123.5],
            "hw.energy": [7.0],
            "host_load1": [0.25],
            "warpgauge_agent_collect_seconds": [4.5],
        }
        wait_until(lambda: points_of(behind.requests) == expected, what="rotel passed all on")
