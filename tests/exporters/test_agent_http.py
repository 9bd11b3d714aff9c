"""The agent's pages over HTTP, on a free port of this machine."""

from __future__ import annotations

import asyncio
import gzip
import json
from contextlib import asynccontextmanager
from dataclasses import replace

import aiohttp
import pytest

from tests.fakes.running_agent import python_fake
from tests.pace import pace
from warpgauge.core.config import Config, DemoConfig
from warpgauge.core.errors import ConfigError
from warpgauge.core.exposition import Format, parse
from warpgauge.exporters.agent import Agent
from warpgauge.exporters.collectors import COLLECTORS
from warpgauge.exporters.routes import application
from warpgauge.web import ListenAddress, serve

pytestmark = pytest.mark.slow


def config(*, demo="never", disabled=("training",), **agent):
    base = Config()
    return replace(
        base,
        agent=replace(base.agent, disabled_collectors=disabled, fast_interval_seconds=0.2, **agent),
        demo=DemoConfig(mode=demo, faults=("idle_allocated",)),
    )


@asynccontextmanager
async def served(settings, programs=None):
    """Base URL session of a running agent."""
    agent, stop, port = Agent(settings, programs=programs), asyncio.Event(), asyncio.get_running_loop().create_future()
    reading = asyncio.create_task(agent.run())
    address = ListenAddress.parse("127.0.0.1:0")
    serving = asyncio.create_task(
        serve(application(agent), address, on_listening=lambda _, number: port.set_result(number), stop=stop)
    )
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{await port}", auto_decompress=False) as session:
            yield session
    finally:
        stop.set()
        await serving
        reading.cancel()
        await asyncio.gather(reading, return_exceptions=True)


async def get(session, path, **headers):
    async with session.get(path, headers=headers, skip_auto_headers=["Accept", "Accept-Encoding"]) as answer:
        return answer.status, answer.headers, await answer.read()


async def until_ready(session):
    async with asyncio.timeout(15 * pace()):
        while (await get(session, "/-/ready"))[0] != 200:  # noqa: ASYNC110 - the other side is a server
            await asyncio.sleep(0.05)


def told(settings, story, programs=None):
    async def run():
        async with served(settings, programs) as session:
            await until_ready(session)
            return await story(session)

    return asyncio.run(run())


HOST_ONLY = {"disabled": ("training", "nvml")}


def test_the_page_comes_in_the_format_and_coding_that_was_asked_for():
    async def story(session):
        return (
            await get(session, "/metrics"),
            await get(session, "/metrics", Accept="application/openmetrics-text", **{"Accept-Encoding": "gzip"}),
            await get(session, "/metrics", **{"Accept-Encoding": "gzip;q=0"}),
        )

    plain, packed, refused = told(config(**HOST_ONLY), story)
    assert plain[1]["Content-Type"] == Format.TEXT.content_type
    assert "Content-Encoding" not in plain[1]
    assert packed[1]["Content-Type"] == Format.OPENMETRICS.content_type
    assert (packed[1]["Content-Encoding"], packed[1]["Vary"]) == ("gzip", "Accept, Accept-Encoding")
    text = gzip.decompress(packed[2]).decode()
    assert any(line.name == "host_load1" for line in parse(text, place="page", openmetrics=True))
    assert "Content-Encoding" not in refused[1]


def test_scrapes_are_counted_by_format():
    async def story(session):
        for _ in range(3):
            await get(session, "/metrics")
        async with asyncio.timeout(5):
            wanted = b'warpgauge_agent_scrapes_total{format="text"} '
            while wanted not in (await get(session, "/metrics"))[2]:  # noqa: ASYNC110 - the other side is a server
                await asyncio.sleep(0.05)

    told(config(**HOST_ONLY), story)


def test_devices_are_listed_with_what_is_known_of_them(tmp_path):
    async def story(session):
        async with asyncio.timeout(15 * pace()):  # the agent may be ready before its child has told of both
            while len(devices := json.loads((await get(session, "/api/v1/devices"))[2])["devices"]) < 2:  # noqa: ASYNC110 - the other side is a server
                await asyncio.sleep(0.05)
        return devices

    script = tmp_path / "faults"
    script.write_text("")
    devices = told(config(disabled=("training", "host")), story, {"nvml": python_fake(script, "h100", "t4")})
    assert [(device["index"], device["model"], device["state"]) for device in devices] == [
        (0, "NVIDIA H100 80GB HBM3", "ok"),
        (1, "Tesla T4", "ok"),
    ]
    assert devices[0].keys() >= {"uuid", "kind", "vendor", "pci_bus_id", "node", "last_sample"}
    assert None not in devices[0].values()


