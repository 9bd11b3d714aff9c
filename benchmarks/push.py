"""Cost of a push: one reading of 8 devices x 150 series written down for each sink, and how large it is in the queue.

CPU time of one thread; medians of rounds with values that change. Nothing is sent: what a receiver costs is its own.
`--short` makes fewer rounds, `--json` prints one JSON object per figure.
"""

from __future__ import annotations

import argparse
import json
import math
import random
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.exposition import samples
from warpgauge.core.config import Config, OtlpConfig, PushConfig, RemoteWriteConfig
from warpgauge.core.queue import DurableQueue
from warpgauge.core.table import table
from warpgauge.exporters.push.pusher import metric_sinks
from warpgauge.exporters.push.reading import Reading

URL = "http://127.0.0.1:9/"
DAY_SECONDS = 86400


def readings(rounds: int) -> list[Reading]:
    """Values with 17 digits each: harder to compress than most real ones."""
    dice = random.Random(7)
    return [
        Reading(1_750_000_000.0 + 15 * n, [replace(one, value=math.exp(dice.gauss())) for one in samples(n)])
        for n in range(rounds)
    ]


def measure(rounds: int) -> list[dict[str, object]]:
    config = Config(remote_write=RemoteWriteConfig(url=URL), otlp=OtlpConfig(url=URL))
    figures: list[dict[str, object]] = []
    batches = readings(rounds)
    with tempfile.TemporaryDirectory() as scratch:
        for sink in metric_sinks(config, {}):
            encode, append, sizes = [], [], []
            with DurableQueue(Path(scratch, sink.name), max_bytes=1 << 30, max_age_seconds=1e9) as queue:
                for batch in batches:
                    start = time.thread_time()
                    body = sink.encode(batch)
                    encode.append(time.thread_time() - start)
                    begun = time.perf_counter()
                    queue.append(body)
                    append.append(time.perf_counter() - begun)
                    sizes.append(len(body))
            size = statistics.median(sizes)
            push = PushConfig()
            figures.append(
                {
                    "sink": sink.name,
                    "samples": len(batches[0].samples),
                    "encode_ms": round(1000 * statistics.median(encode), 2),
                    "us_a_sample": round(1e6 * statistics.median(encode) / len(batches[0].samples), 2),
                    "append_ms": round(1000 * statistics.median(append), 2),
                    "batch_bytes": round(size),
                    "days_in_the_queue": round(push.queue_max_bytes / size * push.interval_seconds / DAY_SECONDS, 1),
                }
            )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    figures = measure(20 if args.short else 200)
    if args.json:
        print("\n".join(map(json.dumps, figures)))
    else:
        print(table(tuple(figures[0]), [tuple(map(str, figure.values())) for figure in figures]))


if __name__ == "__main__":
    main()
