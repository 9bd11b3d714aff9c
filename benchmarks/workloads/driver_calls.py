"""What each call to NVIDIA's driver costs: wall time and the caller's own CPU time, medians in microseconds.

    python benchmarks/workloads/driver_calls.py                   on a machine with a driver, idle or under a load
    python benchmarks/workloads/driver_calls.py --json            one JSON object a call

Each call is made `--times` times with a pause before it, so that no answer comes out of the last one's. Only calls that
the agent makes are asked, and for GPM each metric by itself: they cost very differently.
"""

from __future__ import annotations

import argparse
import json
import statistics
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parents[2]))

from warpgauge.core.clock import SystemClock
from warpgauge.exporters.calls import CallTimes
from warpgauge.exporters.collectors.nvml_api import PYNVML, CallFailedError, NvmlApi
from warpgauge.exporters.collectors.nvml_field_batch import FieldBatch
from warpgauge.exporters.collectors.nvml_fields import FIELDS
from warpgauge.exporters.collectors.nvml_getters import GETTERS
from warpgauge.exporters.collectors.nvml_gpm_metrics import ASKED
from warpgauge.exporters.collectors.nvml_gpm_question import GpmQuestion
from warpgauge.exporters.collectors.nvml_rings import RingReader
from warpgauge.exporters.collectors.nvml_samples import SOURCES

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

Calls = dict[str, "Callable[[], object]"]
LOOK_BACK_US = 1_000_000  # of a sample buffer: as an agent that asks each second


def calls_of(api: NvmlApi, handle: Any) -> Calls:  # noqa: ANN401 - an opaque pointer
    """Every call by a name that tells it apart."""
    found: Calls = {}
    for getter in GETTERS:
        found[f"{getter.function} {getter.arguments or ''}".strip()] = lambda it=getter: api.call(
            it.function, handle, *it.arguments
        )
    for field in FIELDS:
        found[f"field {field.id} ({field.metric.name})"] = FieldBatch(api, handle, [field]).ask
    rings = RingReader(api, handle)
    for source in SOURCES:
        found[f"samples of {source.name}"] = lambda it=source: rings.read(
            it.type, int(time.time() * 1e6) - LOOK_BACK_US
        )
    return found | dict(_gpm(api, handle))


def _gpm(api: NvmlApi, handle: Any) -> Iterator[tuple[str, Callable[[], object]]]:  # noqa: ANN401 - as above
    try:
        if not api.call("nvmlGpmQueryDeviceSupport", handle).isSupportedDevice:
            return
    except CallFailedError:
        return
    first, second = (api.call("nvmlGpmSampleAlloc") for _ in range(2))
    api.call("nvmlGpmSampleGet", handle, first)
    yield "nvmlGpmSampleGet", lambda: api.call("nvmlGpmSampleGet", handle, second)
    for asked in ASKED:
        question = GpmQuestion(api)
        name = f"GPM {asked.id} ({' '.join((asked.metric.name, *asked.labels))})"
        yield name, lambda ask=question, number=asked.id: ask.ask(first, second, [number])


def measured(call: Callable[[], object], times: int, pause: float) -> tuple[float, float] | None:
    """Medians of wall and CPU time in microseconds, None where the board does not support the call."""
    walls, cpus = [], []
    for _ in range(times):
        time.sleep(pause)
        wall, cpu = time.perf_counter_ns(), time.thread_time_ns()
        try:
            call()
        except CallFailedError:
            return None
        cpus.append((time.thread_time_ns() - cpu) / 1e3)
        walls.append((time.perf_counter_ns() - wall) / 1e3)
    return statistics.median(walls), statistics.median(cpus)


def main(arguments: Sequence[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--gpu", type=int, default=0, help="index of the GPU (default 0)")
    parser.add_argument("--times", type=int, default=14, help="how often each call is made (default 14)")
    parser.add_argument("--pause", type=float, default=0.06, help="seconds before each call (default 0.06)")
    parser.add_argument("--json", action="store_true", help="one JSON object a call")
    args = parser.parse_args(arguments)
    api = NvmlApi(PYNVML, CallTimes(), SystemClock())
    try:
        api.call("nvmlInit")
        handle = api.call("nvmlDeviceGetHandleByIndex", args.gpu)
    except CallFailedError as failure:
        print(f"driver_calls.py: no GPU {args.gpu} can be asked: {failure.detail}", file=sys.stderr)
        return 2
    version = api.call("nvmlSystemGetDriverVersion")
    for name, call in calls_of(api, handle).items():
        found = measured(call, args.times, args.pause)
        if found is None:
            continue
        wall, cpu = found
        if args.json:
            print(json.dumps({"call": name, "wall_us": round(wall, 1), "cpu_us": round(cpu, 1), "driver": version}))
        else:
            print(f"{wall:10.0f} us wall {cpu:10.0f} us CPU  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
