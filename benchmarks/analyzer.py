"""Cost of the analyzer's tick: samples into the frame, all detectors, findings; on one core.

The samples come as columns (series ids looked up once), then the whole of `Frame.ingest` and `analyze` runs, which is
what the service runs per tick. The frame holds its full default window before anything is timed. `--short` takes
2,000 devices and fewer ticks, `--json` prints one JSON object per figure.
"""

from __future__ import annotations

import argparse
import json
import resource
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.detectors import DETECTORS
from warpgauge.analyzer.engine import EngineState, analyze
from warpgauge.analyzer.frame import Frame
from warpgauge.analyzer.incidents import join
from warpgauge.core.catalog import device
from warpgauge.core.table import table

if TYPE_CHECKING:
    from warpgauge.analyzer.states import Doubles
    from warpgauge.analyzer.table import Ints
    from warpgauge.core.catalog import Metric

START_MS: Final = 1_750_000_000_000
STEP_MS: Final = 10_000
WINDOW_TICKS: Final = 360
DEVICES_PER_NODE: Final = 8
DEVICES_PER_JOB: Final = 64
BUDGETS: Final = {
    "engine_samples_per_second": 20e6,
    "analyzer_samples_per_second": 5e6,
    "tick_p99_seconds": 0.050,
    "state_bytes_per_series": 100.0,
}

# (metric, labels that stay apart, a usual value); the first ones are those that detectors read.
CHANNELS: Final[tuple[tuple[Metric, dict[str, str], float], ...]] = (
    (device.GRAPHICS_ENGINE_ACTIVE, {}, 0.9),
    (device.COMPUTE_ACTIVE, {}, 0.6),
    (device.UTILIZATION, {"engine": "compute"}, 0.95),
    (device.CLOCK, {"clock": "sm"}, 1.98e9),
    (device.CLOCK_MAX, {"clock": "sm"}, 1.98e9),
    (device.TEMPERATURE, {"sensor": "core"}, 60.0),
    (device.TEMPERATURE_LIMIT, {"limit": "slowdown"}, 89.0),
    (device.THROTTLE_SECONDS, {"reason": "sw_thermal"}, 0.0),
    (device.THROTTLE_SECONDS, {"reason": "hw_thermal"}, 0.0),
    (device.THROTTLE_ACTIVE, {"reason": "sw_thermal"}, 0.0),
    (device.MEMORY_USED, {}, 7e10),
    (device.MEMORY_TOTAL, {}, 8.5e10),
    (device.POWER, {}, 600.0),
    (device.DEVICE_UP, {}, 1.0),
    (device.DEVICE_STATE, {"state": "ok"}, 1.0),
    (device.DEVICE_STATE, {"state": "lost"}, 0.0),
    (device.DEVICE_STATE, {"state": "hung"}, 0.0),
    (device.PIPE_ACTIVE, {"pipe": "tensor"}, 0.5),
    (device.MEMORY_BANDWIDTH_ACTIVE, {}, 0.4),
    (device.ENERGY, {}, 600.0),
    (device.PCIE_RECEIVE, {}, 1e9),
    (device.PCIE_TRANSMIT, {}, 1e9),
    (device.LINK_RECEIVE, {"link": "0"}, 1e10),
    (device.LINK_TRANSMIT, {"link": "0"}, 1e10),
    (device.COMPUTE_OCCUPANCY, {}, 0.3),
    (device.MEMORY_FREE, {}, 1e10),
)


@dataclass(frozen=True, slots=True)
class Fleet:
    """A frame and the series of a fleet whose values hover around the usual."""

    frame: Frame
    ids: Ints
    usual: Doubles
    is_counter: np.ndarray[tuple[int], np.dtype[np.bool_]]

    def values(self, tick: int, random: np.random.Generator) -> Doubles:
        """Samples of one tick: gauges with 2 % noise, counters by their usual rate."""
        noise = 1.0 + 0.02 * random.standard_normal(len(self.ids))
        return np.where(self.is_counter, self.usual * tick * STEP_MS / 1000.0, self.usual * noise)


