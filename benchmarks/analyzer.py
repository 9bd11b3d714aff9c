"""Cost and truth of the analyzer's tick on one core: samples into the frame, all detectors, findings, incidents.

The samples come as columns (series ids looked up once) and go the way of the service: into the frame of a `Watch`, then
`judge`, `accept` and the question for recommendations, with the default configuration and all detectors. The frame
holds its full default window before anything is timed. A hundredth of the devices is at fault and the findings are
held against the truth; 5 % of all label sets are new each hour, 0.5 % of the samples are missing. A second, sound fleet
shows what the engine costs where there is nothing to say. What each detector costs is told of the first size; several
`--devices` show how the cost grows. `--peers` scores the same samples with river, pyod and scikit-learn, each in an
environment that is installed at the first use. `--short` takes 2,000 devices, `--json` prints an object per figure.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import resource
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import numpy as np

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))  # tools/, which makes the peers' environments

from support import peers
from support.fleet import CHANNELS, STEP_MS, Fleet, key_of

from warpgauge.analyzer.detectors import DETECTORS
from warpgauge.analyzer.recommend import FileSink, Ledger, Outbox
from warpgauge.analyzer.service.advisor import Advisor
from warpgauge.analyzer.service.watch import Watch
from warpgauge.analyzer.snapshot import Keeper
from warpgauge.core.clock import ManualClock
from warpgauge.core.config import AnalyzerConfig
from warpgauge.core.table import table

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

    from numpy.typing import NDArray

    from warpgauge.analyzer.detection import Detection, Detector
    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.incidents.engine import Result

    Doubles = NDArray[np.float64]
    Ints = NDArray[np.int64]

START_SECONDS: Final = 1_750_000_000
WINDOW_TICKS: Final = 360
WARM_TICKS: Final = 5  # judged before anything is timed, as a service that runs for a while
BUDGETS: Final = {
    "engine, sound fleet": 20e6,
    "whole analyzer": 5e6,
    "tick p99": 0.050,
    "core share at 100,000 devices": 0.25,
    "state per series": 100.0,
    "restart from snapshot": 2.0,
}


@dataclass(slots=True)
class Costs:
    """CPU seconds of each timed tick."""

    samples: int = 0  # of the last tick
    labels: list[float] = field(default_factory=list)  # new series
    ingest: list[float] = field(default_factory=list)
    judge: list[float] = field(default_factory=list)  # detectors, findings, incidents
    advise: list[float] = field(default_factory=list)  # accepting, recommendations

    def whole(self) -> np.ndarray[Any, np.dtype[np.float64]]:
        """All of a tick."""
        return np.sum([self.labels, self.ingest, self.judge, self.advise], axis=0)


class Timed:
    """A detector of which is known what it cost each time that it was asked, in CPU seconds."""

    def __init__(self, detector: Detector) -> None:
        self.name = detector.name
        self.seconds: list[float] = []
        self._detector = detector

    def detect(self, frame: Frame) -> Detection:
        """What the detector says."""
        began = time.thread_time()
        found = self._detector.detect(frame)
        self.seconds.append(time.thread_time() - began)
        return found


class Bench:
    """A watch as the service has it, and the fleet that it watches."""

    def __init__(self, devices: int, metrics: int, folder: Path, *, is_sound: bool = False) -> None:
        self.clock = ManualClock(seconds=START_SECONDS)
        self.detectors = tuple(Timed(detector) for detector in DETECTORS)
        self.watch = Watch(AnalyzerConfig(), self.clock, self.detectors)
        outbox = Outbox(folder, [FileSink(folder / "recommendations.jsonl")], self.clock)
        self.advisor = Advisor(outbox, mode="propose", clock=self.clock)
        self.metrics = metrics
        self.costs = Costs()
        self.result: Result | None = None
        self.followed: list[Doubles] = []  # what the peers get: a row of samples per tick
        self._devices = devices
        self._is_sound = is_sound

    async def run(self, ticks: int) -> None:
        """Fill the window, then time so many ticks."""
        self.fleet = await self.watch.ask(
            lambda frame: Fleet(frame, self._devices, self.metrics, is_sound=self._is_sound)
        )
        for tick in range(WINDOW_TICKS + ticks):
            if tick == WINDOW_TICKS:
                self._forget_warm_ticks()
            await self._tick(tick, is_judged=tick >= WINDOW_TICKS - WARM_TICKS, is_timed=tick >= WINDOW_TICKS)

    def _forget_warm_ticks(self) -> None:
        for detector in self.detectors:
            detector.seconds.clear()

    async def _tick(self, tick: int, *, is_judged: bool, is_timed: bool) -> None:
        marks = [time.process_time()]
        await self.watch.ask(lambda _: self.fleet.churn(tick))
        marks.append(time.process_time())
        ids, values = self.fleet.samples(tick)
        self.clock.seconds = START_SECONDS + tick * STEP_MS / 1000
        self.followed.append(_of_series(self.fleet.followed, ids, values))
        times_ms = np.full(len(ids), round(self.clock.seconds * 1000), dtype=np.int64)
        began = time.process_time()
        await self.watch.ask(lambda frame: frame.ingest(ids, times_ms, values))
        marks.append(time.process_time())
        if is_judged:
            self.result = await self.watch.judge({})
        marks.append(time.process_time())
        step = None
        if self.result is not None:
            await self.watch.accept(self.result)
            step = await self.watch.ask(self.advisor.question(self.result))
        marks.append(time.process_time())
        if step is not None:
            self.advisor.send(step)  # the ledger goes on from it; what the disk costs is not the tick's
        if is_timed:
            self.costs.samples = len(ids)
            self.costs.labels.append(marks[1] - marks[0])
            self.costs.ingest.append(marks[2] - began)
            self.costs.judge.append(marks[3] - marks[2])
            self.costs.advise.append(marks[4] - marks[3])

    def truth(self) -> tuple[float, float]:
        """Precision and recall of the findings that hold now."""
        found = {key_of(finding) for finding in (self.result.findings if self.result else ())}
        right = len(found & set(self.fleet.truth))
        return right / max(len(found), 1), right / max(len(self.fleet.truth), 1)

    def close(self) -> None:
        """End the thread and the outbox."""
        self.watch.close()
        self.advisor.close()


def _of_series(wanted: Ints, ids: Ints, values: Doubles) -> Doubles:
    """Values of some series, NaN where they are missing; `ids` ascend."""
    at = np.minimum(np.searchsorted(ids, wanted), len(ids) - 1)
    return np.where(ids[at] == wanted, values[at], np.nan)


def row(name: str, value: float, unit: str, peer: str | None = None, budget: str | None = None) -> dict[str, object]:
    """One figure with its budget."""
    limit = BUDGETS.get(budget or name)
    is_rate = unit == "samples/s"
    is_within = None if limit is None else value >= limit if is_rate else value <= limit
    return {"name": name, "value": value, "unit": unit, "peer": peer, "budget": limit, "ok": is_within}


def figures(devices: int, metrics: int, ticks: int, *, is_first: bool, with_peers: bool) -> Iterator[dict[str, object]]:
    """Rows of the report for a fleet of one size; of the first one also snapshot, state and the sound fleet."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "sound").mkdir()
        bench = Bench(devices, metrics, folder)
        asyncio.run(bench.run(ticks))
        yield from _of_costs(f"{devices:,} devices", bench)
        if is_first:
            yield from _of_detectors(bench)
            yield from _of_snapshot(bench, folder)
            yield from _of_state(bench)
        if with_peers:
            ours = float(np.median(bench.costs.whole())) / bench.costs.samples * 1e9
            for peer, nanoseconds in peers.figures(np.array(bench.followed).T):
                yield row(peer, nanoseconds, "ns a sample", peer=f"{nanoseconds / ours:.0f} times ours")
        bench.close()
        if not is_first:
            return
        del bench
        sound = Bench(devices, metrics, folder / "sound", is_sound=True)
        asyncio.run(sound.run(max(5, ticks // 4)))
        costs = sound.costs
        each = costs.samples / float(np.median(costs.judge))
        yield row(f"engine, sound fleet, {devices:,} devices", each, "samples/s", budget="engine, sound fleet")
        sound.close()


def _of_costs(size: str, bench: Bench) -> Iterator[dict[str, object]]:
    costs, whole = bench.costs, bench.costs.whole()
    precision, recall = bench.truth()
    middle = float(np.median(whole))
    yield row(f"samples a tick, {size}", costs.samples, "")
    yield row(f"ingest, {size}", costs.samples / float(np.median(costs.ingest)), "samples/s")
    yield row(f"engine, 1 % at fault, {size}", costs.samples / float(np.median(costs.judge)), "samples/s")
    yield row(f"whole analyzer, {size}", costs.samples / middle, "samples/s", budget="whole analyzer")
    yield row(f"whole analyzer, {size}, per sample", middle / costs.samples * 1e9, "ns")
    yield row(f"tick p50, {size}", middle, "s")
    budget = "tick p99" if size.startswith("10,000 ") else None
    yield row(f"tick p99, {size}", float(np.quantile(whole, 0.99)), "s", budget=budget)
    share = "core share at 100,000 devices" if size.startswith("100,000 ") else None
    yield row(f"share of a core at a tick of 10 s, {size}", float(whole.mean()) / 10.0, "", budget=share)
    yield row(f"precision, {size}", precision, "")
    yield row(f"recall, {size}", recall, "")


def _of_detectors(bench: Bench) -> Iterator[dict[str, object]]:
    """Of each detector what a tick costs on the average; not each is asked at each tick."""
    each = {one.name: sum(one.seconds) / len(bench.costs.judge) * 1000 for one in bench.detectors}
    for name, milliseconds in sorted(each.items(), key=lambda item: -item[1]):
        yield row(f"detector {name}, a tick", milliseconds, "ms")


def _of_snapshot(bench: Bench, folder: Path) -> Iterator[dict[str, object]]:
    """Wall seconds: what the frame's thread is held up for, what a save takes in all, and a restart."""
    keeper = Keeper(folder, interval_seconds=60.0)
    began = time.perf_counter()
    saved = asyncio.run(bench.watch.save(Ledger()))
    copied = time.perf_counter()
    keeper.save(saved)
    written = time.perf_counter()
    config = AnalyzerConfig()
    memory = keeper.load(window_seconds=config.window_seconds, cluster=config.cluster, now=bench.clock.seconds)
    loaded = time.perf_counter()
    is_same = memory is not None and bench.result is not None and memory.state == bench.result.state
    yield row("snapshot, frame held up", copied - began, "s")
    yield row("snapshot, written and forced to disk", written - copied, "s")
    yield row("snapshot, size", keeper.path.stat().st_size, "B")
    yield row("restart from snapshot", loaded - written, "s")
    yield row("findings kept over the restart", float(is_same), "")


def _of_state(bench: Bench) -> Iterator[dict[str, object]]:
    saved = asyncio.run(bench.watch.save(Ledger())).frame
    arrays = {name: array for name, array in saved.arrays.items() if not name.endswith((".values", "last_seen_ms"))}
    series = len(saved.arrays["digests"])
    yield row("state per series", sum(array.nbytes for array in arrays.values()) / series, "B, without its window")
    yield row("peak memory", resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0, "B")


def all_figures(sizes: Sequence[int], metrics: int, ticks: int, *, with_peers: bool) -> Iterator[dict[str, object]]:
    """Rows for every size, and how the cost of a sample grows from the smallest to the largest."""
    cost: dict[int, float] = {}
    for at, size in enumerate(sizes):
        for one in figures(size, metrics, ticks, is_first=at == 0, with_peers=with_peers and at == 0):
            if one["unit"] == "ns":
                cost[size] = float(str(one["value"]))
            yield one
    if len(cost) > 1:
        least, most = min(cost), max(cost)
        yield row(f"a sample at {most:,} devices against {least:,}", cost[most] / cost[least], "times")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, action="append", help="may be given several times; default 10,000")
    parser.add_argument("--metrics", type=int, default=20, choices=range(6, len(CHANNELS) + 1), metavar="M")
    parser.add_argument("--ticks", type=int, help="timed ticks after the window is full; default 100")
    parser.add_argument("--peers", action="store_true", help="other libraries on the same samples")
    parser.add_argument("--short", action="store_true", help="end within a minute")
    parser.add_argument("--json", action="store_true", help="one JSON object per figure")
    args = parser.parse_args()
    sizes = args.devices or [2_000 if args.short else 10_000]
    ticks = args.ticks or (30 if args.short else 100)
    rows = all_figures(sizes, args.metrics, ticks, with_peers=args.peers)
    if args.json:
        for figure in rows:
            print(json.dumps(figure), flush=True)
        return
    print(f"{args.metrics} metrics a device, {ticks} ticks, CPU time of one thread; snapshots in wall time")
    words = {True: "yes", False: "NO", None: ""}
    cells = [
        (one["name"], f"{one['value']:.4g}", one["unit"], one["peer"] or one["budget"] or "", words[one["ok"]])  # type: ignore[index]
        for one in rows
    ]
    print(table(("figure", "value", "unit", "budget or ratio", "within"), cells, numeric=(1, 3)))


if __name__ == "__main__":
    main()
