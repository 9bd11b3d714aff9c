"""The look at the last seconds: what it raises stands while the agent is asked for names, and it follows each page."""

from __future__ import annotations

import asyncio
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pytest

from tests.analyzer.http_stub import answer, serving
from tests.detectors.scenes import Lockstep
from warpgauge.analyzer.detection import Candidate, Detection
from warpgauge.analyzer.incidents.engine import EngineState, Result, analyze
from warpgauge.analyzer.recommend import FileSink, Outbox
from warpgauge.analyzer.service.advisor import Advisor
from warpgauge.analyzer.service.service import Service
from warpgauge.analyzer.service.watch import Census
from warpgauge.analyzer.sources import Page, Target
from warpgauge.analyzer.sources.fetch import new_session
from warpgauge.core.clock import SystemClock
from warpgauge.core.config import Config
from warpgauge.core.finding import FindingKind, Scope, Severity

if TYPE_CHECKING:
    from pathlib import Path

HOG = '{"processes": [{"pid": 7, "command": "hog", "cpu_ratio": 0.5, "memory_bytes": 1}]}'


@dataclass
class Glimpse:
    """A detector that sees a load at its first look and never again."""

    name: str = "glimpse"
    looks: int = 0

    def detect(self, frame) -> Detection:
        self.looks += 1
        seen = Candidate(
            kind=FindingKind.NOISY_NEIGHBOR, scope=Scope(cluster="c", node="n"), severity=Severity.WARNING,
            since=frame.now, confidence=1.0, evidence=(), summary="a load", remedy="end it", needs_processes=True,
        )  # fmt: skip
        return Detection(candidates=(seen,) if self.looks == 1 else ())

    def explain(self, candidate: Candidate, processes) -> Candidate:
        return replace(candidate, summary=f"a load by {processes[0].command}")


@dataclass
class Watched:
    """A watch over a frame that stays as it is."""

    page: str
    detector: Glimpse = field(default_factory=Glimpse)
    state: EngineState = field(default_factory=EngineState)
    census: Census = field(default_factory=Census)

    def __post_init__(self) -> None:
        self.frame = Lockstep().frame()
        self.nothing = analyze(self.frame, self.state, ())

    async def glance(self, processes) -> Result:
        return analyze(self.frame, self.state, (self.detector,), processes=processes, is_partial=True)

    async def accept(self, result: Result) -> None:
        self.state = result.state

    async def take(self, page: Page) -> None:
        pass

    def page_of(self, _: Any) -> str:
        return self.page


async def glanced(folder: Path, looks: int) -> list[list[str]]:
    """The kinds that a service holds after each look."""
    held = []
    async with (
        serving({"/api/v1/processes": answer(HOG, content_type="application/json")}) as url,
        new_session() as web,
    ):
        service = made(folder, web)
        watched = service.watch = Watched(f"{url}/metrics")
        service.result = watched.nothing
        for _ in range(looks):
            await service.glance()
            held.append([one.kind for one in service.result.findings])
    return held


def made(folder: Path, session) -> Service:
    clock = SystemClock()
    advisor = Advisor(Outbox(folder, [FileSink(folder / "advice")], clock), mode="propose", clock=clock)
    service = Service(Config(), session, advisor)
    service.watch.close()
    return service


def test_what_one_look_raised_stands_while_the_agent_is_asked_who_it_is(tmp_path: Path):
    assert asyncio.run(glanced(tmp_path, 1)) == [[FindingKind.NOISY_NEIGHBOR]]


def test_it_ends_once_two_looks_did_not_see_it(tmp_path: Path):
    assert asyncio.run(glanced(tmp_path, 3))[-1] == []


@pytest.mark.parametrize(("interval_seconds", "is_looked_at"), [(1.0, True), (10.0, False)])
def test_who_is_read_each_second_is_looked_at_when_a_page_came_and_others_are_not(
    tmp_path: Path, interval_seconds: float, *, is_looked_at: bool
):
    async def looks() -> int:
        async with new_session() as session:
            service = made(tmp_path, session)
            watched = service.watch = Watched("http://nobody/metrics")
            service.result = watched.nothing
            target = Target(name="http://nobody/metrics", labels={})
            page = Page(target=target, text="", is_openmetrics=False, time=0.0, interval_seconds=interval_seconds)
            await service._take_page(page)
            looking = asyncio.create_task(service._glance_for_ever())
            for _ in range(100):  # turns of the loop, in which the look comes that is due; no clock has a part in it
                await asyncio.sleep(0)
            looking.cancel()
        return watched.detector.looks

    assert bool(asyncio.run(looks())) == is_looked_at
