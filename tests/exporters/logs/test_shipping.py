"""The agent sends what is logged to a real receiver, and what it could not send waits for its next life."""

from __future__ import annotations

import asyncio
import os
from dataclasses import replace

import pytest

from tests.real_servers import free_port
from warpgauge.core.clock import SystemClock
from warpgauge.core.config import AgentConfig, AnalyzerConfig, Config, FluentdConfig, LogsConfig
from warpgauge.core.device import Device, DeviceKind
from warpgauge.core.errors import ConfigError
from warpgauge.core.exposition import Format
from warpgauge.exporters.agent import Agent
from warpgauge.exporters.collectors import COLLECTORS
from warpgauge.exporters.logs.shipping import LogShipping
from warpgauge.exporters.readings import Readings

XID = "NVRM: Xid (PCI:0000:3b:00): 79, GPU has fallen off the bus."
GPU = Device(uuid="GPU-1", index=0, kind=DeviceKind.GPU, vendor="nvidia", model="H100", pci_bus_id="00000000:3B:00.0")


def config_for(folder, port, **logs):
    return Config(
        agent=AgentConfig(kernel_log="/dev/kmsg"),
        analyzer=AnalyzerConfig(data_directory=str(folder / "data")),
        fluentd=FluentdConfig(servers=(f"127.0.0.1:{port}",), timeout_seconds=2.0),
        logs=LogsConfig(**logs),
    )


def ship(config, story, *, until=lambda: True, looks=100):
    """Run the shipping while `story` happens, until the claim holds."""
    readings = Readings(SystemClock())
    readings.see("nvml", GPU)

    async def run():
        shipping = LogShipping(config, readings, SystemClock(), os.environ)
        task = asyncio.create_task(shipping.run())
        await asyncio.sleep(0)
        story(shipping)
        for _ in range(looks):
            await asyncio.sleep(0.05)
            if until():
                break
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)

    asyncio.run(run())
    return readings


def test_nothing_is_opened_where_no_sink_is_configured(tmp_path):
    config = Config(analyzer=AnalyzerConfig(data_directory=str(tmp_path / "data")))
    LogShipping(config, Readings(SystemClock()), SystemClock()).hear(XID)
    assert not (tmp_path / "data").exists()


def test_a_relative_pattern_is_refused_at_the_start(tmp_path):
    with pytest.raises(ConfigError, match="must be absolute"):
        LogShipping(config_for(tmp_path, 9, files=("app.log",)), Readings(SystemClock()), SystemClock())


@pytest.mark.real
@pytest.mark.slow
def test_kernel_reports_files_and_events_arrive_though_the_receiver_came_only_in_the_next_life(fluent_server, tmp_path):
    log = tmp_path / "app.log"
    log.touch()
    port = free_port()
    config = config_for(tmp_path, port, files=(str(log),))
    ship(config, lambda it: it.hear(XID), looks=25)  # nobody listens
    log.write_text("written while the agent was down\n")
    server = fluent_server(port=port)
    ship(config, lambda _: None, until=lambda: len(server.entries) >= 2)
    records = [entry["record"] for entry in server.entries]
    assert [(it["kind"], it.get("uuid"), it["message"]) for it in records if it["kind"] != "event"] == [
        ("xid", "GPU-1", XID), ("line", None, "written while the agent was down"),
    ]  # fmt: skip


def test_lines_longer_than_a_small_queue_could_hold_are_refused_at_the_start(tmp_path):
    with pytest.raises(ConfigError, match="max_line_bytes must be <= 65536, got 100000"):
        LogShipping(config_for(tmp_path, 9, max_line_bytes=100_000), Readings(SystemClock()), SystemClock())


def test_a_fault_while_collecting_costs_that_look_and_is_told_once(tmp_path, caplog, monkeypatch):
    config = config_for(tmp_path, free_port())

    async def run():
        readings = Readings(SystemClock())
        shipping = LogShipping(config, readings, SystemClock())
        monkeypatch.setattr(type(shipping._collection), "collect", lambda _: 1 / 0)
        for _ in range(2):
            await shipping._look(shipping._collection)
        monkeypatch.undo()
        await shipping._look(shipping._collection)

    asyncio.run(run())
    assert [record.message for record in caplog.records] == ["logs not collected"]


def page_of(agent):
    agent.pages.publish()
    return agent.pages.body(Format.TEXT, is_compressed=False)


@pytest.mark.real
@pytest.mark.slow
def test_an_agent_without_any_device_sends_what_the_kernel_reports(fluent_server, tmp_path):
    server = fluent_server()
    pipe = tmp_path / "kmsg"
    os.mkfifo(pipe)
    writer = os.open(pipe, os.O_RDWR)
    config = config_for(tmp_path, server.port, events=False)
    config = replace(config, agent=AgentConfig(kernel_log=str(pipe), disabled_collectors=tuple(COLLECTORS)))

    async def run():
        agent = Agent(config)
        task = asyncio.create_task(agent.run())
        await asyncio.sleep(0.3)
        os.write(writer, b"4,1,1,-;Out of memory: Killed process 4711 (python3) total-vm:1kB\n")
        for _ in range(100):
            await asyncio.sleep(0.05)
            if server.entries and b'queue_acked_total{sink="fluentd"} 1' in page_of(agent):
                break
        page = page_of(agent)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
        return page

    try:
        page = asyncio.run(run())
    finally:
        os.close(writer)
    (entry,) = server.entries
    assert (entry["record"]["kind"], entry["record"]["pid"]) == ("oom_kill", 4711)
    assert b"warpgauge_agent_log_records_total 1" in page
    assert b'warpgauge_agent_queue_acked_total{sink="fluentd"} 1' in page
