"""An agent's pushing half as a process of its own: sender.py SINK FOLDER PORT LIFE [options]; see `main`.

It appends batches of ids to the sink's durable queue, notes in a ledger each batch whose append has returned, and sends
them, until it is killed (from outside, or by itself at a boundary), its time is over or the queue is empty.
"""

from __future__ import annotations

import argparse
import json
import os
import resource
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from benchmarks.delivery_parts.ledger import Ledger
from benchmarks.delivery_parts.sinks import SINKS
from warpgauge.core.clock import SystemClock
from warpgauge.core.queue import DurableQueue
from warpgauge.core.retry import Backoff
from warpgauge.exporters.push.worker import Delivery

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from benchmarks.delivery_parts.sinks import Entry
    from warpgauge.exporters.push.sink import Outcome

BOUNDARIES = (
    "encode", "append BEGIN", "append INSERT", "append UPDATE", "append COMMIT", "appended",
    "send", "sent", "ack BEGIN", "ack DELETE", "ack UPDATE", "ack COMMIT", "acked",
)  # fmt: skip
"""Where it can kill itself: around each step, and before each SQL statement of the transactions."""

IDS_OF_A_LIFE = 100_000_000
OCCURRENCE = 3  # it dies when a boundary is reached for the third time: by then something is under way
LOOK_SECONDS = 0.02


class Death:
    """Kills this process when its boundary is reached."""

    def __init__(self, boundary: str) -> None:
        self._boundary = boundary
        self._left = OCCURRENCE

    def at(self, boundary: str) -> None:
        """A boundary is reached."""
        if boundary == self._boundary:
            self._left -= 1
            if self._left <= 0:
                os.kill(os.getpid(), signal.SIGKILL)


class Noted:
    """A sink whose batches are ids; remembers those of the batch that is being appended."""

    def __init__(self, entry: Entry, port: int, death: Death) -> None:
        self.name = entry.name
        self.ids: Sequence[int] = ()
        self._entry = entry
        self._death = death
        self._sink = entry.sink(port)

    def encode(self, batch: Sequence[int]) -> bytes:
        """As the sink does."""
        self._death.at("encode")
        self.ids = batch
        return self._sink.encode(self._entry.batch(batch, time.time()))

    def send(self, body: bytes) -> Outcome:
        """As the sink does."""
        self._death.at("send")
        outcome = self._sink.send(body)
        self._death.at("sent")
        return outcome

    def check(self) -> str:
        """As the sink does."""
        return self._sink.check()

    def close(self) -> None:
        """As the sink does."""
        self._sink.close()


class Queue(DurableQueue):
    """The queue, with a ledger of what it has taken and death between its statements."""

    def __init__(self, path: Path, sink: Noted, ledger: Ledger, death: Death) -> None:
        super().__init__(path, max_bytes=8 << 30, max_age_seconds=1e9)
        self._noted, self._ledger, self._death, self._doing = sink, ledger, death, ""
        self._connection.set_trace_callback(lambda sql: death.at(f"{self._doing} {sql.split(maxsplit=1)[0]}"))

    def append(self, body: bytes) -> int:
        """As the queue does, and a line in the ledger."""
        self._doing = "append"
        number = super().append(body)
        self._death.at("appended")
        self._ledger.write(self._noted.ids)
        return number

    def ack(self, ids: Iterable[int]) -> int:
        """As the queue does."""
        self._doing = "ack"
        count = super().ack(ids)
        self._death.at("acked")
        return count


def batches(life: int, size: int) -> Iterable[range]:
    first = life * IDS_OF_A_LIFE + 1
    while True:
        yield range(first, first + size)
        first += size


def burst(delivery: Delivery[Any], count: int, arguments: argparse.Namespace) -> dict[str, Any]:
    """Append as fast as it can, and wait until all is acknowledged."""
    began, source = time.perf_counter(), iter(batches(arguments.life, arguments.batch))
    for _ in range(count // arguments.batch):
        delivery.store(next(source))
    drain(delivery)
    return {"seconds": time.perf_counter() - began}


def drain(delivery: Delivery[Any]) -> None:
    while delivery.stats().records:
        time.sleep(LOOK_SECONDS)


def sample(delivery: Delivery[Any], arguments: argparse.Namespace) -> dict[str, Any]:
    """Offer a batch at each tick, as the agent's sampler does."""
    source, began = iter(batches(arguments.life, arguments.batch)), time.monotonic()
    intervals, last, due = [], began, began
    while due < began + arguments.seconds:
        due += arguments.tick
        time.sleep(max(0.0, due - time.monotonic()))
        delivery.offer(next(source))
        intervals.append(time.monotonic() - last)
        last += intervals[-1]
    apart = [abs(one - arguments.tick) <= 0.1 * arguments.tick for one in intervals]
    return {
        "ticks": len(intervals),
        "mean_interval": sum(intervals) / len(intervals),
        "on_time": sum(apart) / len(intervals),
        "worst": max(intervals),
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("sink", choices=SINKS)
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("life", type=int)
    parser.add_argument("--burst", type=int, default=0, help="this many records as fast as it can, then end")
    parser.add_argument("--seconds", type=float, default=0.0, help="sample for so long")
    parser.add_argument("--drain", action="store_true", help="end only once the queue is empty")
    parser.add_argument("--die-at", default="")
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--tick", type=float, default=0.1)
    arguments = parser.parse_args()
    death = Death(arguments.die_at)
    sink = Noted(SINKS[arguments.sink], arguments.port, death)
    queue = Queue(arguments.folder / "queue.db", sink, Ledger(arguments.folder / "appended"), death)
    backoff = Backoff(first_seconds=0.05, max_seconds=0.5, jitter=0.5)
    delivery = Delivery(sink, queue, clock=SystemClock(), backoff=backoff)
    delivery.start()
    print("started", flush=True)
    spent = time.process_time()
    told: dict[str, Any] = burst(delivery, arguments.burst, arguments) if arguments.burst else {}
    if arguments.seconds:
        told |= sample(delivery, arguments)
    if arguments.drain:
        drain(delivery)
    told["cpu_seconds"] = time.process_time() - spent
    told["peak_rss"] = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024
    told["dropped"] = delivery.stats().dropped
    delivery.close(10.0)
    print(json.dumps(told), flush=True)


if __name__ == "__main__":
    main()
