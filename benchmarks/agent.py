"""What the agent costs on a fake driver with 8 GPUs, beside its peers on the same driver in the same run.

The driver is the C fake of tests/fakes/nvml. Its calls take as long as those recorded on an H100, in CPU time of the
caller as there (energy 2.9 ms, GPM's share of the engine 1.3 ms, a sample buffer 1.7 ms; latencies.c), or with
`--latency real` as long as published for another one (utilization 2.5 us, memory 12 us, fan 137 us, process list 4.5
ms, PCIe throughput 20 ms; above a millisecond asleep). `--real-driver` asks this machine's own GPUs; nothing crashes
or hangs then.

First all exporters run together at their defaults, then all at one reading a second; then each is scraped alone by
four clients whose phases sweep across the tick, and one of our children is crashed half way. CPU is taken from the
kernel's clocks of each process and survives a busy machine; latencies and starts do not. `--short` takes fewer
scrapes and does not count the series that move, which takes a minute; `--json` prints one JSON object per figure.
"""

from __future__ import annotations

import argparse
import os
import re
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

ROOT = Path(__file__).resolve().parents[1]
sys.path.insert(0, str(ROOT))

from benchmarks.agent_parts.peers import OURS, PEERS, Peer, PeerAbsentError, is_at_hand, pushed  # noqa: E402 - the path first
from benchmarks.agent_parts.process import Running, ended, free_port, launch, percentile, scrape, wait  # noqa: E402 - as above
from benchmarks.agent_parts.report import Figures, as_json, as_tables  # noqa: E402 - as above
from benchmarks.agent_parts.series import Series  # noqa: E402 - as above
from tests.fakes.nvml.build import CannotBuildError, build  # noqa: E402 - as above
from tests.fakes.nvml_script import set_faults  # noqa: E402 - as above

if TYPE_CHECKING:
    from collections.abc import Sequence

MEGABYTE = 1e6
PROMETHEUS_SECONDS = 15.0  # how often a Prometheus asks, unless told otherwise
FIRST_PUSH_SECONDS = 95.0  # the pushers' first cycle is 60 s long


class Bench:
    """One run: a fake driver, and the exporters on it."""

    def __init__(self, folder: Path, gpus: int, latency: str | None, *, is_short: bool) -> None:
        self._folder = folder
        self._script = folder / "faults"
        self._is_short = is_short
        self._runs = 0
        set_faults(self._script)
        fake = (
            {}
            if latency is None
            else {
                "LD_LIBRARY_PATH": str(build(folder)),
                "NVML_STUB_GPUS": str(gpus),
                "NVML_STUB_SCRIPT": str(self._script),
                "NVML_STUB_LATENCY": latency,
                "NVML_STUB_PIDS": f"{os.getpid()},{os.getppid()}",  # nvitop-exporter ends over one that does not exist
            }
        )
        own = {
            "XDG_RUNTIME_DIR": str(folder),
            "RUNTIME_DIRECTORY": str(folder),
            "XDG_DATA_HOME": str(folder),
        }
        self._environment = {**os.environ, **fake, **own}

    def launch(self, peer: Peer, *more: str) -> Running:
        """Start one exporter."""
        self._runs += 1
        port = free_port()
        out = self._folder / f"{peer.name}.{self._runs}.out"
        return launch([*peer.command(port, self._folder), *more], self._environment, port, out)

    def starts(self, peer: Peer) -> float | None:
        """Shortest of some starts, seconds; None for one that pushes, whose first cycle is waited for elsewhere."""
        if not peer.is_scraped:
            return None
        found = []
        for _ in range(1 if self._is_short else 5):
            running = self.launch(peer)
            with ended([running]):
                wait(running, peer.has_data)
            found.append(running.start_seconds or 0.0)
        return min(found)

    def at_defaults(self, exporters: Sequence[Peer], figures: Figures) -> None:
        """CPU and memory of all at once, scraped as often as a Prometheus would; when the pushers first pushed."""
        together = [self.launch(peer) for peer in exporters]
        with ended(together):
            self._settle(exporters, together)
            percents = self._watch(together, exporters, 8.0 if self._is_short else 60.0, every=PROMETHEUS_SECONDS)
            for peer, running, percent in zip(exporters, together, percents, strict=True):
                rss, pss = running.memory_bytes()
                is_long_enough = peer.is_scraped or not self._is_short  # the pushers collect every 10 s
                figures.put(peer.name, cpu=percent if is_long_enough else None, rss=rss / MEGABYTE, pss=pss / MEGABYTE)
            for peer, running in zip(exporters, together, strict=True):
                if not peer.is_scraped and not self._is_short and wait(running, peer.has_data, FIRST_PUSH_SECONDS):
                    figures.put(peer.name, start=running.start_seconds)

    def each_second(self, exporters: Sequence[Peer], figures: Figures) -> None:
        """CPU of all at one reading and one scrape a second; what is on their pages, and how much of it moves."""
        together = [self.launch(peer, *peer.once_a_second) for peer in exporters]
        seen = [Series() for _ in exporters]
        with ended(together):
            self._settle(exporters, together)
            seconds = 8.0 if self._is_short else 65.0
            percents = self._watch(together, exporters, seconds, every=1.0, seen=seen)
        for peer, running, percent, series in zip(exporters, together, percents, seen, strict=True):
            said = series if peer.is_scraped else pushed(running)
            moving = None if self._is_short else said.moving  # what is read each 10 s moves but once in a short run
            figures.put(peer.name, cpu_1s=percent, names=said.names, samples=said.samples, moving=moving)

    def scrapes(self, peer: Peer, figures: Figures) -> None:
        """Latencies of scrapes by four clients; of ours many more, and one child is crashed half way."""
        running = self.launch(peer)
        with ended([running]):
            wait(running, peer.has_data)
            count = peer.scrapes // (16 if self._is_short else 1)
            half_way = self._crash if peer is OURS else _nothing
            latencies, failures = scrape(running.port, count, peer.scrape_every_seconds, half_way)
            page = running.page()
            if peer is OURS:
                restarts = re.search(r'^warpgauge_agent_child_restarts_total\{.*"crashed"\} (\S+)', page, re.MULTILINE)
                figures.put(peer.name, restarts=float(restarts[1]) if restarts else 0.0, **self._hang(running))
        shares = {"p50": percentile(latencies, 0.5), "p99": percentile(latencies, 0.99), "max": latencies[-1]}
        figures.put(peer.name, body=len(page) / 1e3, scrapes=len(latencies), failures=failures, **shares)

    def _settle(self, exporters: Sequence[Peer], together: Sequence[Running]) -> None:
        for peer, running in zip(exporters, together, strict=True):
            if peer.is_scraped:
                wait(running, peer.has_data)
        time.sleep(2.0)  # past the start

    def _watch(
        self,
        together: Sequence[Running],
        exporters: Sequence[Peer],
        seconds: float,
        *,
        every: float,
        seen: Sequence[Series] = (),
    ) -> list[float]:
        """Percent of a core that each used over some seconds, while it was scraped this often."""
        scraped = [(place, running) for place, running in enumerate(together) if exporters[place].is_scraped]
        before, begun = [one.cpu_seconds() for one in together], time.perf_counter()
        next_look = begun
        while time.perf_counter() - begun < seconds:
            for place, running in scraped:
                page = running.page()
                if seen:
                    seen[place].look(page)
            next_look += every
            time.sleep(max(0.0, min(next_look, begun + seconds) - time.perf_counter()))
        elapsed = time.perf_counter() - begun
        return [(one.cpu_seconds() - was) / elapsed * 100 for one, was in zip(together, before, strict=True)]

    def _crash(self) -> None:
        set_faults(self._script, "crash 2")
        time.sleep(1.2)  # until a tick has met it
        set_faults(self._script)

    def _hang(self, running: Running) -> dict[str, float]:
        """Age of the oldest sample of any device but the one that hangs, and the p99 of the scrapes meanwhile."""
        time.sleep(2.0)  # the crashed one is back
        set_faults(self._script, "hang 3")
        ages, latencies, end = [], [], time.perf_counter() + 5.0
        while time.perf_counter() < end:
            begun = time.perf_counter()
            page = running.page()
            latencies.append((time.perf_counter() - begun) * 1e3)
            times = re.findall(r'^accel_last_sample_timestamp_seconds\{index="(\d+)".*\} (\S+)$', page, re.MULTILINE)
            ages.append(time.time() - min(float(value) for index, value in times if index not in {"2", "3"}))
            time.sleep(0.02)
        set_faults(self._script)
        return {"hung_age": max(ages), "hung_p99": percentile(sorted(latencies), 0.99)}


