"""The push to Prometheus 3 (OTLP and remote write) and of native histograms to it and to Debian's: asked by query."""

from __future__ import annotations

import json
import time
import urllib.parse
from dataclasses import replace
from typing import TYPE_CHECKING, Any

import pytest

pytest.importorskip("cramjam", reason="cramjam is not installed: pip install '.[push]'")
pytest.importorskip("opentelemetry.proto", reason="opentelemetry-proto is not installed: pip install '.[push]'")

from tests.real_servers import Servers, fetched, get_json, servers_in, wait_until
from tools.built_servers import ServerNotBuiltError, built
from warpgauge.core.catalog import device, host, own
from warpgauge.core.clock import SystemClock
from warpgauge.core.config import Config, OtlpConfig, PushConfig, RemoteWriteConfig
from warpgauge.core.device import Device, DeviceKind
from warpgauge.core.fine_buckets import bucket_of
from warpgauge.core.queue import DurableQueue
from warpgauge.core.sample import Histogram, Sample
from warpgauge.exporters.doctor.check import Verdict
from warpgauge.exporters.doctor.sinks import sink_checks
from warpgauge.exporters.increments import Increment
from warpgauge.exporters.ledger import Ledger
from warpgauge.exporters.push.otlp import Otlp
from warpgauge.exporters.push.pusher import metric_sinks
from warpgauge.exporters.push.reading import Reading
from warpgauge.exporters.push.remote_write import RemoteWrite
from warpgauge.exporters.push.sink import Acked
from warpgauge.exporters.push.worker import Delivery

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

pytestmark = [pytest.mark.real, pytest.mark.slow]

GPU = Device(uuid="GPU-1", index=0, kind=DeviceKind.GPU, vendor="nvidia", model="H100")


def prometheus3() -> Path:
    try:
        return built("prometheus3") / "prometheus"
    except ServerNotBuiltError as error:
        pytest.skip(str(error))


def start(running: Servers, name: str, program: Path, *flags: str) -> str:
    def command(port: int, home: Path) -> list[str | Path]:
        (home / "prometheus.yml").write_text(json.dumps({"storage": {"tsdb": {"out_of_order_time_window": "30m"}}}))
        return [
            program,
            f"--config.file={home / 'prometheus.yml'}",
            f"--storage.tsdb.path={home / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}",
            "--web.enable-remote-write-receiver",
            *flags,
        ]

    return running.start(name, command, ready="/-/ready")


@pytest.fixture(scope="module")
def prometheus(tmp_path_factory) -> Iterator[str]:
    with servers_in(tmp_path_factory.mktemp("prometheus3")) as running:
        yield start(running, "prometheus3", prometheus3(), "--web.enable-otlp-receiver")


def asked(base: str, query: str) -> list[dict[str, Any]]:
    return get_json(f"{base}/api/v1/query?" + urllib.parse.urlencode({"query": query}))["data"]["result"]


def number(base: str, query: str) -> float:
    (found,) = wait_until(lambda: asked(base, query), what=f"{query} has an answer")
    return float(found["value"][1])


def config_for(base: str, **remote_write: Any) -> Config:
    return Config(
        otlp=OtlpConfig(url=f"{base}/api/v1/otlp/v1/metrics", exponential_histograms=True),
        remote_write=RemoteWriteConfig(url=f"{base}/api/v1/write", **remote_write),
    )


def test_otlp_metrics_arrive_under_the_names_that_prometheus_gives_them(prometheus):
    sink = Otlp(config_for(prometheus), {})
    counts = tuple(range(len(own.COLLECT_SECONDS.buckets) + 1))
    samples = (
        Sample(device.POWER, ("GPU-otlp", "0"), 123.5),
        Sample(device.ENERGY, ("GPU-otlp", "0"), 7.0),
        Sample(host.LOAD1, (), 0.25),
        Sample(own.COLLECT_SECONDS, ("otlp",), Histogram(counts, 4.5)),
    )
    assert sink.send(sink.encode(Reading(time.time(), samples))) == Acked()
    assert number(prometheus, 'hw_power_watts{hw_id="GPU-otlp"}') == 123.5
    assert number(prometheus, 'hw_energy_joules_total{uuid="GPU-otlp"}') == 7.0
    assert number(prometheus, 'warpgauge_agent_collect_seconds_count{collector="otlp"}') == counts[-1]
    assert number(prometheus, 'warpgauge_agent_collect_seconds_sum{collector="otlp"}') == 4.5
    (load,) = asked(prometheus, "host_load1")
    assert load["metric"]["job"] == "warpgauge"


def test_every_sample_of_a_queue_is_there_over_otlp_and_over_remote_write(prometheus, tmp_path):
    for sink in metric_sinks(config_for(prometheus), {}):
        with DurableQueue(tmp_path / sink.name, max_bytes=1 << 20, max_age_seconds=1e9, clock=SystemClock()) as queue:
            delivery: Delivery[Reading] = Delivery(sink, queue, clock=SystemClock())
            begun = time.time() - 60
            for at in range(50):
                sample = Sample(device.POWER, (f"GPU-of-{sink.name}", "0"), float(at))
                assert delivery.store(Reading(begun + at, (sample,)))
            while delivery.step() is not None:
                assert delivery.stats().trouble == ""
            assert (delivery.stats().acked, delivery.stats().dead_lettered) == (50, 0)
        (series,) = asked(prometheus, f'{{uuid="GPU-of-{sink.name}"}}[5m]')
        assert [float(value) for _, value in series["values"]] == list(map(float, range(50)))


