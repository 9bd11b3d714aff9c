"""The analyzer's service: the loops that read, tick and publish, and the newest documents."""

from __future__ import annotations

import asyncio
import logging
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Final

from warpgauge.analyzer.anomalies.forest import Forests
from warpgauge.analyzer.detection.usage import Usage
from warpgauge.analyzer.detectors import detectors_with
from warpgauge.analyzer.frame.layout import layout_of
from warpgauge.analyzer.history.recorder import recorder_of
from warpgauge.analyzer.history.told import Teller
from warpgauge.analyzer.incidents.engine import heard_anew
from warpgauge.analyzer.service.acting_routes import acting_document
from warpgauge.analyzer.service.alertmanager import pushers_of
from warpgauge.analyzer.service.close_frame import MOST_INTERVAL_SECONDS
from warpgauge.analyzer.service.documents import findings_list, incidents_list, status_document
from warpgauge.analyzer.service.own_metrics import Durations, acting_samples, history_samples, own_samples
from warpgauge.analyzer.service.plan_page import page_of, page_without_core
from warpgauge.analyzer.service.pool_reading import PoolReader
from warpgauge.analyzer.service.receiver import RemoteWriteReceiver
from warpgauge.analyzer.service.watch import Watch
from warpgauge.analyzer.sources.named import agent_terms_of, sources_of
from warpgauge.analyzer.sources.processes import processes_of_nodes
from warpgauge.core.catalog import own
from warpgauge.core.clock import Clock, SystemClock
from warpgauge.web import EventStream

if TYPE_CHECKING:
    from collections.abc import Awaitable, Iterable, Sequence

    import aiohttp

    from warpgauge.analyzer.detection import Detector, ProcessReading
    from warpgauge.analyzer.history.writer import HistoryWriter
    from warpgauge.analyzer.incidents.engine import NodeKey, Result
    from warpgauge.analyzer.incidents.muting_book import MutingBook
    from warpgauge.analyzer.service.advisor import Advisor
    from warpgauge.analyzer.service.alertmanager import Pusher
    from warpgauge.analyzer.service.listener import Listener
    from warpgauge.analyzer.service.pool_reading import PoolCommand
    from warpgauge.analyzer.snapshot import Keeper
    from warpgauge.analyzer.sources import Page, SourceStatus
    from warpgauge.core.config import Config
    from warpgauge.core.finding import Finding
    from warpgauge.core.sample import Sample

    Processes = dict[NodeKey, tuple[ProcessReading, ...]]

__all__ = ["Service"]

_LOG: Final = logging.getLogger(__name__)
_LIVE_SECONDS: Final = 1.0
_GLANCE_SECONDS: Final = 0.5  # at least, between two looks at steps that are read each second
_DEVICES_PER_LIVE_SECOND: Final = 1000  # a larger fleet is shown less often, so that the page keeps up
_DELIVERY_SECONDS: Final = 1.0
_SETTLE_SECONDS: Final = 45.0  # how long the first tick waits for every source's first answer
_SETTLE_POLL_SECONDS: Final = 0.2


