"""A real Prometheus scrapes an agent's page and writes to the analyzer, which finds what is wrong on it."""

from __future__ import annotations

import asyncio
import time
from typing import TYPE_CHECKING

import pytest
from aiohttp import web

from tests.live_pages import serve
from warpgauge.analyzer.detectors import DETECTORS
from warpgauge.analyzer.service.receiver import PATH, RemoteWriteReceiver
from warpgauge.analyzer.service.watch import Watch
from warpgauge.core.catalog import device
from warpgauge.core.clock import SystemClock
from warpgauge.core.config import AnalyzerConfig
from warpgauge.web import make_app

if TYPE_CHECKING:
    from collections.abc import Callable

pytest.importorskip("cramjam", reason="cramjam is not installed: pip install '.[remote-write]'")
pytestmark = [pytest.mark.real, pytest.mark.slow]

CONFIG = AnalyzerConfig(remote_write=True)
LEAST_REQUESTS = 4


class FastClock(SystemClock):
    """Real time, except that what waits for its siblings need not wait for minutes."""

    ahead = 0.0

    def monotonic(self) -> float:
        return super().monotonic() + self.ahead


def page() -> bytes:
    labels = 'uuid="GPU-1",index="0"'
    states = "\n".join(
        f'{device.DEVICE_STATE.name}{{{labels},state="{state}"}} {float(state == "lost"):g}'
        for state in device.DEVICE_STATE.states
    )
    return f"# TYPE {device.DEVICE_STATE.name} gauge\n{states}\n".encode()


async def found_by(target: str, prometheus_server: Callable[..., str]) -> tuple[set[str], int]:
    """Kinds of findings, and how many requests came."""
    clock = FastClock()
    watch = Watch(CONFIG, clock, DETECTORS)
    requests = 0

    async def write(body: bytes) -> int:
        nonlocal requests
        requests += 1
        return await watch.write(body)

    receiver = RemoteWriteReceiver(CONFIG, write, clock)
    app = make_app(ready=lambda: None, own_doors={PATH: receiver.knows})
    app.router.add_post(PATH, receiver.handler)
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await (site := web.TCPSite(runner, "127.0.0.1", 0)).start()
    try:
        url = f"http://127.0.0.1:{runner.addresses[0][1]}{PATH}"
        await asyncio.to_thread(prometheus_server, config=configuration(target, url))
        end = time.monotonic() + 60
        while requests < LEAST_REQUESTS and time.monotonic() < end:  # noqa: ASYNC110 - another process has no event
            await asyncio.sleep(0.1)
        clock.ahead = 3600.0
        result = await watch.judge({})
        await watch.accept(result)
        return {finding.kind.value for finding in result.findings}, requests
    finally:
        await site.stop()
        await runner.cleanup()
        watch.close()


def configuration(target: str, write_url: str) -> dict[str, object]:
    return {
        "global": {"scrape_interval": "1s", "scrape_timeout": "1s", "external_labels": {"cluster": "lab"}},
        "scrape_configs": [
            {"job_name": "agent", "static_configs": [{"targets": [target]}]},
        ],
        "remote_write": [{"url": write_url, "queue_config": {"batch_send_deadline": "1s"}}],
    }


def test_a_lost_device_is_found_from_what_a_real_prometheus_writes(prometheus_server: Callable[..., str]):
    with serve({"/metrics": page}) as target:
        kinds, requests = asyncio.run(found_by(target, prometheus_server))

    assert requests >= LEAST_REQUESTS
    assert "device_lost" in kinds
