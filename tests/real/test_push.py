"""The push to real receivers: Debian's Prometheus and VictoriaMetrics, killed and started again meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
import random
import signal
import subprocess
import sys
import time
import urllib.parse
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

pytest.importorskip("cramjam", reason="cramjam is not installed: pip install '.[push]'")

from tests.real.push_child import delivery_to, numbered
from tests.real_servers import answers, fetched, free_port, get_json, wait_until
from warpgauge.cli.main import main
from warpgauge.core.catalog import host
from warpgauge.core.config import AgentConfig, AnalyzerConfig, Config, PushConfig, RemoteWriteConfig
from warpgauge.core.sample import Sample
from warpgauge.exporters.agent import Agent
from warpgauge.exporters.collectors import COLLECTORS
from warpgauge.exporters.push.reading import Reading
from warpgauge.exporters.push.remote_write import RemoteWrite
from warpgauge.exporters.push.sink import Acked, Dead

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

pytestmark = [pytest.mark.real, pytest.mark.slow]

CHILD = Path(__file__).with_name("push_child.py")
SEED = 7


class Restartable:
    """A receiver that keeps its port and its data from one start to the next."""

    def __init__(self, directory: Path, command: Callable[[int, Path], list[str]], ready: str) -> None:
        self._directory, self._command, self._ready = directory, command, ready
        self._port = free_port()
        self.url = f"http://127.0.0.1:{self._port}"
        self._process: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        with (self._directory / "log").open("ab") as log:
            self._process = subprocess.Popen(self._command(self._port, self._directory), stdout=log, stderr=log)
        wait_until(lambda: answers(self.url + self._ready), what=f"{self.url} answers")

    def stop(self, *, is_sudden: bool = True) -> None:
        if self._process is not None:
            (self._process.kill if is_sudden else self._process.terminate)()
            self._process.wait()

    @contextmanager
    def frozen(self) -> Iterator[None]:
        os.kill(self._process.pid, signal.SIGSTOP)
        try:
            yield
        finally:
            os.kill(self._process.pid, signal.SIGCONT)

    def values(self) -> list[float]:
        """Every value that it has of the numbered series, in the order of their times."""
        query = urllib.parse.urlencode({"query": f"{host.LOAD1.name}[1h]", "nocache": "1", "time": time.time() + 1})
        found = get_json(f"{self.url}/api/v1/query?{query}")["data"]["result"]
        return [float(value) for series in found for _, value in series["values"]]


def prometheus_command(port: int, home: Path) -> list[str]:
    config = home / "prometheus.yml"
    config.write_text(json.dumps({"storage": {"tsdb": {"out_of_order_time_window": "30m"}}}))
    return [
        str(fetched("prometheus")),
        f"--config.file={config}",
        f"--storage.tsdb.path={home / 'data'}",
        f"--web.listen-address=127.0.0.1:{port}",
        "--web.enable-remote-write-receiver",
    ]


def victoria_command(port: int, home: Path) -> list[str]:
    return [
        str(fetched("victoria-metrics")),
        f"-storageDataPath={home / 'data'}",
        f"-httpListenAddr=127.0.0.1:{port}",
        "-search.latencyOffset=0s",
        "-retentionPeriod=1",
    ]


RECEIVERS = {"prometheus": (prometheus_command, "/-/ready"), "victoria-metrics": (victoria_command, "/health")}


@contextmanager
def receiver(name: str, directory: Path) -> Iterator[Restartable]:
    directory.mkdir()
    running = Restartable(directory, *RECEIVERS[name])
    running.start()
    try:
        yield running
    finally:
        running.stop()


@pytest.mark.parametrize("name", RECEIVERS)
def test_every_sample_of_an_outage_arrives_once_the_receiver_is_back(name, tmp_path):
    with receiver(name, tmp_path / name) as target:
        delivery = delivery_to(target.url, tmp_path / "queue.db")
        delivery.start()
        for number in range(60):
            if number == 20:
                wait_until(lambda: delivery.stats().acked == 20, what="the first 20 are there")
                # VictoriaMetrics acknowledges what it has in memory only: killed, it loses a second of it by itself.
                target.stop(is_sudden=name == "prometheus")
            if number == 40:
                assert delivery.stats().records == 20
                target.start()
            assert delivery.store(numbered(number))
            time.sleep(0.002)  # times are in milliseconds
        wait_until(lambda: delivery.stats().acked == 60, what="the receiver acknowledged all")
        wait_until(lambda: set(map(float, range(60))) <= set(target.values()), what="all can be queried")
        assert delivery.stats().dead_lettered == delivery.stats().dropped == 0
        assert delivery.stats().retries > 0
        delivery.close()


def test_a_receiver_that_is_frozen_gets_everything_once_it_goes_on(tmp_path):
    with receiver("prometheus", tmp_path / "prometheus") as target:
        delivery = delivery_to(target.url, tmp_path / "queue.db")
        delivery.start()
        with target.frozen():
            for number in range(20):
                assert delivery.store(numbered(number))
                time.sleep(0.002)
            wait_until(lambda: delivery.stats().retries > 0, what="an answer was waited for in vain")
            assert delivery.stats().acked == 0
        wait_until(lambda: delivery.stats().acked == 20, what="the receiver acknowledged all")
        delivery.close()
        assert target.values() == list(map(float, range(20)))


def test_what_was_safe_arrives_though_the_agents_process_is_killed_again_and_again(tmp_path):
    dice, safe = random.Random(SEED), []
    with receiver("prometheus", tmp_path / "prometheus") as target:
        queue = tmp_path / "queue.db"
        for life in range(8):
            command = [sys.executable, CHILD, target.url, queue, str(1000 * life)]
            with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as child:
                first = child.stdout.readline()
                time.sleep(dice.uniform(0.0, 0.15))
                child.kill()
                said = first + child.stdout.read()
            safe += [float(line) for line in said.splitlines(keepends=True) if line.endswith("\n")]
        delivery = delivery_to(target.url, queue)
        delivery.start()
        wait_until(lambda: delivery.stats().records == 0, what="the rest is delivered")
        assert delivery.stats().dead_lettered == delivery.stats().dropped == 0
        delivery.close()
        assert len(safe) > 8
        assert set(safe) <= set(target.values())


def test_samples_too_old_for_prometheus_are_dead_and_a_late_one_in_its_window_is_taken(tmp_path):
    with receiver("prometheus", tmp_path / "prometheus") as target:
        sink = RemoteWrite(Config(remote_write=RemoteWriteConfig(url=f"{target.url}/api/v1/write")), {})
        now = time.time()
        said = [sink.send(sink.encode(Reading(now - ago, [Sample(host.LOAD1, (), ago)]))) for ago in (0, 600, 10800)]
        assert said[:2] == [Acked(), Acked()]
        assert isinstance(said[2], Dead)
        assert "too old sample" in said[2].reason or "out of bounds" in said[2].reason


def test_a_repeated_batch_is_taken_again_so_a_lost_acknowledgement_costs_nothing(tmp_path):
    with receiver("prometheus", tmp_path / "prometheus") as target:
        sink = RemoteWrite(Config(remote_write=RemoteWriteConfig(url=f"{target.url}/api/v1/write")), {})
        body = sink.encode(Reading(time.time(), [Sample(host.LOAD1, (), 1.0)]))
        assert [sink.send(body), sink.send(body)] == [Acked(), Acked()]
        assert target.values() == [1.0]


def test_the_agent_pushes_its_page_and_tells_what_arrived(prometheus_server, tmp_path):
    url = prometheus_server()
    config = Config(
        agent=AgentConfig(disabled_collectors=tuple(name for name in COLLECTORS if name != "host")),
        analyzer=AnalyzerConfig(data_directory=str(tmp_path / "data")),
        push=PushConfig(interval_seconds=0.2, external_labels=("cluster=a", "instance=n1"), drop="host_network_.*"),
        remote_write=RemoteWriteConfig(url=f"{url}/api/v1/write"),
    )

    def series(query: str) -> list[dict[str, str]]:
        found = get_json(f"{url}/api/v1/query?" + urllib.parse.urlencode({"query": query}))["data"]["result"]
        return [one["metric"] for one in found]

    async def push() -> None:
        agent = asyncio.create_task(Agent(config).run())
        loop = asyncio.get_running_loop()
        arrived = 'warpgauge_agent_queue_acked_total{sink="remote_write",cluster="a",job="warpgauge",instance="n1"} > 1'
        await loop.run_in_executor(None, lambda: wait_until(lambda: series(arrived), what="the agent's page is there"))
        agent.cancel()
        with suppress(asyncio.CancelledError):
            await agent

    asyncio.run(push())
    names = {one["__name__"] for one in series('{instance="n1"}')}
    assert {"host_load1", "host_memory_total_bytes", "warpgauge_agent_collect_seconds_bucket"} <= names
    assert not [name for name in names if name.startswith("host_network_")]


def test_the_doctor_asks_each_receiver_and_leaves_nothing_there(prometheus_server, tmp_path, monkeypatch, capsys):
    url = prometheus_server()
    monkeypatch.setenv("WARPGAUGE_REMOTE_WRITE_URL", f"{url}/api/v1/write")
    monkeypatch.setenv("WARPGAUGE_OTLP_URL", f"{url}/api/v1/otlp/v1/metrics")  # this version takes no OTLP: 404
    monkeypatch.setenv("WARPGAUGE_AGENT_SYS_ROOT", str(tmp_path))
    assert main(["doctor", "--json"]) == 1
    found = {check["subject"]: check for check in map(json.loads, capsys.readouterr().out.splitlines())}
    assert found["push remote_write"]["verdict"] == "OK"
    assert "HTTP 404" in found["push otlp"]["detail"]
    assert get_json(f"{url}/api/v1/label/__name__/values")["data"] == []
