"""Cost of one reading of the host: what the agent spends each second on this machine, and on one with 128 CPUs.

The second figure reads a copy of this machine's /proc in which /proc/stat lists 128 CPUs; it shows the cost of mapping
and not the kernel's of writing that file. The third is of a process with 64 children that do nothing, as a training
process with its loaders is read each ten seconds where agent.process_metrics is on. `--short` makes fewer readings,
`--json` prints one JSON object per figure.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

from warpgauge.core.catalog import Tier
from warpgauge.core.table import table
from warpgauge.exporters.attribution.holder_usage import HolderUsage
from warpgauge.exporters.attribution.procfs import ProcFs
from warpgauge.exporters.collectors.host import HostCollector

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

BUDGET_MILLISECONDS = 2.0
CPUS = 128
BUDGET_MILLISECONDS_MANY_CPUS = 5.0
CHILDREN = 64
BUDGET_MILLISECONDS_CHILDREN = 10.0  # a thousandth of a core, as they are read each ten seconds
FILES = ("loadavg", "meminfo", "diskstats", "net/dev", "pressure/cpu", "pressure/memory", "pressure/io")


def with_many_cpus(folder: Path) -> Path:
    """A copy of the files of the fast tier with more CPUs than this machine has."""
    for name in FILES:
        source = Path("/proc") / name
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        if source.exists():
            (folder / name).write_bytes(source.read_bytes())
    line = next(line for line in Path("/proc/stat").read_text().splitlines() if line.startswith("cpu0 "))
    lines = [line.replace("cpu0 ", f"cpu{number} ", 1) for number in range(CPUS)]
    (folder / "stat").write_text("\n".join([line, *lines, "intr 0", ""]))
    return folder


@contextlib.contextmanager
def children() -> Iterator[None]:
    """Processes of ours that wait for the end of their input."""
    with contextlib.ExitStack() as stack:
        for _ in range(CHILDREN):
            stack.enter_context(
                subprocess.Popen([sys.executable, "-Sc", "import sys; sys.stdin.read()"], stdin=subprocess.PIPE)
            )
        yield


def milliseconds(
    read: Callable[[], object], readings: int, clock: Callable[[], float] = time.perf_counter
) -> list[float]:
    """How long each reading took."""
    taken = []
    for _ in range(readings):
        start = clock()
        read()
        taken.append((clock() - start) * 1e3)
    return taken


def rows(name: str, taken: list[float], budget: float) -> list[dict[str, object]]:
    cuts = statistics.quantiles(taken, n=100)
    return [
        {
            "name": f"host {name}, {percentile}",
            "value": round(value, 3),
            "unit": "ms",
            "peer": "",
            "budget": f"< {budget:g}",
            "ok": value < budget,
        }
        for percentile, value in (("p50", cuts[49]), ("p99", cuts[98]))
    ]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--short", action="store_true", help="fewer readings")
    parser.add_argument("--json", action="store_true", help="one JSON object per figure")
    arguments = parser.parse_args()
    readings = 1000 if arguments.short else 10_000
    with tempfile.TemporaryDirectory() as folder:
        few, many = HostCollector(), HostCollector(proc_root=with_many_cpus(Path(folder)))
        taken = milliseconds(lambda: few.read(Tier.FAST), readings)
        figures = rows("fast read, this machine", taken, BUDGET_MILLISECONDS)
        taken = milliseconds(lambda: many.read(Tier.FAST), readings // 4)
        figures += rows(f"fast read, {CPUS} CPUs", taken, BUDGET_MILLISECONDS_MANY_CPUS)
    usage = HolderUsage(ProcFs(), 1)
    with children():
        taken = milliseconds(lambda: usage.samples([os.getpid()]), readings // 10, time.thread_time)
    figures += rows(f"process with {CHILDREN} children, CPU time", taken, BUDGET_MILLISECONDS_CHILDREN)
    if arguments.json:
        print("\n".join(json.dumps(figure) for figure in figures))
    else:
        print(table([key.upper() for key in figures[0]], [list(one.values()) for one in figures], numeric={"VALUE"}))


if __name__ == "__main__":
    main()
