"""Pages that come each second are kept in columns of a second too, and looked at each second."""

from __future__ import annotations

import asyncio
from typing import Final

import pytest

from warpgauge.analyzer.detectors import DETECTORS
from warpgauge.analyzer.service.close_frame import MOST_TARGETS, CloseFrame
from warpgauge.analyzer.service.watch import Watch
from warpgauge.analyzer.sources import Page, Target
from warpgauge.core.catalog import training
from warpgauge.core.clock import ManualClock
from warpgauge.core.config import AnalyzerConfig
from warpgauge.core.finding import FindingKind

NOW: Final = 1_750_000_000.0
RANKS = 4


class Job:
    """Four ranks in lockstep, ten steps a second unless one of them waits for its loader."""

    def __init__(self) -> None:
        self.steps = 0.0
        self.seconds = dict.fromkeys(range(RANKS), 0.0)
        self.phases = {(rank, phase): 0.0 for rank in range(RANKS) for phase in ("input", "compute", "communication")}

    def second(self, *, late: float = 0.0) -> str:
        """The page after one more second; rank 3 waits `late` seconds for each batch."""
        step = 0.1 + late
        steps = 1.0 / step
        self.steps += steps
        for rank in range(RANKS):
            own = late if rank == RANKS - 1 else 0.0
            self.seconds[rank] += 1.0
            for phase, spent in (("input", own), ("compute", 0.09), ("communication", 0.01 + late - own)):
                self.phases[rank, phase] += steps * spent
        return "".join(f"{line}\n" for line in self.lines())

    def lines(self):
        yield 'host_info{nodename="box",sysname="Linux"} 1'
        for rank in range(RANKS):
            labels = f'job_id="train",rank="{rank}",stage=""'
            yield f"{training.STEP_SECONDS.name}_sum{{{labels}}} {self.seconds[rank]}"
            yield f"{training.STEP_SECONDS.name}_count{{{labels}}} {self.steps}"
        for (rank, phase), spent in self.phases.items():
            labels = f'job_id="train",rank="{rank}",stage="",phase="{phase}",clock="host"'
            yield f"{training.PHASE_SECONDS.name}{{{labels}}} {spent}"


def page(text: str, time: float, *, interval: float = 1.0, name: str = "http://a/metrics") -> Page:
    target = Target(name=name, labels={"instance": "a"})
    return Page(target=target, text=text, is_openmetrics=False, time=time, interval_seconds=interval)


def followed(job: Job, seconds: int, *, interval: float = 1.0) -> CloseFrame:
    close = CloseFrame("local")
    for second in range(seconds):
        close.take(page(job.second(), NOW + second, interval=interval), not_after=NOW + 1000)
    return close


def test_what_is_read_each_second_stands_in_columns_of_a_second():
    frame = followed(Job(), 20).current(NOW + 20)

    assert frame is not None
    rates = frame.values(training.STEP_SECONDS, "count", seconds=10)
    assert rates[:, :-1] == pytest.approx(10.0, rel=1e-3)


def test_what_is_read_every_ten_seconds_is_not_looked_at_closely():
    assert followed(Job(), 20, interval=10.0).current(NOW + 20) is None


def test_a_machine_without_ranks_is_not_either():
    close = CloseFrame("local")
    close.take(page("host_load1 1\n", NOW), not_after=NOW + 60)

    assert close.current(NOW + 1) is None


def test_ranks_that_fell_silent_are_gone_after_two_minutes():
    close = followed(Job(), 20)

    assert close.current(NOW + 60) is not None
    assert close.current(NOW + 200) is None


def test_only_so_many_targets_are_followed_and_a_forgotten_one_makes_room():
    close = CloseFrame("local")
    jobs = [Job() for _ in range(MOST_TARGETS)]
    for number in range(MOST_TARGETS):
        close.take(page("host_load1 1\n", NOW, name=f"http://{number}/metrics"), not_after=NOW + 60)
    close.take(page(jobs[0].second(), NOW), not_after=NOW + 60)
    assert close.current(NOW + 1) is None

    close.forget("http://0/metrics")
    for second in range(3):
        close.take(page(jobs[0].second(), NOW + second), not_after=NOW + 60)
    assert close.current(NOW + 3) is not None


async def watched(slow_seconds: int, sound_seconds: int) -> list[tuple[float, FindingKind, int | None]]:
    """What a watch says at each glance, in seconds since the loader became slow."""
    clock, job = ManualClock(seconds=NOW), Job()
    watch = Watch(AnalyzerConfig(), clock, DETECTORS)
    said = []
    try:
        for second in range(30 + slow_seconds + sound_seconds):
            clock.seconds = NOW + second
            is_slow = 30 <= second < 30 + slow_seconds
            await watch.take(page(job.second(late=0.06 if is_slow else 0.0), clock.seconds))
            if second % 10 == 9:
                await watch.accept(await watch.judge({}))
            seen = await watch.glance({})
            if seen is not None:
                await watch.accept(seen)
                said += [(float(second - 30), one.kind, one.scope.rank) for one in seen.findings]
    finally:
        watch.close()
    return said


def test_a_slow_loader_is_named_within_five_seconds_and_forgotten_within_twelve():
    said = asyncio.run(watched(20, 20))

    assert {(kind, rank) for _, kind, rank in said} == {(FindingKind.INPUT_BOUND, RANKS - 1)}
    assert 0 < said[0][0] <= 5
    assert 20 <= said[-1][0] <= 32


def test_a_sound_job_is_never_spoken_of():
    assert asyncio.run(watched(0, 40)) == []