def test_the_doctor_asks_both_doors(prometheus):
    checks = list(sink_checks(metric_sinks(config_for(prometheus), {})))
    assert [(one.subject, one.verdict) for one in checks] == [
        ("push remote_write", Verdict.OK), ("push otlp", Verdict.OK),
    ]  # fmt: skip


def time_at(ledger: Ledger, values: dict[float, int]) -> None:
    """Add so many milliseconds at each power, as the collector counts them."""
    bounds, fine, counts = device.POWER_DISTRIBUTION.buckets, {}, [0] * (len(device.POWER_DISTRIBUTION.buckets) + 1)
    for watts, milliseconds in values.items():
        counts[next((at for at, bound in enumerate(bounds) if watts <= bound), len(bounds))] += milliseconds
        fine[bucket_of(watts)] = fine.get(bucket_of(watts), 0) + milliseconds
    total = sum(watts * milliseconds for watts, milliseconds in values.items())
    ledger.add(GPU.uuid, [Increment(device.POWER_DISTRIBUTION, (), tuple(counts), total, tuple(sorted(fine.items())))])


@pytest.mark.parametrize("name", ["prometheus", "prometheus3"])
def test_a_native_histogram_has_the_totals_of_the_classic_one_and_a_finer_quantile(name, tmp_path):
    program = fetched("prometheus") if name == "prometheus" else prometheus3()
    with servers_in(tmp_path) as running:
        base = start(running, name, program, "--enable-feature=native-histograms")
        sink = RemoteWrite(config_for(base, native_histograms=True), {})
        ledger, now = Ledger(), time.time()
        time_at(ledger, {0.0: 250, 612.0: 30_000})
        assert sink.send(sink.encode(Reading(now - 30, ledger.samples(GPU)))) == Acked()
        time_at(ledger, {0.0: 10, 612.0: 9_000, 688.0: 1_000})
        assert sink.send(sink.encode(Reading(now, ledger.samples(GPU)))) == Acked()
        metric = device.POWER_DISTRIBUTION.name
        native = {of: number(base, f"histogram_{of}({metric})") for of in ("count", "sum")}
        classic = {of: number(base, f"{metric}_{of}") for of in ("count", "sum")}
        assert native == classic == {"count": 40_260.0, "sum": 612.0 * 39_000 + 688.0 * 1_000}
        gained = number(base, f"histogram_count(increase({metric}[1m]))")
        assert gained == pytest.approx(number(base, f"increase({metric}_count[1m])"), rel=1e-6)
        median = number(base, f"histogram_quantile(0.5, {metric})")
        coarse = number(base, f"histogram_quantile(0.5, {metric}_bucket)")
        assert 612.0 / 1.0906 < median <= 612.0 * 1.0906  # as wide as a bucket
        assert abs(median - 612.0) < abs(coarse - 612.0)
        assert sink.send(sink.encode(Reading(now + 1, ()))) == Acked()
        wait_until(lambda: asked(base, metric) == [], what="the series has ended")


def test_an_exponential_histogram_over_otlp_is_the_native_one_of_remote_write(tmp_path):
    with servers_in(tmp_path) as running:
        base = start(running, "prometheus3", prometheus3(), "--web.enable-otlp-receiver")
        ledger, now = Ledger(), time.time()
        for seconds_ago, values in ((30, {0.0: 250, 612.0: 30_000}), (0, {0.0: 10, 612.0: 9_000, 688.0: 1_000})):
            time_at(ledger, values)
            for kind, door in (("otlp", Otlp), ("write", RemoteWrite)):
                push = PushConfig(external_labels=(f"instance={kind}",))
                sink = door(replace(config_for(base, native_histograms=True), push=push), {})
                assert sink.send(sink.encode(Reading(now - seconds_ago, ledger.samples(GPU)))) == Acked()
        (otlp, write) = (f'{device.POWER_DISTRIBUTION.name}{{instance="{kind}"}}' for kind in ("otlp", "write"))
        for question in (
            "histogram_count({})", "histogram_sum({})", "histogram_quantile(0.5, {})", "histogram_quantile(0.99, {})",
            "histogram_fraction(0, 500, {})", "histogram_count(increase({}[1m]))",
        ):  # fmt: skip
            # Prometheus adds floating-point counts in an order of its own: the last bits may differ.
            assert number(base, question.format(otlp)) == pytest.approx(number(base, question.format(write)), rel=1e-9)
        assert number(base, f"histogram_count({otlp})") == 40_260.0
        (zero, *above), (theirs, *others) = (asked(base, one)[0]["histogram"][1]["buckets"] for one in (otlp, write))
        assert (above, zero[-1]) == (others, theirs[-1])  # how wide zero is, over OTLP Prometheus decides itself