def test_the_busiest_processes_are_named():
    async def story(session):
        return (
            json.loads((await get(session, "/api/v1/processes?top=3"))[2])["processes"],
            (await get(session, "/api/v1/processes?top=many"))[0],
        )

    processes, status = told(config(**HOST_ONLY), story)
    assert len(processes) == 3
    assert processes == sorted(processes, key=lambda one: -one["cpu_ratio"])
    assert processes[0].keys() - {"workload"} == {"pid", "command", "cpu_ratio", "memory_bytes", "user"}
    assert status == 400


def test_without_a_demo_nothing_simulated_is_served():
    async def story(session):
        paths = ("/sim/truth", "/sim/sim-node-0/metrics", "/sim/sim-node-0/backfill")
        return [(await get(session, path))[0] for path in paths], (await get(session, "/sd"))[2]

    statuses, listed = told(config(**HOST_ONLY), story)
    assert statuses == [404, 404, 404]
    assert json.loads(listed) == []


@pytest.mark.parametrize("mode", ["auto", "always"])
def test_a_demo_has_pages_of_its_own_and_none_of_it_is_on_the_real_page(mode):
    async def story(session):
        # A busy machine makes the model late.
        while not (groups := json.loads((await get(session, "/sd"))[2])):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.2)
        group = groups[0]
        page = (await get(session, group["labels"]["__metrics_path__"]))[2].decode()
        past = (await get(session, group["labels"]["__meta_warpgauge_backfill"]))[2].decode()
        truth = json.loads((await get(session, "/sim/truth"))[2])
        unknown = (await get(session, "/sim/no-such-node/metrics"))[0]
        return page, past, truth, unknown, (await get(session, "/metrics"))[2].decode()

    page, past, truth, unknown, real = told(config(demo=mode, **HOST_ONLY), story)
    assert 'simulated="true"' in page
    assert "accel_" not in real
    assert "sim-node" not in real
    assert past.endswith("# EOF\n")
    assert [fault["kind"] for fault in truth["faults"]] == ["idle_allocated"]
    assert unknown == 404


def test_who_leaves_in_the_middle_of_a_long_page_costs_no_error(caplog):
    async def story(session):
        while not (groups := json.loads((await get(session, "/sd"))[2])):  # noqa: ASYNC110 - as above
            await asyncio.sleep(0.2)
        path = groups[0]["labels"]["__meta_warpgauge_backfill"]
        for _ in range(3):
            async with session.get(path) as response:
                await response.content.readany()
                response.close()  # with most of it unread
        await get(session, "/metrics")

    told(config(demo="always", **HOST_ONLY), story)
    assert [record.getMessage() for record in caplog.records if record.levelname == "ERROR"] == []


def test_a_demo_in_mode_auto_stays_away_where_there_is_a_device(tmp_path):
    async def story(session):
        return json.loads((await get(session, "/sd"))[2])

    script = tmp_path / "faults"
    script.write_text("")
    programs = {"nvml": python_fake(script, "t4")}
    assert told(config(demo="auto", disabled=("training", "host")), story, programs) == []


def test_the_landing_page_says_what_runs_without_a_script_or_style():
    async def story(session):
        return await get(session, "/")

    status, headers, body = told(config(**HOST_ONLY), story)
    assert (status, headers["Content-Type"]) == (200, "text/html; charset=utf-8")
    assert b"/metrics" in body
    assert b"<script" not in body
    assert b"style" not in body


def test_an_unknown_collector_in_the_settings_is_named():
    with pytest.raises(ConfigError, match=rf"'hots'; there are {', '.join(COLLECTORS)}"):
        Agent(config(disabled=("hots",)))


def test_the_dcgm_view_is_off_unless_asked_for_and_says_how(tmp_path):
    async def story(session):
        status, _, body = await get(session, "/metrics/dcgm")
        return status, body.decode()

    script = tmp_path / "faults"
    script.write_text("")
    programs = {"nvml": python_fake(script, "h100")}
    status, text = told(config(), story, programs)
    assert (status, text.strip()) == (404, "the DCGM view is off; start the agent with agent.dcgm_view = true")
    status, text = told(config(dcgm_view=True), story, programs)
    assert status == 200
    assert 'DCGM_FI_DEV_POWER_USAGE{gpu="0",UUID="GPU-00000000' in text
    assert "accel_" not in text
