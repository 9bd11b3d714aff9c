"""A process that uses a queue and kills itself with SIGKILL before its Nth SQL statement.

`python queue_child.py PATH N`: after each call that returned it prints what it was promised, so the parent knows what
must be found afterwards. Without N (0) it prints how many statements there are.
"""

from __future__ import annotations

import os
import signal
import sqlite3
import sys
from pathlib import Path

from warpgauge.core.clock import ManualClock
from warpgauge.core.queue import DurableQueue


def main() -> None:
    path, fatal = Path(sys.argv[1]), int(sys.argv[2])
    seen = 0

    def before_statement(_: str) -> None:
        nonlocal seen
        seen += 1
        if seen == fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    real_connect = sqlite3.connect

    def connect(*args: object, **options: object) -> sqlite3.Connection:
        connection = real_connect(*args, **options)  # type: ignore[call-overload]
        connection.set_trace_callback(before_statement)
        return connection

    sqlite3.connect = connect  # type: ignore[assignment]
    clock = ManualClock(1000.0)
    queue = DurableQueue(path, max_bytes=50, max_age_seconds=100, clock=clock)
    promise("opened")
    for number in range(6):  # the sixth drops the first
        promise("appended", queue.append(b"x" * 9 + str(number).encode()))
    promise("acked", 2, queue.ack([2]))
    promise("dead", 3, queue.dead_letter([3], "refused"))
    clock.advance(101)
    promise("aged", len(queue.peek(9)))
    promise("appended", queue.append(b"fresh"))
    queue.close()
    promise("statements", seen)


def promise(*words: object) -> None:
    print(*words, flush=True)  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    main()
