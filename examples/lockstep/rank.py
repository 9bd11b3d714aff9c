"""One rank: a step every 100 ms, 20 ms of it real work on a CPU, in lockstep with the other ranks.

The work fits a linear model to this rank's shard by gradient descent, and the gradients are summed over all ranks. What
a device would compute meanwhile is a pause, so that four ranks fit on two cores: ranks that share a core work one after
the other. Orders come as JSON lines on standard input (`{"loader_seconds": 0.06}`, `{"uneven": true}`); each second a
JSON line on standard output tells how the steps went. Started by lockstep.py.
"""

from __future__ import annotations

import argparse
import json
import os
import random
import sys
import threading
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from exchange import Exchange, GlooExchange, SocketExchange

from warpgauge.exporters.training import StepTimer

if TYPE_CHECKING:
    from collections.abc import Iterator

WIDTH = 32
DEVICE_SECONDS = 0.075
STAGGER_SECONDS = 0.022
LARGE_SHARE = 5  # times the usual rows
Row = tuple[list[float], float]


@dataclass(slots=True)
class Orders:
    """What the launcher asked for last; written by the reading thread, read once a step."""

    loader_seconds: float = 0.0
    uneven: bool = False

    def follow(self) -> None:
        """Take orders until standard input closes; then the launcher is gone and so are we."""
        for line in sys.stdin:
            for name, value in json.loads(line).items():
                setattr(self, name, value)
        os._exit(0)


@dataclass(slots=True)
class Second:
    """How the steps of one second went."""

    rank: int
    began: float = field(default_factory=time.monotonic)
    steps: int = 0
    busy_seconds: float = 0.0  # of wall time, in what is work on the CPU
    cpu_seconds: float = 0.0

    def tell(self) -> None:
        """Print it, with the mean length of a step."""
        step = (time.monotonic() - self.began) / max(self.steps, 1)
        told = {"rank": self.rank, "time": time.time(), "steps": self.steps, "step_seconds": round(step, 5)}
        told |= {"busy_seconds": round(self.busy_seconds, 5), "cpu_seconds": round(self.cpu_seconds, 5)}
        print(json.dumps(told), flush=True)


def shard(rank: int, size: int) -> list[Row]:
    """Rows around a plane that all ranks share."""
    noise = random.Random(rank)
    rows = [[noise.uniform(-1, 1) for _ in range(WIDTH)] for _ in range(size)]
    return [(row, sum(row) + noise.gauss(0, 0.1)) for row in rows]


def gradient(rows: list[Row], model: list[float]) -> list[float]:
    """Of the squared error, the mean over the rows."""
    total = [0.0] * WIDTH
    for row, target in rows:
        error = sum(weight * value for weight, value in zip(model, row, strict=True)) - target
        total = [one + error * value for one, value in zip(total, row, strict=True)]
    return [one / len(rows) for one in total]


def rows_in(seconds: float) -> int:
    """How many rows take so much CPU time here: the fastest of a few tries, for others may run meanwhile."""
    rows, model = shard(0, 200), [0.0] * WIDTH
    spent = []
    for _ in range(10):
        began = time.process_time()
        gradient(rows, model)
        spent.append(time.process_time() - began)
    return max(1, round(len(rows) * seconds / max(min(spent), 1e-6)))


class Rank:
    """The training loop and what it needs."""

    def __init__(self, arguments: argparse.Namespace, exchange: Exchange, timer: StepTimer) -> None:
        self._rank, self._ranks, self._turn = arguments.rank, arguments.ranks, arguments.turn
        self._rows = shard(self._rank, arguments.rows)
        self._exchange, self._timer = exchange, timer
        self._model = [0.0] * WIDTH
        self.orders = Orders()

    def train(self) -> None:
        """Step until the job ends."""
        second = Second(self._rank)
        for number, rows in enumerate(self._timer.input(self._batches())):
            with self._timer.step():
                with self._timer.phase("compute"):
                    own = self._compute(rows, second)
                total = self._exchange.reduce(own, self._timer)
                self._model = [one - 0.3 * part / self._ranks for one, part in zip(self._model, total, strict=True)]
            second.steps += 1
            if number and time.monotonic() - second.began >= 1:
                second.tell()
                second = Second(self._rank)

    def _batches(self) -> Iterator[list[Row]]:
        """The loader; its storage may be slow, and a step's large share falls to one rank by lot."""
        lot = random.Random(0)  # the same on all ranks
        while True:
            drawn = lot.randrange(self._ranks)
            if self.orders.loader_seconds:
                time.sleep(self.orders.loader_seconds)
            is_large = self.orders.uneven and drawn == self._rank
            yield self._rows * LARGE_SHARE if is_large else self._rows

    def _compute(self, rows: list[Row], second: Second) -> list[float]:
        time.sleep(self._turn * STAGGER_SECONDS)
        began, cpu = time.perf_counter(), time.process_time()
        own = gradient(rows, self._model)
        second.busy_seconds += time.perf_counter() - began
        second.cpu_seconds += time.process_time() - cpu
        time.sleep(DEVICE_SECONDS - self._turn * STAGGER_SECONDS)
        return own


def main() -> None:
    """Run one rank until standard input closes."""
    parser = argparse.ArgumentParser(description="One rank of the lockstep job.")
    parser.add_argument("--rank", type=int, required=True)
    parser.add_argument("--ranks", type=int, required=True)
    parser.add_argument("--turn", type=int, default=0, help="place among the ranks on its core")
    parser.add_argument("--rows", type=int, required=True, help="rows of a shard")
    parser.add_argument("--port", type=int, required=True, help="where gradients go")
    parser.add_argument("--backend", choices=("gloo", "socket"), required=True)
    parser.add_argument("--job", required=True)
    parser.add_argument("--socket", help="where the agent listens, if not at its usual place")
    arguments = parser.parse_args()
    if arguments.backend == "gloo":
        exchange: Exchange = GlooExchange(arguments.rank, arguments.ranks, arguments.port)
    else:
        exchange = SocketExchange(arguments.rank, arguments.port)
    timer = StepTimer(job_id=arguments.job, rank=arguments.rank, socket_path=arguments.socket)
    rank = Rank(arguments, exchange, timer)
    threading.Thread(target=rank.orders.follow, daemon=True).start()
    try:
        rank.train()
    except ConnectionError:  # the job ended elsewhere
        timer.close()


if __name__ == "__main__":
    main()
