"""Devices are given away on order and taken back: by whom, for how long, and who is told what."""

from __future__ import annotations

import asyncio
import json
import logging
from contextlib import asynccontextmanager, suppress
from pathlib import Path

import aiohttp
import psutil
import pytest

from tests.fakes.nvml_c import build_stub, stub_environment
from tests.fakes.running_agent import CHILD, DEADLINE_SECONDS, TICK_SECONDS, c_fake, python_fake, running
from tests.pace import pace
from warpgauge.core.catalog import device, own
from warpgauge.core.clock import ManualClock, SystemClock
from warpgauge.core.errors import InputError
from warpgauge.exporters import link
from warpgauge.exporters.doctor import Verdict
from warpgauge.exporters.doctor.released import released_check, seconds_released
from warpgauge.exporters.release import DEFAULT_SECONDS, MOST_SECONDS, Release, parse_seconds
from warpgauge.exporters.routes import application
from warpgauge.exporters.tally import Tally
from warpgauge.web import ListenAddress, TokenFile, serve

GPUS = 3


class Driver:
    """A supervisor that only counts, and says what a test wants."""

    name = "nvml"

    def __init__(self):
        self.held = []
        self.missing = []
        self.did = []
        self.gate = asyncio.Event()
        self.gate.set()

    async def release(self):
        await self.gate.wait()
        self.did.append("release")
        return self.held

    async def acquire(self):
        self.did.append("acquire")
        return self.missing


class Desk:
    def __init__(self, *drivers):
        self.clock, self.tally = ManualClock(), Tally()
        self.release = Release(drivers, self.tally, self.clock)

    def until(self):
        return [sample.value for sample in self.tally.samples() if sample.metric is own.RELEASED_UNTIL]


def told(story):
    async def tell():
        driver = Driver()
        desk = Desk(driver)
        try:
            await story(desk, driver)
        finally:
            desk.release.close()

    asyncio.run(tell())


def test_a_release_says_what_happened_and_how_long_it_lasts():
    async def story(desk, driver):
        done = await desk.release.release(900, by="127.0.0.1")
        assert driver.did == ["release"]
        assert (done["state"], done["changed"], done["seconds_left"]) == ("released", True, 900)
        assert done["message"] == "released: taken back in 900 s, or with POST /-/acquire"
        assert done["still_held_by"] == []
        assert desk.until() == [desk.clock.now() + 900]
        desk.clock.advance(60)
        assert desk.release.document() == {"state": "released", "collectors": ["nvml"], "seconds_left": 840.0}

    told(story)


def test_a_second_release_moves_the_end_and_says_that_it_was_released():
    async def story(desk, _):
        await desk.release.release(900, by="")
        desk.clock.advance(60)
        done = await desk.release.release(900, by="")
        assert (done["changed"], done["seconds_left"]) == (False, 900)
        assert done["message"].startswith("already released, the end was moved")

    told(story)


def test_to_acquire_ends_a_release_once():
    async def story(desk, driver):
        await desk.release.release(900, by="")
        done = await desk.release.acquire(by="")
        assert (done["state"], done["changed"], done["message"]) == ("held", True, "taken back")
        assert "seconds_left" not in done
        assert desk.until() == []
        again = await desk.release.acquire(by="")
        assert (again["state"], again["changed"]) == ("held", False)
        assert again["message"] == "already held: nothing was released"
        assert driver.did == ["release", "acquire"]

    told(story)


def test_a_forgotten_release_ends_by_itself():
    async def story(desk, driver):
        await desk.release.release(0.05, by="")
        desk.clock.advance(0.05)
        async with asyncio.timeout(5):
            while driver.did != ["release", "acquire"]:  # noqa: ASYNC110 - a timer of the event loop
                await asyncio.sleep(0.01)
        assert desk.release.seconds_left is None

    told(story)


def test_a_release_whose_end_was_moved_does_not_end_at_the_old_one():
    async def story(desk, driver):
        await desk.release.release(0.2, by="")
        await desk.release.release(900, by="")
        await asyncio.sleep(0.3)
        assert driver.did == ["release", "release"]
        assert desk.release.seconds_left == 900

    told(story)


