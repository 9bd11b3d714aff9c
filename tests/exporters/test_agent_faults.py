"""What faults of a driver cost: each one in real child processes, over the Python fake and over a real library.

One row per fault, and for each row the same claims: the others are late by at most a deadline and the start of a child,
and once; the data of what failed is gone in time; its state says what happened; the page is served from memory all the
while; everything is back without a restart of the agent; no process is left behind.
"""

from __future__ import annotations

import asyncio
from collections import Counter
from dataclasses import dataclass, field

import psutil
import pynvml
import pytest

from tests.fakes.nvml_c import build_stub, stub_environment
from tests.fakes.running_agent import DEADLINE_SECONDS, START_SECONDS, TICK_SECONDS, c_fake, python_fake, running
from warpgauge.core.catalog.device import MIG_MODE
from warpgauge.core.clock import SystemClock
from warpgauge.core.exposition import Format

pytestmark = pytest.mark.slow

GPUS = 4
EVERYBODY = set(range(GPUS))
BUSY_SECONDS = 2.0  # that two cores which also do something else may cost; benchmarks/agent.py prints what idle ones do
CHILD_START_SECONDS = 1.5  # of Python, and of what it imports; 0.2 s when nothing else runs
IDLE_START_SECONDS = 0.5  # until all is read, on idle cores
POLL_SECONDS = 0.02
WATCHED_SECONDS = 0.4  # how long a fault is looked at once it shows, so that what flickers is seen
BACK_SECONDS = 20.0
UP, LAST_SAMPLE, ERRORS = (
    "accel_device_up",
    "accel_last_sample_timestamp_seconds",
    "warpgauge_agent_collect_errors_total",
)
LOST, NEEDS_RESET, HUNG, DENIED = "lost", "needs_reset", "hung", "denied"
HUNG_WITHIN = DEADLINE_SECONDS + TICK_SECONDS + BUSY_SECONDS
LOST_WITHIN = TICK_SECONDS + BUSY_SECONDS
CRASHED_WITHIN = 8.0  # whoever was read at that moment is blamed too, and cleared by the next probe
OPEN_WITHIN = START_SECONDS + DEADLINE_SECONDS + CHILD_START_SECONDS


def everybody(state):
    return dict.fromkeys(EVERYBODY, state)


@dataclass(frozen=True, kw_only=True)
class Fault:
    """One row: what is wrong, and what it must look like."""

    script: list[str]
    states: dict[int, str]  # of whoever is not ok
    within: float  # seconds until it shows
    gone: set[int] | None = None  # whose data is gone, if not the data of `states`
    reasons: set[str] = field(default_factory=set)  # of errors that are counted
    restarts: dict[str, int] = field(default_factory=dict)  # of children, by reason, at least
    times_late: int = 1  # how often the others may be late
    is_from_start: bool = False
    restart_needed: str = ""


def code(name, *gpu):
    return " ".join(map(str, ("code", getattr(pynvml, f"NVML_ERROR_{name}"), *gpu)))


