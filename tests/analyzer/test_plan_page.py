"""The pool's reading beside the ticks: a core that hangs, fails or babbles costs its own page, which says so."""

from __future__ import annotations

import asyncio
import json
import shlex
import time
from dataclasses import replace
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.analyzer.test_service import Machine, get, service
from tests.detectors.test_recommendation_document import example
from warpgauge.analyzer.service.plan_page import page_of
from warpgauge.analyzer.service.pool_reading import MOST_BYTES, PoolCommand, PoolReader
from warpgauge.core.clock import ManualClock
from warpgauge.core.config import PlanningConfig
from warpgauge.core.recommendation import RecommendationKind

if TYPE_CHECKING:
    from pathlib import Path

PLAN = {"schema": "warpgauge.plan/v1", "goals": []}
PRINTS = f"echo {shlex.quote(json.dumps(PLAN))}"
EPOCH = 1_750_000_000.0


class Pool:
    """A reader whose program is a shell script that can be exchanged."""

    def __init__(self, script: str = PRINTS, *, core: str = "slurm", **settings: float) -> None:
        self.clock = ManualClock(EPOCH)
        self.core = core
        self.reader = PoolReader(self.command(script), PlanningConfig(core="slurm", **settings), self.clock)

    def command(self, script: str) -> PoolCommand:
        return PoolCommand(core=self.core, words=("/bin/sh", "-c", script))

    def read(self, script: str | None = None) -> Pool:
        if script is not None:
            self.reader.command = self.command(script)
        asyncio.run(self.reader.read())
        return self

    def page(self, *advice):
        return page_of(self.reader, advice, now=self.clock.now())


def is_gone(pid_file: Path) -> bool:
    """Whether the process ended; one whose parent is gone may stay a zombie until somebody looks."""
    try:
        return psutil.Process(int(pid_file.read_text())).wait(5) is not False
    except (psutil.NoSuchProcess, psutil.TimeoutExpired) as error:
        return isinstance(error, psutil.NoSuchProcess)


def test_a_plan_is_shown_with_its_age():
    pool = Pool().read()
    pool.clock.advance(42)

    page = pool.page()
    assert (page["state"], page["plan"], page["age_seconds"]) == ("current", PLAN, 42.0)
    assert page["says"] == "As Slurm was 42 s ago."
    assert "mend" not in page


def test_planning_gives_way_to_what_watches():
    pool = Pool(timeout_seconds=10.0).read(f'while [ "$(nice)" -lt 10 ]; do sleep 0.02; done; {PRINTS}')
    assert pool.page()["state"] == "current"


def test_before_the_first_reading_there_is_nothing_to_show():
    assert Pool().page()["state"] == "off"


def test_a_core_that_hangs_is_ended_with_all_that_it_started_and_said_to_hang(tmp_path: Path):
    pool = Pool(timeout_seconds=0.3)
    began = time.monotonic()
    pool.read(f"sleep 600 & echo $! > {tmp_path}/pid; wait")

    assert time.monotonic() - began < 10
    assert pool.page()["state"] == "failed"
    assert pool.page()["says"] == (
        "Slurm could not be read: no plan within 0.3 s: the core did not answer, or its pool is large."
    )
    assert is_gone(tmp_path / "pid")


def test_a_failed_reading_leaves_the_old_plan_and_says_since_when_why_and_what_to_do():
    pool = Pool(interval_seconds=60.0).read()
    pool.clock.advance(60)
    pool.read(
        "echo a line of a log >&2; echo 'warpgauge: sinfo: exit status 1, Slurm said: unable to contact' >&2; exit 2"
    )
    pool.clock.advance(30)

    page = pool.page()
    assert (page["state"], page["plan"]) == ("stale", PLAN)
    assert page["says"] == (
        "As Slurm was 90 s ago. It could not be read since: sinfo: exit status 1, Slurm said: unable to contact."
    )
    assert page["mend"].startswith("Try `warpgauge plan --core slurm` here as the analyzer's user")
    assert (page["failing_since"], page["failed_in_a_row"]) == (EPOCH + 60, 1)