def test_who_still_holds_the_driver_is_named():
    async def story(desk, driver):
        driver.held = [4711]
        done = await desk.release.release(900, by="")
        assert done["still_held_by"] == [4711]
        assert "process 4711 still holds the driver" in done["message"]

    told(story)


def test_a_device_that_does_not_come_back_is_named():
    async def story(desk, driver):
        driver.missing = ["GPU-2"]
        await desk.release.release(900, by="")
        done = await desk.release.acquire(by="")
        assert done["missing"] == ["GPU-2"]
        assert done["message"] == "taken back, except 1 that the driver did not list or open in time"

    told(story)


def test_an_order_is_carried_out_even_if_nobody_waits_for_it_any_more():
    async def story(desk, driver):
        driver.gate.clear()
        order = asyncio.create_task(desk.release.release(900, by=""))
        await asyncio.sleep(0)
        order.cancel()
        driver.gate.set()
        done = await desk.release.release(900, by="")
        assert driver.did == ["release", "release"]
        assert done["changed"] is False

    told(story)


def test_orders_wait_for_one_another():
    async def story(desk, driver):
        driver.gate.clear()
        first = asyncio.create_task(desk.release.release(900, by=""))
        second = asyncio.create_task(desk.release.acquire(by=""))
        await asyncio.sleep(0.01)
        assert driver.did == []
        driver.gate.set()
        await asyncio.gather(first, second)
        assert driver.did == ["release", "acquire"]

    told(story)


def test_without_a_driver_there_is_nothing_to_release():
    done = asyncio.run(Desk().release.release(900, by=""))
    assert (done["state"], done["changed"], done["message"]) == ("held", False, "no collector here holds a driver")


def test_each_order_is_a_record_with_who_gave_it(caplog):
    caplog.set_level(logging.WARNING)

    async def story(desk, driver):
        driver.missing = ["GPU-2"]
        await desk.release.release(900, by="10.0.0.7")
        await desk.release.acquire(by="10.0.0.8")

    told(story)
    released, acquired = caplog.records
    assert (released.message, released.by, released.seconds) == ("devices released", "10.0.0.7", 900)
    assert (acquired.message, acquired.by, acquired.missing) == ("devices acquired", "10.0.0.8", ["GPU-2"])


@pytest.mark.parametrize(
    ("text", "seconds"), [(None, DEFAULT_SECONDS), ("1", 1), ("1800", 1800), (str(MOST_SECONDS), MOST_SECONDS)]
)
def test_the_time_of_a_release_is_whole_seconds_up_to_a_day(text, seconds):
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "0", "-1", "86401", "1.5", "1e3", "nan", " 5", "\u0665", "9" * 400])
def test_any_other_time_is_refused_with_the_bounds(text):
    with pytest.raises(InputError, match="seconds must be a whole number from 1 to 86400, got"):
        parse_seconds(text)


# ---- a whole agent


@asynccontextmanager
async def served(agent, token):
    """A client of a running agent's pages."""
    stop, port = asyncio.Event(), asyncio.get_running_loop().create_future()
    serving = asyncio.create_task(
        serve(
            application(agent.agent, token),
            ListenAddress("127.0.0.1", 0),
            on_listening=lambda _, number: port.set_result(number),
            stop=stop,
        )
    )
    try:
        async with aiohttp.ClientSession(f"http://127.0.0.1:{await port}") as client:
            client.headers["Authorization"] = f"Bearer {token.read().decode()}"
            yield client
    finally:
        stop.set()
        await serving


async def ask(client, method, path):
    async with client.request(method, path) as answer:
        text = await answer.text()
        return answer.status, json.loads(text) if answer.content_type == "application/json" else text


def children():
    """The agent's children: other tests' servers run beside them, in the same process tree."""
    found = []
    for one in psutil.Process().children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            if one.status() != psutil.STATUS_ZOMBIE and {"nvml", str(CHILD)} & set(one.cmdline()):
                found.append(one)
    return found


@pytest.fixture(scope="module")
def stub(tmp_path_factory):
    return build_stub(tmp_path_factory.mktemp("nvml"))