FAULTS = {
    "device lost": Fault(
        script=["lost 2"], states={2: LOST}, within=LOST_WITHIN, reasons={"lost"}, restarts={"lost": 1}
    ),
    "needs a reset": Fault(
        script=["reset 1"], states={1: NEEDS_RESET}, within=LOST_WITHIN, reasons={"needs_reset"}, restarts={"lost": 1}
    ),
    "hung": Fault(script=["hang 2"], states={2: HUNG}, within=HUNG_WITHIN, restarts={"hung": 1}),
    "several hung at once": Fault(
        script=["hang 0", "hang 1", "hang 3"],
        states={0: HUNG, 1: HUNG, 3: HUNG},
        within=HUNG_WITHIN,
        restarts={"hung": 1},
    ),
    "one hung, one lost": Fault(
        script=["hang 1", "lost 3"], states={1: HUNG, 3: LOST}, within=OPEN_WITHIN, times_late=2
    ),
    "all hung": Fault(script=["hang all"], states=everybody(HUNG), within=HUNG_WITHIN + 1.0),
    "the driver's global lock hung": Fault(script=["lock"], states=everybody(HUNG), within=HUNG_WITHIN + 1.0),
    "hung from the start": Fault(script=["hang 1"], states={1: HUNG}, within=OPEN_WITHIN, is_from_start=True),
    "SIGSEGV in a reading": Fault(
        script=["crash 2"], states={2: HUNG}, within=CRASHED_WITHIN, reasons={"crashed"}, restarts={"crashed": 1}
    ),
    "SIGSEGV in opening": Fault(
        script=["crash 2"],
        states={2: HUNG},
        within=CRASHED_WITHIN,
        reasons={"crashed"},
        restarts={"crashed": 1},
        is_from_start=True,
    ),
    "the driver is unloaded": Fault(
        script=["unloaded"], states=everybody(LOST), within=LOST_WITHIN, reasons={"driver_not_loaded"}
    ),
    "library mismatch": Fault(
        script=[code("LIB_RM_VERSION_MISMATCH")],
        states=everybody(LOST),
        within=LOST_WITHIN,
        reasons={"library_mismatch"},
        restart_needed="library_mismatch",
    ),
    "unknown error at init": Fault(
        script=[code("UNKNOWN")],
        states=everybody(LOST),
        within=LOST_WITHIN + 3 * TICK_SECONDS,
        reasons={"unknown"},
        restart_needed="unknown",
    ),
    "a GPU appears and disappears": Fault(
        script=["new"], states={}, within=CHILD_START_SECONDS + 3 * TICK_SECONDS, restarts={"inventory": 1}
    ),
    "MIG is switched on": Fault(script=["mig 1"], states={}, within=LOST_WITHIN),
    "one GPU denied": Fault(
        script=[code("NO_PERMISSION", 2)], states={2: DENIED}, within=LOST_WITHIN, reasons={"permission"}
    ),
    "one GPU denied from the start": Fault(
        script=[code("NO_PERMISSION", 2)],
        states={2: DENIED},
        within=OPEN_WITHIN,
        reasons={"permission"},
        is_from_start=True,
    ),
    "all denied in a container": Fault(
        script=[code("NO_PERMISSION")], states=everybody(DENIED), within=LOST_WITHIN, reasons={"permission"}
    ),
    "init denied in a container": Fault(
        script=[code("NO_PERMISSION")],
        states={},
        gone=EVERYBODY,
        within=OPEN_WITHIN,
        reasons={"permission"},
        is_from_start=True,
    ),
}


@pytest.fixture(scope="session")
def stub(tmp_path_factory):
    return build_stub(tmp_path_factory.mktemp("nvml"))


@pytest.fixture
def programs(stub, tmp_path):
    """The child over each fake, with the script of its faults."""
    scripts = [tmp_path / "python", tmp_path / "c"]
    return [
        (python_fake(scripts[0], *["h100"] * GPUS), scripts[0]),
        (c_fake(stub_environment(stub, scripts[1], gpus=GPUS)), scripts[1]),
    ]


def on(programs, story, *faults, **more):
    """Tell a story on an agent per fake, all at once, and see that they leave no process behind."""

    async def tell(program, script):
        async with running(program, script, *faults, **more) as agent:
            begun = SystemClock().monotonic()
            if not faults:
                await agent.until(lambda: agent.with_data() == EVERYBODY, seconds=BACK_SECONDS)
            agent.slack_seconds = max(0.0, SystemClock().monotonic() - begun - IDLE_START_SECONDS * agent.slowness)
            await story(agent)

    async def all_of_them():
        await asyncio.gather(*[tell(*program) for program in programs])

    before = set(psutil.Process().children(recursive=True))
    asyncio.run(all_of_them())
    assert set(psutil.Process().children(recursive=True)) <= before, "an orphan is left"


def test_each_fault_of_the_table_has_a_row_of_its_own():
    assert len({(tuple(fault.script), fault.is_from_start) for fault in FAULTS.values()}) == len(FAULTS)


@pytest.mark.parametrize("fault", FAULTS.values(), ids=FAULTS.keys())
def test_a_fault_costs_its_own_device_only_tells_why_and_ends_without_a_restart(programs, fault):
    on(programs, lambda agent: see(agent, fault), *(fault.script if fault.is_from_start else ()), is_hurried=True)


