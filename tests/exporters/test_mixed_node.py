"""One node with NVIDIA, AMD and TPU devices, doubles behind the real collectors, and the real host."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path

import pytest

from tests.fakes import tpu_runtime
from tests.fakes.nvml_c import set_faults
from tests.fakes.running_agent import TICK_SECONDS, Running, _program, python_fake
from warpgauge.cli.docs.notes import NOTES
from warpgauge.core.catalog import ALL
from warpgauge.core.config import Config
from warpgauge.core.exposition import Format, labels_of, parse
from warpgauge.exporters.agent import Agent
from warpgauge.exporters.collectors import COLLECTORS

CHILD = Path(__file__).parents[1] / "fakes/other_child.py"
CHIPS = [f"0000:00:0{place}.0" for place in range(4, 8)]
VENDORS = {"nvidia": 2, "amd": 2, "google": 4}

pytestmark = pytest.mark.slow


def child(*arguments):
    return _program([sys.executable, str(CHILD), *map(str, arguments)], dict(os.environ))


@asynccontextmanager
async def mixed_node(tmp_path):
    faults, nvidia = tmp_path / "amd", tmp_path / "nvidia"
    faults.write_text("")
    set_faults(nvidia)
    tpu_runtime.plug_in(tmp_path / "sys", CHIPS)
    with tpu_runtime.serving(tpu_runtime.FakeRuntime()) as runtime:
        runtime.metrics = tpu_runtime.busy(len(CHIPS))
        config = Config()
        settings = replace(
            config.agent,
            fast_interval_seconds=TICK_SECONDS,
            normal_interval_seconds=TICK_SECONDS * 2,
            slow_interval_seconds=TICK_SECONDS * 3,
            training_socket=str(tmp_path / "steps.sock"),
            kernel_log="",
        )
        programs = {
            "nvml": python_fake(nvidia, "h100", "h100"),
            "amd": child("amd", faults),
            "tpu": replace(child("tpu", faults, tmp_path / "sys", runtime.address), deadline_seconds=2.0),  # as usual
        }
        agent = Agent(replace(config, agent=settings), programs=programs)
        reading = asyncio.create_task(agent.run())
        node = Running(agent, faults)
        try:
            await node.until(lambda: up(node) == VENDORS, seconds=30.0)
            yield node, runtime
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)


def page(node):
    return node.agent.pages.body(Format.TEXT, is_compressed=False).decode()


def up(node):
    """Devices that are up and described, by vendor."""
    lines = list(parse(page(node), place="page"))
    alive = {labels_of(line.labels)["uuid"] for line in lines if line.name == "accel_device_up" and line.value == 1}
    found = [labels_of(line.labels) for line in lines if line.name == "accel_device_info"]
    counted = {}
    for labels in found:
        if labels["uuid"] in alive:
            counted[labels["vendor"]] = counted.get(labels["vendor"], 0) + 1
    return counted


def ages(node):
    """Seconds since the last sample, by uuid."""
    now = node.agent._clock.now()
    return {
        labels_of(line.labels)["uuid"]: now - line.value
        for line in parse(page(node), place="page")
        if line.name == "accel_last_sample_timestamp_seconds"
    }


def of_vendor(node, vendor):
    return {it.device.uuid for it in node.agent.readings.standings if it.device.vendor == vendor}


def test_one_page_holds_every_vendor_and_promtool_has_no_complaint(tmp_path, promtool):
    async def look():
        async with mixed_node(tmp_path) as (node, _):
            await node.until(lambda: "accel_program_seconds_bucket" in page(node) and "host_load1" in page(node))
            return page(node)

    text = asyncio.run(look())
    done = subprocess.run([promtool, "check", "metrics"], input=text, text=True, capture_output=True, check=False)
    assert (done.returncode, done.stdout + done.stderr) == (0, "")
    families = {line.split()[2] for line in text.splitlines() if line.startswith("# TYPE")}
    documented = {metric.name for metric in ALL if metric in NOTES}
    assert families - documented == set()
    assert 'accel_power_watts{index="0",uuid="44ff74a1' in text
    assert text.count("accel_runtime_up{") == 4


def test_an_amd_gpu_that_hangs_leaves_all_others_on_cadence(tmp_path):
    async def look():
        async with mixed_node(tmp_path) as (node, _):
            node.script.write_text("hang 1")
            others = of_vendor(node, "nvidia") | of_vendor(node, "google")
            oldest = 0.0
            for _ in range(150):
                await asyncio.sleep(0.02)
                oldest = max(oldest, *(age for uuid, age in ages(node).items() if uuid in others))
            await node.until(lambda: up(node)["amd"] == 1, seconds=15.0)
            hung = [it.state.value for it in node.agent.readings.standings if it.device.vendor == "amd"]
            node.script.write_text("")
            await node.until(lambda: up(node) == VENDORS, seconds=30.0)
            return oldest, hung

    oldest, hung = asyncio.run(look())
    assert oldest < 1.0  # ten ticks on a busy machine; the deadline of the hung one alone is half a second
    assert sorted(hung) == ["hung", "ok"]


def test_a_runtime_that_hangs_leaves_all_others_on_cadence_and_its_chips_up(tmp_path):
    async def look():
        async with mixed_node(tmp_path) as (node, runtime):
            runtime.pause_seconds = 2.0
            await node.until(lambda: set(node.values("accel_runtime_up").values()) == {0.0}, seconds=15.0)
            return up(node), max(age for uuid, age in ages(node).items() if uuid in of_vendor(node, "nvidia"))

    alive, oldest = asyncio.run(look())
    assert alive == VENDORS
    assert oldest < 1.0


def test_a_machine_without_such_devices_starts_nothing_for_them(tmp_path):
    config = Config()
    agent = Agent(replace(config, agent=replace(config.agent, sys_root=str(tmp_path))))
    assert {one.name for one in agent.collectors} == {"nvml", "host", "infiniband", "training", "attribution"}
    assert {name for name, entry in COLLECTORS.items() if entry.pci} == {"amd", "tpu", "gaudi"}
