"""What faults of a driver cost: each one in a real child process, over the Python fake and over a real library."""

from __future__ import annotations

import asyncio

import psutil
import pytest

from tests.fakes.nvml_c import build_stub, stub_environment
from tests.fakes.running_agent import DEADLINE_SECONDS, TICK_SECONDS, c_fake, python_fake, running
from warpgauge.core.clock import SystemClock
from warpgauge.core.exposition import Format

pytestmark = pytest.mark.slow

GPUS = 4
EVERYBODY = set(range(GPUS))
CHILD_START_SECONDS = 1.5  # of Python on two busy cores; 0.2 s when they are idle


@pytest.fixture(scope="session")
def stub(tmp_path_factory):
    return build_stub(tmp_path_factory.mktemp("nvml"))


@pytest.fixture(params=["python fake", "C library"])
def program(request, tmp_path):
    script = tmp_path / "faults"
    if request.param == "python fake":
        return python_fake(script, *["h100"] * GPUS), script
    return c_fake(stub_environment(request.getfixturevalue("stub"), script, gpus=GPUS)), script


def on(program, story):
    """Run a story on an agent whose devices are all well, and see that it leaves no process behind."""

    async def tell():
        async with running(*program) as agent:
            await agent.until(lambda: agent.with_data() == EVERYBODY)
            await story(agent)

    before = set(psutil.Process().children(recursive=True))
    asyncio.run(tell())
    assert set(psutil.Process().children(recursive=True)) <= before, "an orphan is left"


FAULTS = [
    pytest.param(["lost 2"], {2: "lost"}, id="lost"),
    pytest.param(["reset 1"], {1: "needs_reset"}, id="needs reset"),
    pytest.param(["hang 2"], {2: "hung"}, id="one hangs"),
    pytest.param(["hang 0", "hang 3"], {0: "hung", 3: "hung"}, id="several hang"),
    pytest.param(["hang 1", "lost 3"], {1: "hung", 3: "lost"}, id="one hangs and one is lost"),
    pytest.param(["crash 2"], {2: "hung"}, id="crash in the library"),
    pytest.param(["hang all"], dict.fromkeys(range(GPUS), "hung"), id="the driver's lock hangs"),
]


@pytest.mark.parametrize(("faults", "states"), FAULTS)
def test_a_fault_takes_its_device_out_tells_why_and_ends_without_a_restart(program, faults, states):
    async def story(agent):
        agent.inflict(*faults)
        await agent.until(lambda: agent.states() == {**dict.fromkeys(EVERYBODY, "ok"), **states})
        assert agent.with_data() == EVERYBODY - states.keys()
        up = agent.values("accel_device_up")
        assert {int(index) for (index,), value in up.items() if value} == EVERYBODY - states.keys()
        agent.inflict()
        await agent.until(lambda: agent.with_data() == EVERYBODY, seconds=20)
        assert set(agent.states().values()) == {"ok"}

    on(program, story)


@pytest.mark.parametrize(("faults", "states"), [fault for fault in FAULTS if fault.id != "the driver's lock hangs"])
def test_the_others_are_late_by_at_most_a_deadline_and_a_start_and_once(program, faults, states):
    healthy = sorted(EVERYBODY - states.keys())

    async def story(agent):
        agent.inflict(*faults)
        end = SystemClock().monotonic() + 2.0
        ages = []
        while SystemClock().monotonic() < end:
            await asyncio.sleep(0.02)
            ages.append(agent.oldest_seconds(*healthy))
        # One that hangs while another is lost is found out by the next child only, after all of its time to open.
        await agent.until(lambda: agent.states().items() >= states.items())
        assert max(ages) <= DEADLINE_SECONDS + CHILD_START_SECONDS
        late = [age > DEADLINE_SECONDS / 2 + TICK_SECONDS for age in ages]
        assert sum(now and not before for before, now in zip([False, *late], late, strict=False)) <= 2

    on(program, story)


def test_several_that_hang_cost_one_deadline_together(program):
    async def story(agent):
        agent.inflict("hang 0", "hang 1", "hang 2")
        await agent.until(lambda: list(agent.states().values()).count("hung") == 3)
        assert agent.restarts()["hung"] == 1

    on(program, story)


def test_a_lost_devices_data_is_gone_within_a_tick(program):
    async def story(agent):
        agent.inflict("lost 1")
        begun = SystemClock().monotonic()
        await agent.until(lambda: 1 not in agent.with_data())
        assert SystemClock().monotonic() - begun <= TICK_SECONDS + 0.5  # two busy cores
        assert agent.states()[1] == "lost"

    on(program, story)


def test_pages_are_made_without_the_driver_while_it_hangs(program):
    async def story(agent):
        agent.inflict("hang all")
        for _ in range(50):
            begun = SystemClock().monotonic()
            agent.agent.pages.body(Format.TEXT, is_compressed=True)
            assert SystemClock().monotonic() - begun < DEADLINE_SECONDS / 2
            await asyncio.sleep(0.02)

    on(program, story)


def test_a_driver_that_is_unloaded_and_loaded_again_needs_no_restart(program):
    async def story(agent):
        agent.inflict("unloaded")
        await agent.until(lambda: set(agent.states().values()) == {"lost"})
        assert agent.with_data() == set()
        assert agent.values("warpgauge_agent_collector_up") == {("nvml",): 0.0}
        agent.inflict()
        await agent.until(lambda: agent.with_data() == EVERYBODY, seconds=20)
        assert agent.values("warpgauge_agent_collector_up") == {("nvml",): 1.0}

    on(program, story)


def test_a_device_that_hangs_from_the_start_keeps_nobody_else_from_being_read(program):
    async def tell():
        program_, script = program
        async with running(program_, script) as agent:
            agent.inflict("hang 1")
            await agent.until(lambda: agent.with_data() == EVERYBODY - {1})
            await agent.until(lambda: agent.states().get(1) == "hung", seconds=20)
            agent.inflict()
            await agent.until(lambda: agent.with_data() == EVERYBODY, seconds=20)
            assert len(agent.agent.devices()) == GPUS

    asyncio.run(tell())


def test_healthy_devices_are_never_taken_out(program):
    async def story(agent):
        await asyncio.sleep(2.0)
        assert set(agent.states().values()) == {"ok"}
        assert agent.restarts() == {}

    on(program, story)


def test_a_library_without_newer_symbols_is_read_through_the_old_ones(tmp_path):
    old = build_stub(tmp_path / "old", "-DOLD", "-DNO_GPM")

    async def story(agent):
        assert {sensor for _, sensor in agent.values("accel_temperature_celsius")} == {"core", "memory"}
        assert agent.values("accel_compute_active_ratio") == {}
        assert set(agent.states().values()) == {"ok"}

    on((c_fake(stub_environment(old, gpus=GPUS)), tmp_path / "faults"), story)


def test_a_machine_without_the_library_has_no_devices_and_no_failed_collector(tmp_path):
    async def tell():
        empty = {"LD_LIBRARY_PATH": str(tmp_path), "PATH": "/usr/bin"}
        async with running(c_fake(empty), tmp_path / "faults") as agent:
            await agent.until(lambda: agent.agent.unready() is None)
            assert agent.agent.states() == [("nvml", "no libnvidia-ml.so.1 on this machine")]
            assert agent.values("warpgauge_agent_collector_up") == {}
            assert agent.values("warpgauge_agent_kernel_log_readable") == {}  # nobody asks a log about no device
            assert agent.agent.devices() == []

    asyncio.run(tell())
