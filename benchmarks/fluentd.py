"""Log records to a real receiver of Fluentd's protocol: our sink over its durable queue beside fluent-logger's handler.

The receiver is npm's FluentServer (node and npm are needed) with a file write per record, a process of its own; CPU is
that of the sender's process. `--short` sends fewer records, `--json` prints one JSON object per figure.
"""

from __future__ import annotations

import argparse
import json
import logging
import shutil
import sys
import tempfile
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.fluent_server import FluentServer, installed_module
from warpgauge.core.clock import SystemClock
from warpgauge.core.config import FluentdConfig
from warpgauge.core.queue import DurableQueue
from warpgauge.core.table import table
from warpgauge.exporters.fluent_handler import FluentLogging
from warpgauge.exporters.log_record import LogRecord, Severity
from warpgauge.exporters.push.forward.settings import forward_sink
from warpgauge.exporters.push.worker import Delivery

MESSAGE = "NVRM: Xid (PCI:0000:3b:00): 79, pid='<unknown>', name=<unknown>, GPU has fallen off the bus."
BATCH = 500
WAIT_SECONDS = 60.0
QUIET_SECONDS = 2.0
LOOK_SECONDS = 0.02


def arrived(server: FluentServer) -> int:
    return server.log.read_bytes().count(b"\n") if server.log.exists() else 0


def wait_for(server: FluentServer, count: int) -> None:
    """Until so many are there, or none came for two seconds; each look reads only what is new."""
    seen, since = 0, time.monotonic()
    end = since + WAIT_SECONDS
    while not server.log.exists() and time.monotonic() < end:
        time.sleep(LOOK_SECONDS)
    with server.log.open("rb") as log:
        while seen < count and time.monotonic() < min(end, since + QUIET_SECONDS):
            new = log.read().count(b"\n")
            if new:
                seen, since = seen + new, time.monotonic()
            time.sleep(LOOK_SECONDS)


def ours(server: FluentServer, count: int, scratch: Path) -> None:
    clock = SystemClock()
    sink = forward_sink(FluentdConfig(servers=(f"127.0.0.1:{server.port}",)), clock)
    delivery = Delivery(sink, DurableQueue(scratch / "queue.db", max_bytes=1 << 30, max_age_seconds=1e9), clock=clock)
    delivery.start()
    for first in range(0, count, BATCH):
        records = [
            LogRecord(id=f"{n:x}", time=clock.now(), source="kernel", kind="xid", severity=Severity.CRITICAL,
                      message=MESSAGE, node="n17", uuid="GPU-5b1e", attributes={"xid": 79})
            for n in range(first, min(first + BATCH, count))
        ]  # fmt: skip
        delivery.store(records)
    wait_for(server, count)
    delivery.close()


def fluent_logger(server: FluentServer, count: int, _: Path) -> None:
    handler = FluentLogging("warpgauge.logs", port=server.port)
    logger = logging.Logger("benchmark")  # noqa: LOG001 - of this run alone
    logger.addHandler(handler)
    extra = {"source": "kernel", "kind": "xid", "severity": "critical", "node": "n17", "uuid": "GPU-5b1e", "xid": 79}
    for n in range(count):
        logger.critical(MESSAGE, extra={**extra, "id": f"{n:x}"})
    wait_for(server, count)
    handler.close()


def measure(count: int) -> list[dict[str, object]]:
    module = installed_module()
    figures: list[dict[str, object]] = []
    for name, send in (("warpgauge", ours), ("fluent-logger", fluent_logger)):
        with tempfile.TemporaryDirectory() as scratch:
            server = FluentServer(module, Path(scratch))
            server.start()
            start, cpu = time.perf_counter(), time.process_time()
            send(server, count, Path(scratch))
            seconds, cpu = time.perf_counter() - start, time.process_time() - cpu
            server.kill()
            figures.append(
                {
                    "sender": name,
                    "records": count,
                    "arrived": arrived(server),
                    "records_a_second": round(count / seconds),
                    "cpu_ms_per_1000": round(1e6 * cpu / count, 2),
                }
            )
    return figures


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    if missing := [program for program in ("node", "npm") if shutil.which(program) is None]:
        print(f"not measured: {missing[0]} is not here: sudo apt-get install nodejs npm")
        return
    figures = measure(20_000 if args.short else 200_000)
    if args.json:
        print("\n".join(map(json.dumps, figures)))
    else:
        print(table(tuple(figures[0]), [tuple(map(str, figure.values())) for figure in figures]))


if __name__ == "__main__":
    main()
