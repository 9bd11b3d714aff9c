"""Whose turn it is in the thread that owns the frame."""

from __future__ import annotations

import asyncio
import threading

from warpgauge.analyzer.service.watch import Watch
from warpgauge.analyzer.sources.batch import Page, Target
from warpgauge.core.clock import ManualClock
from warpgauge.core.config.sections import AnalyzerConfig

NOW = 1_750_000_000.0
PAGES = 50


def page(number: int) -> Page:
    target = Target(name=f"http://n{number}:9837/metrics", labels={"cluster": "c", "node": f"n{number}"})
    return Page(target=target, text="host_load1 1\n", is_openmetrics=False, time=NOW, interval_seconds=10)


def test_who_asks_does_not_wait_for_the_pages_of_a_whole_fleet() -> None:
    """A fleet of 250 nodes on a busy machine: a list of devices took a minute, behind all pages that had come."""
    nodes_when_asked: list[int] = []

    async def run() -> None:
        watch, may_begin = Watch(AnalyzerConfig(), ManualClock(NOW), ()), threading.Event()
        busy = asyncio.create_task(watch.ask(lambda _: may_begin.wait()))
        await asyncio.sleep(0)
        pages = [asyncio.create_task(watch.take(page(number))) for number in range(PAGES)]
        await asyncio.sleep(0)
        question = asyncio.create_task(watch.ask(lambda frame: nodes_when_asked.append(len(frame.nodes))))
        await asyncio.sleep(0)
        may_begin.set()
        await asyncio.gather(busy, question, *pages)
        assert await watch.ask(lambda frame: len(frame.nodes)) == PAGES
        watch.close()

    asyncio.run(run())
    assert nodes_when_asked[0] < 5


def test_pages_are_taken_in_the_order_in_which_they_came_and_judged_after_those_before() -> None:
    async def run() -> list[str]:
        watch, may_begin = Watch(AnalyzerConfig(), ManualClock(NOW), ()), threading.Event()
        busy = asyncio.create_task(watch.ask(lambda _: may_begin.wait()))
        await asyncio.sleep(0)
        pages = [asyncio.create_task(watch.take(page(number))) for number in range(PAGES)]
        judged = asyncio.create_task(watch.judge({}))
        await asyncio.sleep(0)
        may_begin.set()
        await judged
        assert all(taken.done() for taken in pages)
        await busy
        names = await watch.ask(lambda frame: [node.node for node in frame.nodes.entities])
        watch.close()
        return names

    assert asyncio.run(run()) == [f"n{number}" for number in range(PAGES)]