async def see(agent, fault):
    """All claims about one row, in the order in which they can be seen."""
    before = Counter(agent.restarts())
    out = set(fault.states) if fault.gone is None else fault.gone
    ages = await shown(agent, fault, healthy=sorted(EVERYBODY - out))
    if fault.is_from_start:  # its state may be known before the others were read for the first time
        await agent.until(lambda: agent.with_data() == EVERYBODY - out)
    assert agent.with_data() & EVERYBODY == EVERYBODY - out
    up = {int(index) for (index,), value in agent.values(UP).items() if value}
    assert up & EVERYBODY == EVERYBODY - out
    assert fault.reasons <= {reason for _, reason in agent.values(ERRORS)}
    await agent.until(lambda: fault.restarts.items() <= (Counter(agent.restarts()) - before).items())
    assert agent.values("warpgauge_agent_restart_needed") == (
        {("nvml", fault.restart_needed): 1.0} if fault.restart_needed else {}
    )
    await agent.until(lambda: agent.values("warpgauge_agent_collector_up") == {("nvml",): float(out != EVERYBODY)})
    late = agent.patience(DEADLINE_SECONDS + TICK_SECONDS)
    assert max(ages, default=0.0) <= late + fault.times_late * CHILD_START_SECONDS * agent.slowness
    assert times_late(ages, late) <= fault.times_late
    agent.inflict()
    await agent.until(lambda: agent.with_data() == EVERYBODY, seconds=BACK_SECONDS)
    others = {GPUS: "lost"} if fault.script == ["new"] else {}  # whoever came has gone again
    assert agent.states() == {**everybody("ok"), **others}
    # The data of a round is on the page before the child says that the round is done.
    await agent.until(lambda: not agent.values("warpgauge_agent_restart_needed"))


async def shown(agent, fault, healthy):
    """Ages of the healthy devices' data, from the fault until it shows in time, and a while beyond."""
    begun = SystemClock().monotonic()
    wanted = {**everybody("ok"), **fault.states} if fault.gone is None else fault.states
    ages, end = [], None
    if not fault.is_from_start:
        agent.inflict(*fault.script)
    while end is None or SystemClock().monotonic() < end:
        await pause(agent)
        assert_served_from_memory(agent)
        if not fault.is_from_start and healthy:
            ages.append(agent.oldest_seconds(*healthy))
        is_shown = {index: state for index, state in agent.states().items() if index in EVERYBODY} == wanted
        is_shown &= shows_on_its_own(agent, fault)
        if end is None and is_shown:
            end = SystemClock().monotonic() + WATCHED_SECONDS
        assert is_shown or end is None, f"it flickers: {agent.states()}"
        is_in_time = SystemClock().monotonic() - begun <= agent.patience(fault.within)
        assert end or is_in_time, f"not in time: {agent.states()}"
    return ages


def shows_on_its_own(agent, fault):
    """What a fault shows apart from states."""
    computing = {int(index) for index, engine in utilization(agent) if engine == "compute"}
    return {
        "new": lambda: agent.with_data() == EVERYBODY | {GPUS},
        "mig 1": lambda: computing == EVERYBODY - {1} and agent.with_data() == EVERYBODY,
    }.get(fault.script[0], lambda: agent.values("warpgauge_agent_collector_up") != {})()


def utilization(agent):
    return {tuple(reversed(labels)) for labels in agent.values("accel_utilization_ratio")}


def assert_served_from_memory(agent):
    """Two scrapes of one page are the very same bytes; that they are fast, benchmarks/agent.py shows."""
    pages = agent.agent.pages
    first = pages.body(Format.TEXT, is_compressed=True)
    assert pages.body(Format.TEXT, is_compressed=True) is first


async def pause(agent):
    """A short sleep; what it takes longer, the machine had no time for us, nor for our children, which are several."""
    begun = SystemClock().monotonic()
    await asyncio.sleep(POLL_SECONDS)
    agent.slack_seconds += 3 * max(0.0, SystemClock().monotonic() - begun - 2 * POLL_SECONDS)


