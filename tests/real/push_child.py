"""A process that pushes numbered readings until somebody kills it: `python push_child.py URL QUEUE FIRST`.

It prints each number once its batch is safe in the queue, so the parent knows what the receiver must have in the end.
"""

from __future__ import annotations

import sys
import time
from pathlib import Path

from warpgauge.core.catalog import host
from warpgauge.core.clock import SystemClock
from warpgauge.core.config import Config, PushConfig, RemoteWriteConfig
from warpgauge.core.queue import DurableQueue
from warpgauge.core.retry import Backoff
from warpgauge.core.sample import Sample
from warpgauge.exporters.push.reading import Reading
from warpgauge.exporters.push.remote_write import RemoteWrite
from warpgauge.exporters.push.worker import Delivery


def delivery_to(url: str, path: Path) -> Delivery[Reading]:
    settings = RemoteWriteConfig(url=f"{url}/api/v1/write", timeout_seconds=2.0)
    config = Config(remote_write=settings, push=PushConfig(external_labels=("instance=n1",)))
    queue = DurableQueue(path, max_bytes=1 << 24, max_age_seconds=3600.0)
    backoff = Backoff(first_seconds=0.05, max_seconds=0.2)
    return Delivery(RemoteWrite(config, {}), queue, clock=SystemClock(), backoff=backoff)


def numbered(number: int) -> Reading:
    return Reading(time.time(), [Sample(host.LOAD1, (), float(number))])


def main() -> None:
    url, path, first = sys.argv[1], Path(sys.argv[2]), int(sys.argv[3])
    delivery = delivery_to(url, path)
    delivery.start()
    for number in range(first, first + 100_000):
        if delivery.store(numbered(number)):
            print(number, flush=True)  # noqa: T201 - the parent reads it
        time.sleep(0.002)


if __name__ == "__main__":
    main()
