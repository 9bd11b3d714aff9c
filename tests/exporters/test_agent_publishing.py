"""When the agent makes a page, and when it lets it be."""

from __future__ import annotations

import asyncio

from warpgauge.core.catalog import Tier
from warpgauge.core.catalog import device as rows
from warpgauge.core.clock import ManualClock
from warpgauge.core.config import AgentConfig, Config
from warpgauge.core.device import Device, DeviceKind
from warpgauge.core.exposition import Format, page
from warpgauge.core.sample import Sample
from warpgauge.exporters.agent import Agent

TICK_SECONDS = 1.0


class Shop:
    """An agent that runs no collector, on a clock that a test moves."""

    def __init__(self):
        self.clock = ManualClock()
        self.agent = Agent(Config(agent=AgentConfig(fast_interval_seconds=TICK_SECONDS)), clock=self.clock)
        self.agent.pages.publish()

    def scrape(self):
        self.agent.pages.body(Format.TEXT, is_compressed=False)

    def change(self):
        self.agent.readings.on_change()

    @property
    def is_at_work(self):
        return bool(self.agent._tasks)


def in_shop(story):
    async def run():
        await story(Shop())

    asyncio.run(run())


def test_a_change_that_nobody_asks_for_sets_no_timer_and_is_remembered():
    async def story(shop):
        shop.change()
        assert not shop.is_at_work
        assert shop.agent.pages.is_stale

    in_shop(story)


def test_whoever_asks_in_a_rhythm_has_the_page_made_once_for_all_changes_of_a_tick():
    async def story(shop):
        for _ in range(2):
            shop.scrape()
            shop.clock.advance(5.0)
        before = shop.agent.pages.version
        for _ in range(3):
            shop.change()
        assert len(shop.agent._tasks) == 1
        await asyncio.gather(*shop.agent._tasks)
        assert shop.agent.pages.version == before + 1

    in_shop(story)


def test_a_change_after_a_scrape_in_the_same_tick_is_remembered_too():
    async def story(shop):
        shop.change()
        shop.scrape()
        assert not shop.agent.pages.is_stale
        shop.change()
        assert shop.agent.pages.is_stale

    in_shop(story)


def test_a_reading_that_comes_while_a_page_is_written_is_on_the_next_page():
    async def story(shop):
        readings = shop.agent.readings
        device = Device(uuid="GPU-1", index=0, kind=DeviceKind.GPU, vendor="nvidia", model="H100")
        readings.see("nvml", device)
        readings.update("nvml", Tier.FAST, device.uuid, [Sample(rows.POWER, device.labels, 1.0)])
        writing = readings.freshen()
        next(writing)
        readings.update("nvml", Tier.FAST, device.uuid, [Sample(rows.POWER, device.labels, 2.0)])
        for _ in writing:
            pass
        assert b" 2.0\n" in page(readings.families(), Format.TEXT)

    in_shop(story)
