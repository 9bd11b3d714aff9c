"""A /proc of a machine in trouble: the kernel's own files, written anew twice a second by a thread."""

from __future__ import annotations

import threading
import time
from typing import TYPE_CHECKING, Final, Self

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["IllHost"]

PERIOD_SECONDS: Final = 0.25
CPUS: Final = 4
TICKS: Final = 100  # a second, as the kernel counts


class IllHost:
    """Sound until `is_ill`: then no CPU and no memory is left, all wait for memory and storage, frames are damaged."""

    def __init__(self, root: Path) -> None:
        self.is_ill = False
        self._root = root
        self._since = time.time()
        self._before = self._since
        self._idle = self._busy = self._stalled = self._damaged = 0.0
        (root / "pressure").mkdir(parents=True)
        (root / "1/net").mkdir(parents=True)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._live, daemon=True)
        self._write()

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._stop.set()
        self._thread.join()

    def _live(self) -> None:
        while not self._stop.wait(PERIOD_SECONDS):
            self._write()

    def _write(self) -> None:
        now = time.time()
        passed, self._before = now - self._before, now
        self._busy += passed * (1.0 if self.is_ill else 0.1)
        self._idle += passed * (0.0 if self.is_ill else 0.9)
        self._stalled += passed * (0.6 if self.is_ill else 0.0)
        self._damaged += passed * (5.0 if self.is_ill else 0.0)
        booted = now - 30 if self.is_ill else now - 900_000
        cpu = f"{int(self._busy * TICKS)} 0 0 {int(self._idle * TICKS)} 0 0 0 0 0 0"
        lines = [f"cpu  {cpu}", *(f"cpu{number} {cpu}" for number in range(CPUS)), f"btime {int(booted)}"]
        self._file("stat", "\n".join(lines) + "\n")
        self._file("loadavg", f"{9.5 if self.is_ill else 0.2:.2f} 1.00 1.00 1/100 1000\n")
        available = 1 if self.is_ill else 80
        self._file(
            "meminfo", f"MemTotal: 100000000 kB\nMemFree: {available}00000 kB\nMemAvailable: {available}000000 kB\n"
        )
        stall = f"avg10=0.00 avg60=0.00 avg300=0.00 total={int(self._stalled * 1e6)}\n"
        for resource in ("memory", "io"):
            self._file(f"pressure/{resource}", f"some {stall}full {stall}")
        self._file("pressure/cpu", f"some {stall}")
        self._file("1/net/dev", f"{HEAD}  eth0: 1 1 {int(self._damaged)} 0 0 0 0 0 1 1 0 0 0 0 0 0\n")

    def _file(self, name: str, text: str) -> None:
        new = self._root / f"{name}.new"
        new.write_text(text, encoding="ascii")
        new.replace(self._root / name)


HEAD: Final = """\
Inter-|   Receive                                       |  Transmit
 face |bytes packets errs drop fifo frame compressed multicast|bytes packets errs drop fifo colls carrier compressed
"""
