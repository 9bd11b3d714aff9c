"""Follows files and sends their lines without a pause, until it is killed: shipping_child.py FOLDER PATTERN PORT."""

from __future__ import annotations

import os
import sys
from pathlib import Path

from warpgauge.core.clock import SystemClock
from warpgauge.core.config import FluentdConfig
from warpgauge.core.queue import DurableQueue
from warpgauge.core.retry import Backoff
from warpgauge.exporters.logs.collection import Collection
from warpgauge.exporters.logs.files import LogFiles
from warpgauge.exporters.push.forward.settings import forward_sink
from warpgauge.exporters.push.worker import Delivery


def main(folder: Path, pattern: str, port: str) -> None:
    clock = SystemClock()
    sink = forward_sink(FluentdConfig(servers=(f"127.0.0.1:{port}",), timeout_seconds=1.0), clock)
    queue = DurableQueue(folder / "fluentd.db", max_bytes=1 << 26, max_age_seconds=3600)
    delivery = Delivery(sink, queue, clock=clock, backoff=Backoff(first_seconds=0.02, max_seconds=0.1))
    files = LogFiles([pattern], folder / "positions.json", most_files=8, max_line_bytes=1000)
    collection = Collection(
        [delivery],
        node="n1",
        clock=clock,
        whose=lambda _: ("", ""),
        events=None,
        files=files,
        most_per_second=100_000,
    )
    delivery.start()
    print("started", flush=True)  # noqa: T201 - whoever started us waits for it
    while os.getppid() != 1:
        collection.collect()


main(Path(sys.argv[1]), sys.argv[2], sys.argv[3])
