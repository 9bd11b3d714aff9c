"""A board that is cut, cut otherwise and made whole again while the agent runs, in a real child process."""

from __future__ import annotations

import asyncio

import pytest

from tests.fakes.running_agent import python_fake, running

pytestmark = pytest.mark.slow

MEMORY = "accel_memory_total_bytes"
ACTIVE = "accel_compute_active_ratio"


def test_a_board_is_cut_and_made_whole_again_without_a_restart_and_nobody_else_notices(tmp_path):
    script = tmp_path / "faults"

    def told(agent, metric):
        return {place[1:] for place in agent.values(metric) if place[0] == "0"}

    async def tell():
        async with running(python_fake(script, "h100", "h100"), script) as agent:
            await agent.until(lambda: set(agent.values(ACTIVE)) == {("0",), ("1",)})
            agent.inflict("mig 0 1:3g.40gb/1+2 - 13:1g.10gb")
            await agent.until(lambda: told(agent, MEMORY) == told(agent, ACTIVE) == {("1",), ("13",)})
            assert len(agent.values("accel_instance_info")) == 3
            listed = [device.get("instances", []) for device in agent.agent.devices()]
            assert [[part["profile"] for part in parts] for parts in listed] == [
                ["1c.3g.40gb", "2c.3g.40gb", "1g.10gb"],
                [],
            ]
            agent.inflict("mig 0 5:2g.20gb 13:1g.10gb")
            await agent.until(lambda: told(agent, MEMORY) == told(agent, ACTIVE) == {("5",), ("13",)})
            agent.inflict()
            await agent.until(lambda: told(agent, MEMORY) == told(agent, ACTIVE) == {()})
            assert agent.values("accel_instance_info") == {}
            assert set(agent.values("accel_power_watts")) == {("0",), ("1",)}
            assert agent.states() == {0: "ok", 1: "ok"}
            assert agent.restarts() == {}

    asyncio.run(tell())
