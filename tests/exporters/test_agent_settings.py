"""Settings on their way to a driver's child process: those it starts with and those that change while it runs."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes.running_agent import python_fake, running
from warpgauge.core.catalog import device, own, process

pytestmark = pytest.mark.slow


def told(tmp_path, story, **settings):
    """Run a story on an agent with one fake GPU and a /proc of its own."""
    script = tmp_path / "faults"

    async def tell():
        program = python_fake(script, "h100")
        async with running(program, script, proc_root=str(tmp_path), **settings) as agent:
            await agent.until(lambda: agent.with_data() == {0})
            await story(agent)

    asyncio.run(tell())


def mode(agent):
    return [mode for (mode,), value in agent.values(own.GPM_MODE.name).items() if value]


def test_gpm_is_left_to_dcgm_and_taken_up_again_without_a_new_child(tmp_path):
    (tmp_path / "77").mkdir()
    (tmp_path / "77/comm").write_text("nv-hostengine\n")

    async def story(agent):
        await agent.until(lambda: mode(agent) == ["auto_yielding"])
        await asyncio.sleep(0.4)  # some ticks
        assert not agent.values(device.COMPUTE_ACTIVE.name)
        (tmp_path / "77/comm").unlink()
        await agent.until(lambda: mode(agent) == ["auto_reading"] and agent.values(device.COMPUTE_ACTIVE.name))
        assert agent.restarts() == {}

    told(tmp_path, story)


def test_processes_have_series_where_that_is_asked_for(tmp_path):
    (tmp_path / "1000").mkdir()
    (tmp_path / "1000/comm").write_text("python3\n")

    async def story(agent):
        await agent.until(lambda: agent.values(process.PROCESS_MEMORY.name))
        assert set(agent.values(process.PROCESS_MEMORY.name)) == {("python3", "0", "1000")}
        assert set(agent.values(own.PROCESSES_LEFT_OUT.name).values()) == {1.0}

    told(tmp_path, story, process_metrics=True, process_metrics_limit=1)


def test_gpm_that_is_switched_off_is_never_read(tmp_path):
    async def story(agent):
        await asyncio.sleep(0.4)  # some ticks
        assert mode(agent) == ["off"]
        assert not agent.values(device.COMPUTE_ACTIVE.name)

    told(tmp_path, story, gpm="off")