def _nothing() -> None:
    """Half way through the scrapes of a peer."""


def chosen(text: str, *, is_short: bool, figures: Figures) -> list[Peer]:
    """The peers that were asked for and can be run; of every other one the reason is kept."""
    wanted = {"none": set(), "all": {peer.name for peer in PEERS}}.get(text, set(text.split(",")))
    unknown = sorted(wanted - {peer.name for peer in PEERS})
    if unknown:
        sys.exit(f"agent.py: no peer {unknown[0]!r}; there are {', '.join(peer.name for peer in PEERS)}")
    found = []
    for peer in PEERS:
        if peer.name not in wanted:
            continue
        if is_short and not is_at_hand(peer):
            figures.absent(
                peer.name, f"not installed, and --short does not wait: python3 tools/peers.py {peer.environment}"
            )
            continue
        try:
            peer.command(0, ROOT)
        except PeerAbsentError as error:
            figures.absent(peer.name, str(error))
            continue
        found.append(peer)
    return found


def measure(folder: Path, gpus: int, latency: str | None, peers: str, *, is_short: bool) -> Figures:
    """Everything, phase by phase."""
    figures = Figures()
    bench = Bench(folder, gpus, latency, is_short=is_short)
    exporters = [OURS, *chosen(peers, is_short=is_short, figures=figures)]
    for peer in exporters:
        figures.put(peer.name, start=bench.starts(peer))
    bench.at_defaults(exporters, figures)
    bench.each_second(exporters, figures)
    for peer in exporters:
        if peer.is_scraped:
            bench.scrapes(peer, figures)
    return figures


def main() -> None:
    """Measure and print; the exit status says nothing about the budgets."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true", help="within a minute instead of about seven")
    parser.add_argument("--json", action="store_true", help="one JSON object per figure")
    parser.add_argument("--gpus", type=int, default=8, metavar="N", help="GPUs of the fake driver")
    parser.add_argument(
        "--latency", choices=("h100", "real", "none"), default="h100", help="of the fake driver's calls"
    )
    parser.add_argument("--real-driver", action="store_true", help="this machine's own GPUs")
    parser.add_argument("--peers", default="all", metavar="none|all|NAME,...", help="who is measured beside it")
    args = parser.parse_args()
    latency = None if args.real_driver else args.latency
    try:
        with tempfile.TemporaryDirectory() as folder:
            figures = measure(Path(folder), args.gpus, latency, args.peers, is_short=args.short)
    except CannotBuildError as error:
        sys.exit(f"agent.py: {error}")
    print(as_json(figures) if args.json else as_tables(figures))


if __name__ == "__main__":
    main()