def times_late(ages, seconds):
    late = [age > seconds for age in ages]
    return sum(now and not before for before, now in zip([False, *late], late, strict=False))


def test_a_gpu_that_leaves_the_middle_of_the_list_is_lost_and_the_others_move_up(programs):
    async def story(agent):
        before = Counter(agent.restarts())
        uuids = {index: uuid for uuid, index in agent.named("accel_power_watts").items()}
        agent.inflict("gone 1")
        await agent.until(lambda: uuids["1"] not in agent.named("accel_power_watts"), seconds=LOST_WITHIN)
        moved = {uuids["0"]: "0", uuids["2"]: "1", uuids["3"]: "2"}
        await agent.until(lambda: agent.named("accel_power_watts") == moved, seconds=BACK_SECONDS)
        lost = [one for one in agent.agent.devices() if one["state"] != "ok"]
        assert [(one["uuid"], one["state"]) for one in lost] == [(uuids["1"], "lost")]
        assert sum((Counter(agent.restarts()) - before).values()) == 1  # to let go of it
        agent.inflict()
        await agent.until(
            lambda: agent.named("accel_power_watts") == {uuids[i]: i for i in uuids}, seconds=BACK_SECONDS
        )
        assert {one["state"] for one in agent.agent.devices()} == {"ok"}

    on(programs, story)


def test_a_driver_that_comes_back_with_other_indices_moves_each_device_by_its_uuid(programs):
    async def story(agent):
        before = agent.named("accel_power_watts")
        agent.inflict("unloaded")
        await agent.until(lambda: set(agent.states().values()) == {"lost"})
        agent.inflict("reversed")
        turned = {uuid: str(GPUS - 1 - int(index)) for uuid, index in before.items()}
        await agent.until(lambda: agent.named("accel_power_watts") == turned, seconds=BACK_SECONDS)
        assert len(agent.values("accel_power_watts")) == GPUS
        assert len(agent.agent.devices()) == GPUS

    on(programs, story)


def test_a_partitioned_gpu_whose_mode_is_taken_back_is_asked_for_everything_again(programs):
    async def story(agent):
        agent.inflict("mig 1")
        await agent.until(lambda: ("compute", "1") not in agent.values("accel_utilization_ratio"))
        await agent.until(lambda: agent.values(MIG_MODE.name)["1", "current"] == 1.0)
        agent.inflict()
        await agent.until(lambda: ("compute", "1") in agent.values("accel_utilization_ratio"))
        assert agent.restarts() == {}

    on(programs, story)


def test_healthy_devices_are_never_taken_out(programs):
    async def story(agent):
        await asyncio.sleep(1.5)
        assert set(agent.states().values()) == {"ok"}
        assert agent.restarts() == {}

    on(programs, story, is_hurried=True)


def test_a_library_without_newer_symbols_is_read_through_the_old_ones(tmp_path):
    old = build_stub(tmp_path / "old", "-DOLD", "-DNO_GPM")

    async def story(agent):
        assert {sensor for _, sensor in agent.values("accel_temperature_celsius")} == {"core", "memory"}
        assert agent.values("accel_compute_active_ratio") == {}
        assert set(agent.states().values()) == {"ok"}
        assert agent.restarts() == {}

    on([(c_fake(stub_environment(old, gpus=GPUS)), tmp_path / "faults")], story)


def test_a_machine_without_the_library_has_no_devices_and_no_failed_collector(tmp_path):
    async def tell():
        empty = {"LD_LIBRARY_PATH": str(tmp_path), "PATH": "/usr/bin"}
        async with running(c_fake(empty), tmp_path / "faults") as agent:
            await agent.until(lambda: agent.agent.states() == [("nvml", "no libnvidia-ml.so.1 on this machine")])
            await agent.until(lambda: agent.agent.unready() is None)
            assert agent.values("warpgauge_agent_collector_up") == {}
            assert agent.values("warpgauge_agent_kernel_log_readable") == {}  # nobody asks a log about no device
            assert agent.agent.devices() == []

    asyncio.run(tell())
