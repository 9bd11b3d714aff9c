"""What the usual libraries' senders have in common: the same ids at the same rhythm as ours."""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

if TYPE_CHECKING:
    from collections.abc import Callable

__all__ = ["MESSAGE", "run"]

MESSAGE = "NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."

IDS_OF_A_LIFE = 100_000_000


class Giver(Protocol):
    """A library that is given records."""

    def give(self, ids: range, time: float) -> None:
        """Give it these, and note those that it says it took."""

    def close(self) -> None:
        """End as its manual says."""


def run(make: Callable[[Path, int], Giver]) -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("folder", type=Path)
    parser.add_argument("port", type=int)
    parser.add_argument("life", type=int)
    parser.add_argument("--burst", type=int, default=0)
    parser.add_argument("--seconds", type=float, default=0.0)
    parser.add_argument("--batch", type=int, default=500)
    parser.add_argument("--tick", type=float, default=0.1)
    arguments = parser.parse_args()
    giver = make(arguments.folder, arguments.port)
    print("started", flush=True)
    first, spent, began = arguments.life * IDS_OF_A_LIFE + 1, time.process_time(), time.perf_counter()
    for _ in range(arguments.burst // arguments.batch):
        giver.give(range(first, first + arguments.batch), time.time())
        first += arguments.batch
    told: dict[str, Any] = {}
    due, end, intervals, last = time.monotonic(), time.monotonic() + arguments.seconds, [], time.monotonic()
    while due < end:
        due = max(due + arguments.tick, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))
        giver.give(range(first, first + arguments.batch), time.time())
        first += arguments.batch
        intervals.append(time.monotonic() - last)
        last += intervals[-1]
    if intervals:
        told = {"mean_interval": sum(intervals) / len(intervals), "worst": max(intervals), "ticks": len(intervals)}
    giver.close()
    told |= {"seconds": time.perf_counter() - began, "cpu_seconds": time.process_time() - spent}
    print(json.dumps(told), flush=True)
