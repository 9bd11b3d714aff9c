"""A running exporter seen from outside: when it had data, what it uses, what a scrape of it takes."""

from __future__ import annotations

import contextlib
import gzip
import socket
import subprocess
import time
import urllib.request
from dataclasses import dataclass
from http.client import HTTPConnection, HTTPException
from multiprocessing import get_context
from typing import TYPE_CHECKING, Any

import psutil

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping, Sequence
    from pathlib import Path

CLIENTS = 4
GZIPPED_OPENMETRICS = {"Accept": "application/openmetrics-text;version=1.0.0", "Accept-Encoding": "gzip"}
LONGEST_START_SECONDS = 30.0
NANOSECONDS = 1e9


@dataclass
class Running:
    """A started exporter, its output, and how long it took until devices were in it (None: not yet)."""

    process: subprocess.Popen[bytes]
    port: int
    out: Path
    begun: float
    start_seconds: float | None = None

    def family(self) -> list[psutil.Process]:
        """The process and its children."""
        main = psutil.Process(self.process.pid)
        return [main, *main.children(recursive=True)]

    def page(self) -> str:
        """What a Prometheus gets: it asks for compressed OpenMetrics and takes whatever comes."""
        request = urllib.request.Request(f"http://127.0.0.1:{self.port}/metrics", headers=GZIPPED_OPENMETRICS)
        with urllib.request.urlopen(request, timeout=30) as answer:  # noqa: S310 - our own address
            body = answer.read()
            return str((gzip.decompress(body) if answer.headers["Content-Encoding"] == "gzip" else body).decode())

    def cpu_seconds(self) -> float:
        """User and system time of the family so far, from the kernel's own clocks: they are exact to the nanosecond."""
        return sum(time.clock_gettime_ns(~one.pid << 3 | 2) / NANOSECONDS for one in self.family())

    def memory_bytes(self) -> tuple[int, int]:
        """Resident and proportional set size of the family; the first counts shared pages once a process."""
        about = [one.memory_full_info() for one in self.family()]
        return sum(one.rss for one in about), sum(one.pss for one in about)

    def stop(self) -> None:
        """End it, and wait until it has."""
        self.process.terminate()
        try:
            self.process.wait(10)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()


def free_port() -> int:
    """A port of 127.0.0.1 that nobody listens on right now."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def launch(command: Sequence[str], environment: Mapping[str, str], port: int, out: Path) -> Running:
    """Start an exporter and return at once; what it prints goes to a file."""
    begun = time.perf_counter()
    with out.open("wb") as file, out.with_suffix(".err").open("wb") as errors:
        process = subprocess.Popen(command, env=dict(environment), stdout=file, stderr=errors)
    return Running(process, port, out, begun)


def wait(running: Running, has_data: Callable[[Running], bool], seconds: float = LONGEST_START_SECONDS) -> bool:
    """Whether an exporter has data within some seconds of its start; when it came is kept.

    Raises:
        RuntimeError: it ended instead.

    """
    while running.start_seconds is None:
        with contextlib.suppress(OSError):
            if has_data(running):
                running.start_seconds = time.perf_counter() - running.begun
                break
        if running.process.poll() is not None:
            said = running.out.with_suffix(".err").read_text(errors="replace")[-500:]
            message = f"{running.process.args!r} ended with status {running.process.returncode}: {said}"
            raise RuntimeError(message)
        if time.perf_counter() - running.begun > seconds:
            return False
        time.sleep(0.005)
    return True


@contextlib.contextmanager
def ended(all_of_them: Sequence[Running]) -> Iterator[None]:
    """Whatever happens in the block, these exporters are gone after it."""
    try:
        yield
    finally:
        for one in all_of_them:
            one.stop()


def _client(port: int, scrapes: int, every: float, place: int, results: Any) -> None:  # noqa: ANN401 - a queue between processes
    """One client's latencies in seconds and failures; every second scrape asks for compressed OpenMetrics."""
    latencies, failures = [], 0
    connection = HTTPConnection("127.0.0.1", port, timeout=30)
    first = time.perf_counter() + place * every / CLIENTS
    for number in range(scrapes):
        time.sleep(max(0.0, first + number * every - time.perf_counter()))
        begun = time.perf_counter()
        try:
            connection.request("GET", "/metrics", headers=GZIPPED_OPENMETRICS if number % 2 else {})
            connection.getresponse().read()
        except (OSError, HTTPException):  # some servers close a connection whenever they like
            failures += 1
            connection.close()
            continue
        latencies.append(time.perf_counter() - begun)
    results.put((latencies, failures))


def scrape(
    port: int, scrapes: int, every: float, half_way: Callable[[], None] = lambda: None
) -> tuple[list[float], int]:
    """Latencies in milliseconds, sorted, of that many scrapes by four clients, and how many failed.

    Each client asks every so many seconds: no whole part of a tick, so that its scrapes meet every phase of one.
    Something may happen half way.
    """
    context = get_context("spawn")
    results = context.Queue()
    clients = [
        context.Process(target=_client, args=(port, scrapes // CLIENTS, every, place, results), daemon=True)
        for place in range(CLIENTS)
    ]
    for one in clients:
        one.start()
    time.sleep(scrapes / CLIENTS * every / 2)
    half_way()
    found = [results.get(timeout=600) for _ in clients]
    for one in clients:
        one.join()
    return sorted(value * 1e3 for latencies, _ in found for value in latencies), sum(failures for _, failures in found)


def percentile(ordered: Sequence[float], share: float) -> float:
    """The value below which this share of the sorted values lies."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]
