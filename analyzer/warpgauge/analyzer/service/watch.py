"""The watch over a fleet: one frame, the thread that owns it, and the newest documents about it.

Who may touch what: `Watch._owner` is a pool of one thread. The frame, the intake and the engine's state belong to
that thread; every use of them is a function handed to it, so they need no lock and the event loop stays free. The
documents are replaced as a whole and never changed, so the event loop reads them without asking.
"""

from __future__ import annotations

import asyncio
import gc
import logging
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Final, TypeVar

from warpgauge.analyzer.detectors import CLOSE_DETECTORS
from warpgauge.analyzer.dialects.naming import NodeNames
from warpgauge.analyzer.frame import Frame
from warpgauge.analyzer.frame.layout import Layout
from warpgauge.analyzer.incidents import join
from warpgauge.analyzer.incidents.breaker import suspicions
from warpgauge.analyzer.incidents.engine import EngineState, NodeKey, Result, analyze
from warpgauge.analyzer.incidents.muting import NOTHING_MUTED, Muting
from warpgauge.analyzer.incidents.pacing import PACE_SECONDS, paced
from warpgauge.analyzer.incidents.presence import Presence
from warpgauge.analyzer.intake import Counts, Intake
from warpgauge.analyzer.intake.written import WrittenSamples
from warpgauge.analyzer.service.close_frame import CloseFrame
from warpgauge.analyzer.service.live import live_document
from warpgauge.analyzer.snapshot import MAX_BYTES, Saved, content_of
from warpgauge.analyzer.sources.batch import Page

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from warpgauge.analyzer.detection import Detector, ProcessReading
    from warpgauge.analyzer.detection.usage import Usage
    from warpgauge.analyzer.history.recorder import Recorder
    from warpgauge.analyzer.recommend import Ledger
    from warpgauge.analyzer.snapshot import Memory
    from warpgauge.analyzer.sources import Batch
    from warpgauge.core.clock import Clock
    from warpgauge.core.config import AnalyzerConfig

__all__ = ["Census", "Watch"]

_LOG: Final = logging.getLogger(__name__)
_FUTURE_SECONDS: Final = 60.0  # a target's clock may be this far ahead of ours
_PATIENCE_SECONDS: Final = 20.0  # a sample may come this late before its absence is taken for silence
_UNHEARD_SECONDS: Final = 300.0  # after a start: FIRST_SETTLE_SECONDS of what is written to us, and a slow scrape more
_WRITTEN_PATIENCE_SECONDS: Final = 35.0  # what is written to us waits in the sender's queue and in ours

_AT_ONCE: Final = 2  # changes of the frame in the thread's queue: one runs, the next need not wait for the loop
_MANY_SERIES: Final = 20_000  # of fewer the garbage collector looks through all in a few milliseconds

T = TypeVar("T")


@dataclass(frozen=True, slots=True, kw_only=True)
class Census:
    """How much there is in the frame, and what became of the samples."""

    nodes: int = 0
    simulated_nodes: int = 0
    devices: int = 0
    unresolved_devices: int = 0
    series: int = 0
    counts: Counts = field(default_factory=Counts)


