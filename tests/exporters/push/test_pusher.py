"""The agent's push: what is on the page goes to every sink, and the page tells what became of it."""

from __future__ import annotations

import asyncio
from types import SimpleNamespace

import pytest

pytest.importorskip("cramjam", reason="cramjam is not installed: pip install '.[push]'")
pytest.importorskip("opentelemetry.proto", reason="opentelemetry-proto is not installed: pip install '.[push]'")

from tests.exporters.push.receivers import receiver
from warpgauge.core.catalog import Tier, host, own
from warpgauge.core.clock import SystemClock
from warpgauge.core.config import AnalyzerConfig, Config, OtlpConfig, PushConfig, RemoteWriteConfig
from warpgauge.core.sample import Sample
from warpgauge.exporters.push.pusher import Pusher, metric_sinks
from warpgauge.exporters.push.queues import QueueTeller
from warpgauge.exporters.push.worker import DeliveryStats
from warpgauge.exporters.readings import Readings


@pytest.fixture
def readings():
    found = Readings(SystemClock())
    found.update("host", Tier.FAST, None, [Sample(host.LOAD1, (), 0.5)])
    return found


def settings(tmp_path, url: str) -> Config:
    return Config(
        analyzer=AnalyzerConfig(data_directory=str(tmp_path)),
        push=PushConfig(interval_seconds=0.02, pace_seconds=0.0),
        remote_write=RemoteWriteConfig(url=f"{url}/write"),
        otlp=OtlpConfig(url=f"{url}/otlp"),
    )


def told(readings: Readings) -> dict[tuple[str, str], float]:
    rows = (own.QUEUE_ACKED, own.QUEUE_DROPPED)
    return {(one.metric.name, one.labels[0]): one.value for one in readings.tally.samples() if one.metric in rows}


def test_nothing_is_made_where_no_sink_is_configured(tmp_path, readings):
    config = Config(analyzer=AnalyzerConfig(data_directory=str(tmp_path)))
    asyncio.run(Pusher(config, readings, SystemClock(), {}).run())
    assert metric_sinks(config, {}) == []
    assert list(tmp_path.iterdir()) == []


def test_each_sink_gets_the_page_and_the_page_tells_what_arrived(tmp_path, readings):
    async def push(url: str) -> None:
        running = asyncio.create_task(Pusher(settings(tmp_path, url), readings, SystemClock(), {}).run())
        acked = {(own.QUEUE_ACKED.name, sink) for sink in ("remote_write", "otlp")}
        for _ in range(500):
            await asyncio.sleep(0.01)
            if all(told(readings).get(key, 0.0) > 0 for key in acked):
                break
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    with receiver() as target:
        asyncio.run(push(target.url))
    assert {headers["content-encoding"] for headers, _ in target.requests} == {"snappy", "gzip"}
    assert told(readings)[own.QUEUE_ACKED.name, "otlp"] > 0
    assert told(readings)[own.QUEUE_DROPPED.name, "remote_write"] == 0.0


def test_what_could_not_be_sent_is_in_the_queue_of_the_next_start(tmp_path, readings):
    dead = settings(tmp_path, "http://127.0.0.1:9")

    async def push(config: Config, seconds: float) -> None:
        running = asyncio.create_task(Pusher(config, readings, SystemClock(), {}).run())
        await asyncio.sleep(seconds)
        running.cancel()
        await asyncio.gather(running, return_exceptions=True)

    asyncio.run(push(dead, 0.1))
    with receiver() as target:
        never = settings(tmp_path, target.url)
        asyncio.run(push(Config(analyzer=never.analyzer, remote_write=never.remote_write), 0.3))  # pushes each 15 s
    assert target.requests


def test_the_log_tells_of_losses_beside_a_receiver_that_is_away(readings, caplog):
    counts = ("records", "bytes", "max_bytes", "acked", "dropped", "dead_lettered", "retries", "refused")
    teller = QueueTeller(readings)

    def tick(loss: str) -> None:
        known = {"oldest_timestamp": None, "trouble": "batches wait: away", "loss": loss}
        stats = DeliveryStats(**dict.fromkeys(counts, 0), **known)
        delivery = SimpleNamespace(sink=SimpleNamespace(name="remote_write"), stats=lambda: stats)
        asyncio.run(teller.tell([delivery]))

    with caplog.at_level("INFO"):
        for loss in ("", "a batch was dropped: disk full", "a batch was dropped: disk full", ""):
            tick(loss)

    assert [record.message for record in caplog.records] == [
        "sink does not take all", "batches are lost", "batches are kept again"
    ]  # fmt: skip


def test_the_samples_are_those_of_the_page(readings):
    page = {name for family in readings.families() for name in family}
    assert {sample.metric for sample in readings.samples()} == page
