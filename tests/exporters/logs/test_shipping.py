"""The agent sends what is logged to a real receiver, and what it could not send waits for its next life."""

from __future__ import annotations

import asyncio
import os

import pytest

from tests.real_servers import free_port
from warpgauge.core.clock import SystemClock
from warpgauge.core.config import AgentConfig, AnalyzerConfig, Config, FluentdConfig, LogsConfig
from warpgauge.core.device import Device, DeviceKind
from warpgauge.core.errors import ConfigError
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