@pytest.fixture(params=["python fake", "C library"])
def program(request, tmp_path):
    script = tmp_path / "faults"
    if request.param == "python fake":
        return python_fake(script, *["h100"] * GPUS), script
    return c_fake(stub_environment(request.getfixturevalue("stub"), script, gpus=GPUS)), script


def on(program, tmp_path, story, *, gpus=GPUS, **more):
    async def tell():
        token = TokenFile(lambda: tmp_path)
        token.ensure()
        async with running(*program, **more) as agent, served(agent, token) as client:
            await agent.until(lambda: len(agent.with_data()) == gpus)
            await story(agent, client)

    before = set(children())
    asyncio.run(tell())
    assert set(children()) <= before, "an orphan is left"


def shut_down_by(script):
    """Processes that shut the driver down in order."""
    return Path(f"{script}.shutdown").read_text(encoding="ascii").split()


@pytest.mark.slow
def test_released_devices_are_let_go_in_order_and_come_back(program, tmp_path, monkeypatch):
    monkeypatch.setattr("warpgauge.exporters.supervisor._RELEASE_SECONDS", 5.0 * pace())

    async def story(agent, client):
        before = children()
        status, done = await ask(client, "POST", "/-/release?seconds=600")
        assert (status, done["state"], done["changed"], done["still_held_by"]) == (200, "released", True, [])
        assert not {one.pid for one in before} & {one.pid for one in children()}
        shut = shut_down_by(program[1])
        assert set(shut) <= {str(one.pid) for one in before}
        assert shut, "the child was killed, it did not shut the driver down"

        await agent.until(lambda: set(agent.states().values()) == {"released"})
        assert agent.with_data() == set()
        assert set(agent.values(device.DEVICE_UP.name).values()) == {0.0}
        assert len(agent.values(device.LAST_SAMPLE.name)) == GPUS
        assert agent.values(own.COLLECTOR_UP.name) == {}
        assert len(agent.values(own.RELEASED_UNTIL.name)) == 1
        assert {one["state"] for one in agent.agent.devices()} == {"released"}
        assert "released, taken back in" in (await ask(client, "GET", "/"))[1]
        state = (await ask(client, "GET", "/api/v1/release"))[1]
        assert (state["state"], 500 < state["seconds_left"] <= 600) == ("released", True)
        assert (await ask(client, "GET", "/-/ready"))[0] == 200
        missed = agent.values(own.MISSED_TICKS.name)
        await asyncio.sleep(5 * TICK_SECONDS)
        assert children() == []
        assert (await ask(client, "POST", "/-/release"))[1]["message"].startswith("already released")

        asked = SystemClock().monotonic()
        status, done = await ask(client, "POST", "/-/acquire")
        assert (status, done["state"], done["changed"], done["missing"]) == (200, "held", True, [])
        await agent.until(lambda: len(agent.with_data()) == GPUS)
        assert set(agent.states().values()) == {"ok"}
        assert agent.values(own.RELEASED_UNTIL.name) == {}
        assert agent.restarts() == {}
        ticks = (SystemClock().monotonic() - asked) / TICK_SECONDS  # those of the release are no missed ones
        assert agent.values(own.MISSED_TICKS.name).get(("nvml", "fast"), 0) <= missed.get(("nvml", "fast"), 0) + ticks
        assert (await ask(client, "POST", "/-/acquire"))[1]["changed"] is False

    on(program, tmp_path, story)


@pytest.mark.slow
def test_no_child_tries_a_hung_device_while_it_is_released(program, tmp_path):
    async def story(agent, client):
        agent.inflict("hang 1")
        await agent.until(lambda: agent.states()[1] == "hung")
        assert (await ask(client, "POST", "/-/release"))[1]["still_held_by"] == []
        for _ in range(20):  # longer than the pause before the next try
            assert children() == []
            await asyncio.sleep(DEADLINE_SECONDS / 10)
        await agent.until(lambda: set(agent.states().values()) == {"released"})
        agent.inflict()
        assert (await ask(client, "POST", "/-/acquire"))[1]["missing"] == []
        await agent.until(lambda: set(agent.states().values()) == {"ok"})

    on(program, tmp_path, story, is_hurried=True)