class Service:
    """The loops around one watch, and the newest documents."""

    def __init__(  # noqa: PLR0913 - what a service is made of
        self,
        config: Config,
        session: aiohttp.ClientSession,
        advisor: Advisor,
        clock: Clock | None = None,
        *,
        detectors: Sequence[Detector] | None = None,
        keeper: Keeper | None = None,
        book: MutingBook | None = None,
        listener: Listener | None = None,
        history: HistoryWriter | None = None,
        planner: PoolCommand | None = None,
    ) -> None:
        usage = None
        if detectors is None:
            detectors = detectors_with(config.analyzer.xid_overrides, Forests(), usage := Usage())
        self._clock = clock or SystemClock()
        self._history, self._teller = history, Teller()
        recorder = recorder_of(config.history, history)
        self.watch = Watch(config.analyzer, self._clock, detectors, layout_of(config.analyzer), recorder)
        self.watch.usage = usage
        self.stream = EventStream()
        self.result: Result | None = None
        self.last_tick: float | None = None  # seconds since the epoch
        self._config = config.analyzer
        self._session = session
        self._listener = listener
        self.advisor = advisor
        self._agent_terms = agent_terms_of(config.analyzer)
        self._sources = sources_of(
            config.analyzer,
            session,
            self._clock,
            self._agent_terms,
            take_page=self._take_page,
            take=self.watch.take,
            forget=self.watch.forget,
        )
        self.receiver = (
            RemoteWriteReceiver(self._config, self.watch.write, self._clock) if self._config.remote_write else None
        )
        self._pushers = pushers_of(config, session, self._clock)
        self._ticks = Durations(own.TICK_SECONDS.buckets)
        self._keeper = keeper
        self._is_fresh = asyncio.Event()  # a page came of an agent that is read each second
        self._turn = asyncio.Lock()  # a tick and a glance both go on from the findings before them: one at a time
        self._processes_of: Processes = {}  # the busiest processes of nodes, as last told
        self._pool = PoolReader(planner, config.planning, self._clock, is_wanted=self._has_pool) if planner else None
        self.book = book
        self.remute()

    async def _take_page(self, page: Page) -> None:
        await self.watch.take(page)
        if page.interval_seconds <= MOST_INTERVAL_SECONDS:
            self._is_fresh.set()

    async def run(self) -> None:
        """Go on where the last run stopped; read, tick and publish until cancelled."""
        await _surviving(self.resume(), "snapshot not restored")
        async with asyncio.TaskGroup() as loops:
            for source in self._sources:
                loops.create_task(source.run())
            loops.create_task(self._tick_for_ever())
            loops.create_task(self._glance_for_ever())
            loops.create_task(self._live_for_ever())
            loops.create_task(self._save_for_ever())
            loops.create_task(self._deliver_for_ever())
            if self._pool is not None:
                loops.create_task(self._pool.run(self._tell_of_the_plan))
            for pusher in self._pushers:
                loops.create_task(self._push_for_ever(pusher))

    async def save(self) -> None:
        """Write a snapshot; before the first tick there is nothing that the last one does not know better."""
        if self._keeper is not None and self.result is not None:
            await asyncio.to_thread(self._keeper.save, await self.watch.save(self.advisor.ledger))

    async def resume(self) -> None:
        """Go on from the last run's snapshot if there is one that can be used; before anything was taken."""
        if self._keeper is None:
            return
        config, now = self._config, self._clock.now()
        memory = await asyncio.to_thread(
            self._keeper.load, window_seconds=config.window_seconds, cluster=config.cluster, now=now
        )
        if memory is not None:
            await self.watch.resume(memory)
            self.advisor.resume(memory.ledger)

    async def _save_for_ever(self) -> None:
        while self._keeper is not None:
            await asyncio.sleep(self._keeper.rest_seconds)
            await _surviving(self.save(), "snapshot failed")

    async def _deliver(self) -> None:
        await asyncio.to_thread(self.advisor.deliver)

    async def _deliver_for_ever(self) -> None:
        """To sinks elsewhere, which no tick waits for; says a trouble once until it changes."""
        told: tuple[str, ...] = ()
        while True:
            await _surviving(self._deliver(), "delivery failed")
            for trouble in set(self.advisor.troubles) - set(told):
                _LOG.warning("recommendation not delivered", extra={"error": trouble})
            told = self.advisor.troubles
            await asyncio.sleep(_DELIVERY_SECONDS)

    async def _push_for_ever(self, pusher: Pusher) -> None:
        while True:
            if self.result is not None:
                heard = [finding for finding in self.result.findings if finding.muted is None]
                await _surviving(pusher.push(heard, self.advisor.open), "alerts not pushed")
            await asyncio.sleep(self._config.interval_seconds)

    async def end(self) -> None:
        """Write the last snapshot and close."""
        await _surviving(self.save(), "snapshot failed")
        self.close()

    def close(self) -> None:
        """End the frame's thread."""
        self.watch.close()

    def not_ready(self) -> str | None:
        """Why the service is not ready, None once the first tick is done."""
        return None if self.result is not None else "the first tick is not done yet"

    def statuses(self) -> list[SourceStatus]:
        """How each target does."""
        reporting = (*self._sources, self.receiver) if self.receiver else self._sources
        return [status for source in reporting for status in source.statuses()]

    def status(self) -> dict[str, Any]:
        """The status document."""
        return status_document(
            self._clock.now(),
            self._config.cluster,
            self.statuses(),
            self.watch.census,
            self.result,
            last_tick=self.last_tick,
        )

    def recommendations(self) -> list[dict[str, Any]]:
        """Recommendations that stand, as CloudEvents."""
        return [one.to_event() for one in self.advisor.open]

    def acting(self) -> dict[str, Any]:
        """The mode, and what holds everything back, if something does."""
        return acting_document(self.advisor)

    def plan(self) -> dict[str, Any]:
        """The plan of the core's pool with its age, or why there is none."""
        if self._pool is None:
            return page_without_core()
        return page_of(self._pool, self.advisor.open, now=self._clock.now())

    def _has_pool(self) -> bool:
        """A core that is set has; the simulated fleet is there once its pages were read."""
        simulated = self._pool is not None and self._pool.command.is_simulated
        return not simulated or self.watch.census.simulated_nodes > 0

    def _tell_of_the_plan(self) -> None:
        """Only that there is a new one: pages that show it ask for it."""
        self.stream.publish("plan", {"state": self.plan()["state"]})

    def samples(self) -> Iterable[Sample]:
        """The analyzer about itself."""
        yield from acting_samples(self.advisor)
        if self._history is not None:
            yield from history_samples(self._history.stats())
        yield from own_samples(
            self.watch.census, self.statuses(), self.result, self.advisor.open, self._ticks, last_tick=self.last_tick
        )

    def stored_samples(self) -> list[Sample]:
        """What the listener says of itself, out of its files."""
        return [] if self._listener is None else list(self._listener.samples())

    def remute(self) -> None:
        """Let what is silenced or dismissed now count from now on, in the newest documents too."""
        if self.book is None:
            return
        self.watch.muting = self.book.mutings
        if self.result is not None:
            self.result = heard_anew(self.result, self.book.mutings, self._clock.now())
            self.stream.publish("tick", self._tick_document())

    def known_findings(self) -> dict[str, Finding]:
        """Findings that hold or ended lately, by id."""
        result = self.result
        return {finding.id: finding for finding in (*result.ended, *result.findings)} if result else {}

    async def tick(self) -> None:
        """Judge the frame once, recommend, publish."""
        async with self._turn:
            await self._tick()

    async def glance(self) -> None:
        """Look at the last seconds only, where steps are read that often; publish what changed."""
        async with self._turn:
            await self._glance()

    async def _glance(self) -> None:
        if self.result is None:
            return
        seen = await self.watch.glance(self._processes_of)
        if seen is None:
            return
        if missing := seen.wanted - self._processes_of.keys():
            await self.watch.accept(seen)  # names take a second: what is raised stays so, whatever that second shows
            self._processes_of |= await self._processes_on(missing)
            seen = await self.watch.glance(self._processes_of) or seen
        await self.watch.accept(seen)
        before, self.result = (
            self.result,
            replace(
                seen,
                judged=self.result.judged,
                not_judged=self.result.not_judged,
                wanted=self.result.wanted | seen.wanted,
            ),
        )
        if [one.id for one in before.findings] != [one.id for one in seen.findings]:
            self._tell(self.result)
            self.stream.publish("tick", self._tick_document())

    async def _tick(self) -> None:
        began = self._clock.monotonic()
        processes = await self._processes_on(self.result.wanted if self.result else frozenset())
        result = await self.watch.judge(processes)
        if missing := result.wanted - processes.keys():
            processes |= await self._processes_on(missing)
            result = await self.watch.judge(processes)
        self._processes_of = processes
        await self.watch.accept(result)
        # Somebody may have silenced something meanwhile.
        result = heard_anew(result, self.watch.muting, self._clock.now())
        step = await self.watch.ask(self.advisor.question(result, self.watch.opted_out))
        for failure in await asyncio.to_thread(self.advisor.send, step):
            _LOG.warning("recommendation not delivered", extra={"error": failure})
        self.result, self.last_tick = result, self._clock.now()
        self._ticks.observe(self._clock.monotonic() - began)
        self._tell(result)
        self.stream.publish("tick", self._tick_document())

    def _tell(self, result: Result) -> None:
        if self._listener is not None:
            self._listener.hear((*result.ended, *result.findings))
        if self._history is not None and self.last_tick is not None:
            self._history.note(self._teller.changes(result, self.advisor.open, self.last_tick))

    def _tick_document(self) -> dict[str, Any]:
        return {
            "time": self._clock.now(),
            "status": self.status(),
            "findings": findings_list(self.result),
            "incidents": incidents_list(self.result),
            "recommendations": self.recommendations(),
        }

    async def _processes_on(self, nodes: Iterable[NodeKey]) -> Processes:
        pages = {node: page for node in nodes if (page := self.watch.page_of(node)) is not None}
        return await processes_of_nodes(self._session, pages, self._agent_terms)

    async def _tick_for_ever(self) -> None:
        await self._settled()
        due = self._clock.monotonic()
        while True:
            await _surviving(self.tick(), "tick failed")
            due = max(due + self._config.interval_seconds, self._clock.monotonic())
            await asyncio.sleep(due - self._clock.monotonic())

    async def _settled(self) -> None:
        """Wait until every source gave its past or failed to: half a fleet would be judged wrongly."""
        deadline = self._clock.monotonic() + _SETTLE_SECONDS
        while self._clock.monotonic() < deadline and not all(  # noqa: ASYNC110 - sources share no event
            source.is_settled for source in self._sources
        ):
            await asyncio.sleep(_SETTLE_POLL_SECONDS)

    async def _glance_for_ever(self) -> None:
        while True:
            await self._is_fresh.wait()
            self._is_fresh.clear()
            await _surviving(self.glance(), "glance failed")
            await asyncio.sleep(_GLANCE_SECONDS)

    async def _live_for_ever(self) -> None:
        while True:
            if self.stream.clients:
                await _surviving(self._publish_live(), "live document failed")
            await asyncio.sleep(max(_LIVE_SECONDS, self.watch.census.devices / _DEVICES_PER_LIVE_SECOND))

    async def _publish_live(self) -> None:
        self.stream.publish("live", await self.watch.live())


async def _surviving(work: Awaitable[None], event: str) -> None:
    """A fault of ours is logged and costs this round only."""
    try:
        await work
    except Exception:  # noqa: BLE001 - the last line of defense of a service that must go on
        _LOG.exception(event)