def build(devices: int, metrics: int) -> Fleet:
    """Devices in nodes of 8 and jobs of 64, with this many metrics each, and the workload info series."""
    frame = Frame()
    ids, usual, counters = [], [], []
    for number in range(devices):
        labels = {"cluster": "c", "node": f"node-{number // DEVICES_PER_NODE}", "uuid": f"GPU-{number}"}
        labels |= {"index": str(number % DEVICES_PER_NODE)}
        frame.series_id(device.DEVICE_INFO, {**labels, "vendor": "nvidia", "model": "H100", "kind": "gpu"})
        job = {"job_id": f"job-{number // DEVICES_PER_JOB}", "rank": str(number % DEVICES_PER_JOB)}
        ids.append(frame.series_id(device.WORKLOAD_INFO, {**labels, **job, "scheduler": "slurm"}))
        usual.append(1.0)
        counters.append(False)
        for metric, extra, value in CHANNELS[:metrics]:
            ids.append(frame.series_id(metric, {**labels, **extra}))
            usual.append(value)
            counters.append(metric.is_cumulative)
    is_info = np.array([position % (metrics + 1) == 0 for position in range(len(ids))])
    levels = np.where(is_info, 1.0, np.array(usual))
    return Fleet(frame, np.array(ids, dtype=np.int64), levels, np.array(counters))


def measure(devices: int, metrics: int, ticks: int) -> tuple[Doubles, Doubles, int]:
    """Seconds of each timed tick for ingest and for judging, and the samples of a tick."""
    fleet = build(devices, metrics)
    random = np.random.default_rng(42)
    state = EngineState()
    is_info = fleet.usual == 1.0
    ingest, judge = [], []
    for tick in range(WINDOW_TICKS + ticks):
        values = np.where(is_info, 1.0, fleet.values(tick, random))
        times_ms = np.full(len(fleet.ids), START_MS + tick * STEP_MS, dtype=np.int64)
        began = time.process_time()
        fleet.frame.ingest(fleet.ids, times_ms, values)
        taken = time.process_time()
        if tick >= WINDOW_TICKS:
            state = analyze(fleet.frame, state, DETECTORS, join=join).state
            ingest.append(taken - began)
            judge.append(time.process_time() - taken)
    return np.array(ingest), np.array(judge), len(fleet.ids)


def figures(devices: int, metrics: int, ticks: int) -> list[dict[str, object]]:
    """Rows of the report."""
    ingest, judge, samples = measure(devices, metrics, ticks)
    whole = ingest + judge
    states = Frame()._states  # noqa: SLF001 - what a series costs beside its window
    per_series = sum(getattr(states, name).itemsize for name in ("last_ms", "last", "increase", "covered_ms"))
    per_series += states.behavior.itemsize + states.hold_ms.itemsize + 2 * 8  # instant, run start
    per_series += 2 + 3 * 8  # where its values go
    values = {
        "engine_samples_per_second": (samples / np.median(judge), "samples/s"),
        "ingest_samples_per_second": (samples / np.median(ingest), "samples/s"),
        "analyzer_samples_per_second": (samples / np.median(whole), "samples/s"),
        "tick_p50_seconds": (np.quantile(whole, 0.5), "s"),
        "tick_p99_seconds": (np.quantile(whole, 0.99), "s"),
        "state_bytes_per_series": (float(per_series), "B, without its window"),
        "peak_memory_bytes": (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024.0, "B"),
    }
    return [row(name, float(value), unit) for name, (value, unit) in values.items()]


def row(name: str, value: float, unit: str) -> dict[str, object]:
    """One figure with its budget."""
    budget = BUDGETS.get(name)
    is_rate = name.endswith("per_second")
    within = None if budget is None else value >= budget if is_rate else value <= budget
    return {"name": name, "value": value, "unit": unit, "peer": None, "budget": budget, "ok": within}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--devices", type=int, help="default 10,000")
    parser.add_argument("--metrics", type=int, default=20, choices=range(1, len(CHANNELS) + 1), metavar="M")
    parser.add_argument("--ticks", type=int, help="timed ticks after the window is full; default 100")
    parser.add_argument("--short", action="store_true", help="end within a minute")
    parser.add_argument("--json", action="store_true", help="one JSON object per figure")
    args = parser.parse_args()
    devices = args.devices or (2_000 if args.short else 10_000)
    ticks = args.ticks or (30 if args.short else 100)
    rows = figures(devices, args.metrics, ticks)
    if args.json:
        print("\n".join(json.dumps(figure) for figure in rows))
        return
    print(f"{devices:,} devices x {args.metrics} metrics, {ticks} ticks, CPU time of one thread")
    words = {True: "yes", False: "NO", None: ""}
    cells = [
        (figure["name"], f"{figure['value']:.4g}", figure["unit"], figure["budget"] or "", words[figure["ok"]])
        for figure in rows
    ]
    print(table(("figure", "value", "unit", "budget", "within"), cells, numeric=(1, 3)))


if __name__ == "__main__":
    main()
