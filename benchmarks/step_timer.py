"""Cost of the step timer in the training loop: one step with an input wait and two phases, back to back.

Without an agent, with a live one, with one stopped by SIGSTOP so that its queue is full, and from 8 threads at once.
The agent's collector runs in a process of its own. Each step is timed by itself, the two clock reads included; of
several rounds the median p50 and p99 count. Steps this close together are the worst case: the sender never rests.
What a loop without a timer takes stands first: it is in all figures. Durations go into memory that is there before,
since a list that grows takes a fresh page of memory in one step of a hundred, which is just what a p99 shows.
`--short` makes fewer steps, `--json` prints one JSON object per figure.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import os
import signal
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from array import array
from pathlib import Path
from typing import TYPE_CHECKING

from warpgauge.core.table import table
from warpgauge.exporters.training import StepTimer

if TYPE_CHECKING:
    from collections.abc import Iterator

BUDGET_MICROSECONDS = 5.0
ROUNDS = 5
THREADS = 8
AGENT = """
import sys
from warpgauge.exporters.collectors.training import TrainingCollector
collector = TrainingCollector(socket_path=sys.argv[1])
print(collector.check(), flush=True)
sys.stdin.read()
collector.close()
"""


@contextlib.contextmanager
def agent(path: Path) -> Iterator[subprocess.Popen[str]]:
    """A process that receives steps as the agent does."""
    command = [sys.executable, "-c", AGENT, str(path)]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        if process.stdout is None or process.stdout.readline() != "None\n":
            msg = "the collector did not start"
            raise RuntimeError(msg)
        try:
            yield process
        finally:
            process.send_signal(signal.SIGCONT)
            process.communicate()


def durations(timer: StepTimer, taken: array[int]) -> None:
    """Nanoseconds that each of so many steps took."""
    clock = time.perf_counter_ns
    loader = iter(timer.input(range(len(taken))))
    step, phase = timer.step, timer.phase
    for number in range(len(taken)):
        start = clock()
        next(loader)
        with step():
            with phase("forward"):
                pass
            with phase("allreduce"):
                pass
        taken[number] = clock() - start


def without_timer(taken: array[int]) -> None:
    """The same loop with nothing in it."""
    clock = time.perf_counter_ns
    loader = iter(range(len(taken)))
    for number in range(len(taken)):
        start = clock()
        next(loader)
        taken[number] = clock() - start


def from_threads(timer: StepTimer, taken: array[int]) -> None:
    """The same from several threads at once, each with its share of the steps."""
    together = threading.Barrier(THREADS)
    shares = [room(len(taken) // THREADS) for _ in range(THREADS)]

    def work(share: array[int]) -> None:
        together.wait()
        durations(timer, share)

    threads = [threading.Thread(target=work, args=(share,)) for share in shares]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    taken[:] = array("q", b"".join(share.tobytes() for share in shares))


def room(steps: int) -> array[int]:
    """Memory for so many durations, every page of it touched."""
    return array("q", bytes(8 * steps))


def percentiles(rounds: list[array[int]]) -> tuple[float, float]:
    """Median over the rounds of p50 and of p99, in microseconds."""
    cuts = [statistics.quantiles(one, n=100) for one in rounds]
    return statistics.median(cut[49] for cut in cuts) / 1e3, statistics.median(cut[98] for cut in cuts) / 1e3


def measure(steps: int) -> list[dict[str, object]]:
    bare = [room(steps) for _ in range(ROUNDS)]
    for taken in bare:
        without_timer(taken)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "train.sock"
        figures = rows("no timer", bare)
        figures += rows("no agent", run(path, steps))
        with agent(path) as process:
            figures += rows("agent live", run(path, steps))
            figures += rows(f"agent live, {THREADS} threads", run(path, steps, threads=True))
            os.kill(process.pid, signal.SIGSTOP)
            figures += rows("agent stopped", run(path, steps))
        return figures


def run(path: Path, steps: int, *, threads: bool = False) -> list[array[int]]:
    timer = StepTimer(job_id="benchmark", socket_path=str(path))
    work = from_threads if threads else durations
    work(timer, room(1000))  # the sender looks for the agent with the first use
    time.sleep(0.1)
    rounds = [room(steps) for _ in range(ROUNDS)]
    for taken in rounds:
        work(timer, taken)
    timer.close()
    return rounds


def rows(name: str, rounds: list[array[int]]) -> list[dict[str, object]]:
    return [
        {
            "name": f"step timer {name} {percentile}",
            "value": round(value, 2),
            "unit": "us/step",
            "peer": "",
            "budget": f"< {BUDGET_MICROSECONDS:g}",
            "ok": value < BUDGET_MICROSECONDS,
        }
        for percentile, value in zip(("p50", "p99"), percentiles(rounds), strict=True)
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--short", action="store_true", help="fewer steps")
    parser.add_argument("--json", action="store_true", help="one JSON object per figure")
    arguments = parser.parse_args()
    logging.getLogger("warpgauge.training").setLevel(logging.ERROR)  # that there is no agent is the point
    figures = measure(20_000 if arguments.short else 200_000)
    if arguments.json:
        print("\n".join(json.dumps(figure) for figure in figures))
    else:
        print(table([key.upper() for key in figures[0]], [list(one.values()) for one in figures], numeric={"VALUE"}))


if __name__ == "__main__":
    main()