class Watch:
    """Takes batches, runs ticks, answers questions about the frame."""

    def __init__(
        self,
        config: AnalyzerConfig,
        clock: Clock,
        detectors: Sequence[Detector],
        layout: Layout | None = None,
        recorder: Recorder | None = None,
    ) -> None:
        self._clock = clock
        self._detectors = paced(detectors)
        self._owner = ThreadPoolExecutor(max_workers=1, thread_name_prefix="frame")
        self._line = asyncio.Semaphore(_AT_ONCE)  # first come, first served
        self._frame = Frame(window_seconds=config.window_seconds)
        self._layout = layout or Layout()  # of the topology file
        self._frame.layout.take_over(self._layout)
        self._recorder = recorder
        self.usage: Usage | None = None  # that a detector carries on; kept over restarts, set before anything is taken
        self._intake = Intake(self._frame, NodeNames(config.cluster), recorder)
        self._close = CloseFrame(config.cluster)
        self._replica_labels = config.replica_labels
        self._written = WrittenSamples(self._intake, self._replica_labels)
        self._patience_seconds = _WRITTEN_PATIENCE_SECONDS if config.remote_write else _PATIENCE_SECONDS
        self._opted_out_before: frozenset[NodeKey] = frozenset()  # in the run before, until then on the monotonic clock
        self._unheard_until = float("-inf")
        self._state = EngineState()
        self.muting: Muting = NOTHING_MUTED  # replaced as a whole
        self._pages: dict[NodeKey, str] = {}  # where the agent of a node was read
        self._settled_series = 0
        self.census = Census()

    @property
    def opted_out(self) -> frozenset[NodeKey]:
        """Nodes that nothing disruptive is to be done to, because their targets say so.

        After a restart also those of the run before, until every target could be heard again.
        """
        is_settled = self._clock.monotonic() >= self._unheard_until
        return self._intake.opt_outs.nodes | (frozenset() if is_settled else self._opted_out_before)

    async def ask(self, question: Callable[[Frame], T]) -> T:
        """Run a function on the frame, in the thread that owns it; pages that wait are let wait a little longer."""
        return await self._run(lambda: question(self._frame))

    async def take(self, batch: Batch) -> None:
        """Bring a batch into the frame.

        Raises:
            InputError: it is malformed; nothing of it was taken.

        """
        await self._in_line(lambda: self._take(batch))

    async def write(self, body: bytes) -> int:
        """Keep the samples of a remote-write message; gives how many.

        Raises:
            InputError: it is malformed; nothing of it was kept.

        """
        return await self._in_line(lambda: self._write(body))

    async def forget(self, target: str) -> None:
        """Drop what is remembered for a target that is gone."""
        await self._in_line(lambda: self._forget(target))

    async def live(self) -> dict[str, Any]:
        """The live document."""
        return await self._run(lambda: live_document(self._frame, self._clock.now()))

    async def judge(self, processes: Mapping[NodeKey, Sequence[ProcessReading]]) -> Result:
        """Run the detectors on the frame as it is; nothing is remembered until `accept`."""
        return await self._in_line(lambda: self._judge(processes))

    async def glance(self, processes: Mapping[NodeKey, Sequence[ProcessReading]]) -> Result | None:
        """Run the close detectors only, on the last seconds; None where nothing is read often enough for that."""
        return await self._in_line(lambda: self._glance(processes))

    async def accept(self, result: Result) -> None:
        """Let a result be what the next tick starts from, and forget what is long gone."""
        await self._in_line(lambda: self._accept(result))

    async def save(self, ledger: Ledger) -> Saved:
        """A copy of all that the next run needs; writing it is the caller's business."""
        return await self._in_line(lambda: self._save(ledger))

    async def resume(self, memory: Memory) -> None:
        """Go on where another run stopped, before anything was taken."""
        await self._in_line(lambda: self._resume(memory))

    def page_of(self, node: NodeKey) -> str | None:
        """URL of the page that told of a node, None if no agent did."""
        return self._pages.get(node)

    def close(self) -> None:
        """End the thread; work not begun is dropped."""
        self._owner.shutdown(wait=True, cancel_futures=True)

    async def _in_line(self, work: Callable[[], T]) -> T:
        """Run what changes the frame, in the order of asking.

        Few at a time are the thread's, so that whoever asks does not wait for the pages of a whole fleet.
        """
        async with self._line:
            return await self._run(work)

    async def _run(self, work: Callable[[], T]) -> T:
        return await asyncio.get_running_loop().run_in_executor(self._owner, work)

    def _save(self, ledger: Ledger) -> Saved:
        content = content_of(self._frame, max_bytes=MAX_BYTES)
        names = self._intake.names.document()
        usage = None if self.usage is None else self.usage.to_json()
        return Saved(
            frame=content,
            state=self._state,
            names=names,
            ledger=ledger,
            run=self._in_turn,
            usage=usage,
            opted_out=self.opted_out,
        )

    def _in_turn(self, copy: Callable[[], T]) -> T:
        """Run a function in the owner's thread, called from any other thread."""
        return self._owner.submit(copy).result()

    def _resume(self, memory: Memory) -> None:
        if self.usage is not None and memory.usage is not None:
            self.usage.resume(memory.usage)
        self._opted_out_before = memory.opted_out
        self._unheard_until = self._clock.monotonic() + _UNHEARD_SECONDS
        self._frame, self._state = memory.frame, memory.state
        self._frame.layout.take_over(self._layout)
        self._intake = Intake(self._frame, memory.names, self._recorder)
        self._written = WrittenSamples(self._intake, self._replica_labels)

    def _take(self, batch: Batch) -> None:
        self._intake.take(batch, not_after=self._not_after())
        self._close.take(batch, not_after=self._not_after())
        names, labels = self._intake.names, batch.target.complete({})
        node = (names.cluster(labels), names.node(labels))
        self._pages[node] = batch.target.name
        if isinstance(batch, Page):  # of other sources the series themselves say it
            self._intake.opt_outs.hear(node, batch.target.name, labels, round(1000.0 * (batch.time or 0.0)))

    def _write(self, body: bytes) -> int:
        return self._written.take(body, self._clock.monotonic(), not_after=self._not_after())

    def _forget(self, target: str) -> None:
        self._intake.forget(target)
        self._close.forget(target)

    def _not_after(self) -> float:
        return self._clock.now() + _FUTURE_SECONDS

    def _judge(self, processes: Mapping[NodeKey, Sequence[ProcessReading]]) -> Result:
        self._written.flush(self._clock.monotonic(), not_after=self._not_after())
        self._frame.advance(self._clock.now() - self._patience_seconds)
        self._frame.close_up = self._close.current(self._clock.now())
        self._frame.pace_seconds = PACE_SECONDS
        return analyze(
            self._frame,
            self._state,
            self._detectors,
            join=join,
            suspect=suspicions,
            has_gap=Presence(self._frame).has_gap,
            muting=self.muting,
            told_at=self._clock.now(),
            processes=self._of_jobs(processes),
            is_tolerant=True,
        )

    def _of_jobs(
        self, processes: Mapping[NodeKey, Sequence[ProcessReading]]
    ) -> Mapping[NodeKey, Sequence[ProcessReading]]:
        """With pods that an agent names as the jobs that they are of, as the frame has them."""
        called = self._intake.names.jobs.called
        return {
            (cluster, node): [replace(one, job=called(cluster, one.job)) if one.job else one for one in readings]
            for (cluster, node), readings in processes.items()
        }

    def _glance(self, processes: Mapping[NodeKey, Sequence[ProcessReading]]) -> Result | None:
        self._frame.close_up = self._close.current(self._clock.now())
        if self._frame.close_up is None:
            return None
        return analyze(
            self._frame,
            self._state,
            CLOSE_DETECTORS,
            join=join,
            has_gap=Presence(self._frame).has_gap,
            muting=self.muting,
            told_at=self._clock.now(),
            processes=self._of_jobs(processes),
            is_partial=True,
            is_tolerant=True,
        )

    def _accept(self, result: Result) -> None:
        self._state = result.state
        self._frame.expire()
        self._settle()
        nodes, devices = self._frame.nodes.entities, self._frame.devices.entities
        unresolved = self._frame.once(
            "unresolved", lambda: sum(not device.node for device in devices), self._frame.devices.changes
        )
        simulated = self._frame.once(
            "simulated", lambda: sum(node.simulated for node in nodes), self._frame.nodes.changes
        )
        self.census = Census(
            nodes=len(nodes),
            simulated_nodes=simulated,
            devices=len(devices),
            unresolved_devices=unresolved,
            series=self._frame.series,
            counts=self._intake.counts.copy(),
        )

    def _settle(self) -> None:
        """Let the garbage collector leave alone what stays, once it has grown by half.

        Entities, jobs and names live as long as their series: looking through all of them held up a tick in a hundred
        by as much as a tick takes. What is frozen is freed as before when nobody needs it.
        """
        if self._frame.series >= max(1.5 * self._settled_series, _MANY_SERIES):
            self._settled_series = self._frame.series
            gc.freeze()