@pytest.mark.slow
def test_a_device_that_stays_away_stays_released_and_the_others_are_read(program, tmp_path):
    async def story(agent, client):
        uuids = {index: uuid for uuid, index in agent.named("accel_power_watts").items()}
        await ask(client, "POST", "/-/release")
        agent.inflict("gone 1")  # bound to another driver
        done = (await ask(client, "POST", "/-/acquire"))[1]
        assert done["missing"] == [uuids["1"]]
        await agent.until(lambda: set(agent.named("accel_power_watts")) == {uuids["0"], uuids["2"]})
        states = {one["uuid"]: one["state"] for one in agent.agent.devices()}
        assert states == {uuids["0"]: "ok", uuids["1"]: "released", uuids["2"]: "ok"}
        assert agent.restarts() == {}

    on(program, tmp_path, story)


@pytest.mark.slow
def test_an_agent_that_starts_has_its_devices(program, tmp_path):
    async def release(_, client):
        await ask(client, "POST", "/-/release?seconds=86400")

    async def look(agent, _):
        assert set(agent.states().values()) == {"ok"}

    on(program, tmp_path, release)
    on(program, tmp_path, look)


@pytest.mark.slow
def test_orders_are_posts_with_a_token_and_a_time_in_bounds(tmp_path):
    script = tmp_path / "faults"

    async def story(agent, client):
        for path in ("/-/release", "/-/acquire"):
            for method in ("GET", "HEAD", "PUT", "DELETE"):
                assert (await ask(client, method, path))[0] == 405
        for query in ("seconds=0", "seconds=x", "second=5", "seconds=86401"):
            status, said = await ask(client, "POST", f"/-/release?{query}")
            assert (status, "second" in said["error"]) == (400, True)
        for path in ("/", "/metrics", "/sd", "/sim/truth", "/sim/n1/metrics", "/sim/n1/backfill", "/api/v1/release"):
            assert (await ask(client, "POST", path))[0] == 405
        del client.headers["Authorization"]
        for path in ("/-/release", "/-/acquire"):
            status, said = await ask(client, "POST", path)
            assert (status, str(tmp_path / "operator.token") in said["error"]) == (401, True)
        assert set(agent.states().values()) == {"ok"}

    on((python_fake(script, "t4"), script), tmp_path, story, gpus=1)


@pytest.mark.slow
def test_a_child_that_hangs_in_the_kernel_is_named_until_it_is_gone(tmp_path, monkeypatch):
    script = tmp_path / "faults"

    class Undead:
        pid = 4711
        status = None

        def poll(self):
            return self.status

    async def story(agent, client):
        undead = Undead()  # no test can make a process that SIGKILL does not end
        link._UNDEAD.append(undead)
        status, done = await ask(client, "POST", "/-/release")
        assert (status, done["still_held_by"]) == (503, [4711])
        undead.status = -9
        status, done = await ask(client, "POST", "/-/release")
        assert (status, done["still_held_by"]) == (200, [])
        await agent.until(lambda: set(agent.states().values()) == {"released"})  # the page is made a moment later

    monkeypatch.setattr("warpgauge.exporters.supervisor._DEATH_SECONDS", 0.05)
    on((python_fake(script, "t4"), script), tmp_path, story, gpus=1)


@pytest.mark.slow
def test_the_doctor_asks_the_agent_before_it_touches_the_driver(tmp_path):
    script = tmp_path / "faults"

    async def story(_, client):
        address = f"127.0.0.1:{client._base_url.port}"
        everywhere = f":{client._base_url.port}"
        assert await asyncio.to_thread(seconds_released, address) is None
        await ask(client, "POST", "/-/release?seconds=600")
        for one in (address, everywhere):
            assert 500 < await asyncio.to_thread(seconds_released, one) <= 600

    on((python_fake(script, "t4"), script), tmp_path, story, gpus=1)


def test_where_no_agent_answers_the_doctor_asks_the_driver():
    assert seconds_released("127.0.0.1:1") is None


def test_a_release_is_a_warning_of_the_doctor_with_its_mend():
    check = released_check(840.2)
    assert (check.verdict, "takes them back in 840 s" in check.detail) == (Verdict.WARN, True)
    assert "/-/acquire" in check.mend
