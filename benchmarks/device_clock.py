"""The step timer's device clock on a real CUDA device: what it tells against what ran there, and what it costs a step.

Kernels that spin for a known time are launched and not waited for; a listener in the agent's place adds up what the
timer says. Then steps without any work are timed by themselves, with the device's clock and without. Events are
torch's where torch is installed; else they are made by the driver's own functions, through a stand-in for
`torch.cuda.Event` (`events` in the output says which). `--short` makes fewer steps, `--json` prints an object a figure.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import logging
import socket
import statistics
import sys
import tempfile
import time
from array import array
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from benchmarks.workloads.cuda_driver import Cuda, CudaMissingError
from warpgauge.core.table import table
from warpgauge.exporters.training import StepTimer

if TYPE_CHECKING:
    from collections.abc import Iterator

COMPUTE_SECONDS, REDUCE_SECONDS, SLOW_LOADER_SECONDS = 0.003, 0.001, 0.010
TOLERANCE_RATIO = 0.1  # of what was asked for: the rest is the device between two kernels


class Listener:
    """In the agent's place."""

    def __init__(self, path: Path) -> None:
        self._socket = socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM)
        self._socket.bind(str(path))
        self._socket.settimeout(0)

    def heard(self) -> tuple[int, dict[str, float], dict[str, float]]:
        """Steps, and seconds by phase of the device's and of the host's clock."""
        steps, device, host = 0, {}, {}
        with contextlib.suppress(BlockingIOError):
            while message := json.loads(self._socket.recv(65536)):
                steps += len(message["steps"])
                for sums, key in ((device, "device"), (host, "phases")):
                    for name, seconds in message.get(key, {}).items():
                        sums[name] = sums.get(name, 0.0) + seconds
        return steps, device, host


def events(cuda: Cuda) -> str:
    """Have torch imported, or what stands in for it; which of the two."""
    try:
        import torch  # noqa: PLC0415 - most machines have none
    except ImportError:
        stand_in = SimpleNamespace(
            is_initialized=lambda: True, Event=cuda.event, device_count=lambda: 1, memory_reserved=lambda _=0: 1
        )
        sys.modules["torch"] = SimpleNamespace(cuda=stand_in)  # type: ignore[assignment]
        return "driver"
    torch.empty(1, device="cuda")  # without memory there the timer takes the device for somebody else's
    return f"torch {torch.__version__}"


def slow_loader(steps: int, seconds: float) -> Iterator[int]:
    for number in range(steps):
        until = time.perf_counter() + seconds  # a sleep would take longer than it was told to
        while time.perf_counter() < until:
            pass
        yield number


def told(cuda: Cuda, steps: int, loader_seconds: float, *, device_clock: bool = True) -> dict[str, float]:
    """Milliseconds a step by phase, as the timer tells them of steps that each launch work and go on."""
    with tempfile.TemporaryDirectory() as folder:
        listener = Listener(Path(folder) / "agent.sock")
        timer = StepTimer(job_id="b", socket_path=str(Path(folder) / "agent.sock"), device_clock=device_clock)
        for _ in range(2):  # the sender finds agent and device with the first use
            with timer.step():
                cuda.spin(COMPUTE_SECONDS)
            time.sleep(0.7)
        listener.heard()
        for _ in timer.input(slow_loader(steps, loader_seconds)):
            with timer.step():
                cuda.spin(COMPUTE_SECONDS)
                with timer.phase("allreduce"):
                    cuda.spin(REDUCE_SECONDS)
        cuda.synchronize()
        timer.close()
        count, device, host = listener.heard()
    sums = device if device_clock else host
    return {name: 1e3 * seconds / count for name, seconds in sums.items()} | {"steps": float(count)}


def cost(steps: int, *, device_clock: bool) -> tuple[float, float]:
    """p50 and p99 of a step with two phases and nothing in it, microseconds."""
    with tempfile.TemporaryDirectory() as folder:
        listener = Listener(Path(folder) / "agent.sock")
        timer = StepTimer(job_id="b", socket_path=str(Path(folder) / "agent.sock"), device_clock=device_clock)
        timer.step()
        time.sleep(0.7)
        listener.heard()
        taken, clock = array("q", bytes(8 * steps)), time.perf_counter_ns
        for number, _ in enumerate(timer.input(range(steps))):
            start = clock()
            with timer.step():
                with timer.phase("forward"):
                    pass
                with timer.phase("allreduce"):
                    pass
            taken[number] = clock() - start
        timer.close()
    cuts = statistics.quantiles(taken, n=100)
    return cuts[49] / 1e3, cuts[98] / 1e3


def measure(cuda: Cuda, steps: int) -> list[dict[str, Any]]:
    which = events(cuda)
    figures = []

    def add(name: str, value: float, unit: str, expected: float | None = None) -> None:
        is_right = "" if expected is None else abs(value - expected) <= max(TOLERANCE_RATIO * expected, 0.05)
        wanted = "" if expected is None else round(expected, 3)
        figures.append({"name": name, "value": round(value, 3), "unit": unit, "ran": wanted, "ok": is_right,
                        "events": which})  # fmt: skip

    busy = 1e3 * (COMPUTE_SECONDS + REDUCE_SECONDS)
    for name, loader, wait in (
        ("fast loader", 0.0, 0.0),
        ("slow loader", SLOW_LOADER_SECONDS, 1e3 * SLOW_LOADER_SECONDS - busy),
    ):
        seen = told(cuda, steps, loader)
        add(f"{name}: steps told of {steps}", seen["steps"], "steps", float(steps))
        for phase, ran in (("compute", COMPUTE_SECONDS), ("communication", REDUCE_SECONDS)):
            add(f"{name}: {phase}", seen.get(phase, 0.0), "ms/step", 1e3 * ran)
        add(f"{name}: input", seen.get("input", 0.0), "ms/step", wait)
    host = told(cuda, steps, 0.0, device_clock=False)
    add("fast loader: communication by the host's clock", host.get("communication", 0.0), "ms/step")
    for clock in (True, False):
        p50, p99 = cost(5 * steps, device_clock=clock)
        for name, value in (("p50", p50), ("p99", p99)):
            add(f"empty step, {'device' if clock else 'host'} clock, {name}", value, "us/step")
    return figures


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0] if __doc__ else None)
    parser.add_argument("--short", action="store_true", help="fewer steps")
    parser.add_argument("--json", action="store_true", help="one JSON object per figure")
    arguments = parser.parse_args()
    logging.basicConfig(level=logging.WARNING)
    try:
        cuda = Cuda()
    except CudaMissingError as error:
        print(f"not measured: {error}")
        return 0
    figures = measure(cuda, 200 if arguments.short else 2000)
    if arguments.json:
        print("\n".join(map(json.dumps, figures)))
    else:
        print(table([key.upper() for key in figures[0]], [list(one.values()) for one in figures], numeric={"VALUE"}))
    return int(any(figure["ok"] is False for figure in figures))


if __name__ == "__main__":
    sys.exit(main())