def test_a_reading_that_works_again_ends_the_failure():
    pool = Pool("exit 2").read().read()
    assert pool.page()["failed_in_a_row"] == 2
    assert pool.page()["says"] == "Slurm could not be read: it ended with status 2 and said nothing."

    assert pool.read(PRINTS).page()["state"] == "current"


def test_a_plan_that_nobody_renewed_is_old():
    pool = Pool(interval_seconds=60.0, timeout_seconds=30.0).read()
    pool.clock.advance(150)
    assert pool.page()["state"] == "current"
    pool.clock.advance(1)
    assert pool.page()["state"] == "stale"


@pytest.mark.parametrize(
    ("script", "why"),
    [
        ("echo '[1]'", "what was printed is no plan"),
        ("echo '{\"goals\": 1}'", "what was printed is no plan"),
        ("printf '\\377'", "what was printed is no plan"),
        ("yes", f"the plan is longer than {MOST_BYTES} bytes"),
        ("yes >&2 & sleep 0.2; kill $!; exit 2", "y"),
        ("printf 'warpgauge: \\033[31m<b>\\342\\200\\256' >&2; exit 2", "\ufffd[31m<b>\ufffd"),
    ],
)  # fmt: skip
def test_what_is_no_plan_is_a_failure_with_its_reason(script: str, why: str):
    assert Pool().read(script).reader.failure.why == why


def test_a_program_that_is_not_there_is_a_failure():
    pool = Pool()
    pool.reader.command = PoolCommand(core="slurm", words=("/nowhere/python",))
    pool.read()
    assert pool.reader.failure.why == "/nowhere/python could not be started: No such file or directory"


def test_of_recommendations_it_shows_those_that_move_work_and_are_as_real_as_the_pool():
    moving = replace(example(), kind=RecommendationKind.RECLAIM_IDLE, simulated=False)
    other = replace(example(), kind=RecommendationKind.CHECK_COOLING, simulated=False)
    made_up = replace(moving, simulated=True)

    (shown,) = Pool().read().page(moving, other, made_up)["advice"]
    assert (shown["goal"], shown["recommendation"], shown["simulated"]) == ("Idle reclaim", moving.id, False)

    page = Pool(core="simulated").read().page(moving, made_up)
    assert (page["simulated"], [one["simulated"] for one in page["advice"]]) == (True, [True])


def test_while_a_core_hangs_the_service_goes_on_and_ends_at_once(tmp_path: Path):
    hanging = PoolCommand(core="slurm", words=("/bin/sh", "-c", f"echo $$ > {tmp_path}/pid; sleep 600"))

    async def run():
        async with service(Machine(), tmp_path, planner=hanging) as (url, session):
            async with asyncio.timeout(10):
                while not (tmp_path / "pid").exists():  # noqa: ASYNC110 - a file tells nobody
                    await asyncio.sleep(0.02)
            return await get(session, f"{url}/api/v1/plan"), await get(session, f"{url}/api/v1/status")

    page, status = asyncio.run(run())
    assert page["state"] == "waiting"
    assert status["last_tick"] > 0
    assert is_gone(tmp_path / "pid")


def test_without_a_core_it_says_what_to_set(tmp_path: Path):
    async def run():
        async with service(Machine(), tmp_path) as (url, session):
            return await get(session, f"{url}/api/v1/plan")

    page = asyncio.run(run())
    assert page["state"] == "off"
    assert "planning.core" in page["mend"]


def test_the_simulated_fleet_is_planned_only_where_it_is_shown(tmp_path: Path):
    command = PoolCommand(core="simulated", words=("/bin/sh", "-c", f"touch {tmp_path}/read"))

    async def run():
        async with service(Machine(), tmp_path, planner=command) as (url, session):
            return await get(session, f"{url}/api/v1/plan")

    assert asyncio.run(run())["state"] == "off"
    assert not (tmp_path / "read").exists()
