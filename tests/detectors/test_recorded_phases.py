"""Real GPUs under known loads (benchmarks/workloads/gpu_phases.py): what the analyzer says of them.

Each phase was recorded for some seconds; here it goes on for 40 minutes, by repeating what was recorded, as the only
device of a job whose steps nobody times.
"""

from __future__ import annotations

import json
from dataclasses import dataclass
from functools import cache
from pathlib import Path

import numpy as np
import pytest

from benchmarks.workloads.results import EDGE_SECONDS, series_of
from tests.frame_builder import FrameBuilder
from warpgauge.analyzer.bottlenecks.classes import judge
from warpgauge.analyzer.detectors import DETECTORS
from warpgauge.analyzer.incidents.engine import EngineState, analyze
from warpgauge.core.catalog import Kind, device
from warpgauge.core.finding import FindingKind as Finding
from warpgauge.exporters.recording import read_recording

FOLDER = Path(__file__).parents[1] / "recordings"
H100, H200 = "nvidia-h100-80gb-hbm3-580-159-04", "nvidia-h200-580-159-04"
COLUMNS = 240
STEP_SECONDS = 10.0
JOB, NODE = "train", "n1"
TOLD_BY_COUNTERS = {
    "idle": Finding.IDLE_ALLOCATED,
    "matmul_bf16_ones": Finding.COMPUTE_BOUND,  # the driver blames the power cap, at 460 of 700 W
    "matmul_bf16": Finding.POWER_LIMITED,
    "matmul_fp32": Finding.COMPUTE_BOUND,
    "memory_copy": Finding.MEMORY_BANDWIDTH_BOUND,
    "host_to_device": Finding.INTERCONNECT_BOUND,
    "tiny_kernels": Finding.LAUNCH_BOUND,
    "small_layers": Finding.LAUNCH_BOUND,
    "memory_full": Finding.MEMORY_CAPACITY_BOUND,
}
NEEDS_STEPS = {"input_starved", "all_reduce_like", "pageable_to_device"}
"""Who the device waits for only step phases can tell."""
OF_ONES = {H200: {"matmul_bf16": Finding.COMPUTE_BOUND}}
"""This one was recorded before the matrices were random."""


@dataclass(frozen=True, slots=True)
class Phase:
    """What was read from one device during a phase: by metric and labels, a level for each reading."""

    series: dict
    seconds: float


@cache
def phases_of(name):
    """Phases of a recording by their label."""
    series = series_of(read_recording(FOLDER / f"{name}.jsonl.zst"))
    about = json.loads((FOLDER / f"{name}.phases.json").read_text())["phases"]
    return {one["label"]: phase(series, one["start"] + EDGE_SECONDS, one["end"] - EDGE_SECONDS) for one in about}


def phase(series, start, end):
    found = {}
    for (_, metric, labels), points in series.items():
        inside = [(time, value) for time, value in points if start <= time <= end]
        before = [(time, value) for time, value in points if time < start]
        if metric.kind is Kind.COUNTER and len(inside) > 1:
            (first, was), (last, now) = inside[0], inside[-1]
            found[metric, labels] = [(now - was) / (last - first)]
        elif metric.kind in {Kind.GAUGE, Kind.STATE} and (inside or before):  # a slow one stands until it is read again
            found[metric, labels] = [value for _, value in inside] or [before[-1][1]]
    return Phase(found, end - start)


def frame_of(recorded):
    """The phase, again and again, in columns of 10 s."""
    builder = FrameBuilder(columns=COLUMNS, step_seconds=STEP_SECONDS)
    builder.device(NODE, "GPU-a", index=0, model="NVIDIA H100 80GB HBM3")
    for (metric, labels), values in recorded.series.items():
        about = dict(zip(metric.labels[2:], labels, strict=False)) | {"node": NODE, "uuid": "GPU-a", "index": "0"}
        readings = np.resize(values, max(1, round(len(values) / recorded.seconds * STEP_SECONDS)) * COLUMNS)
        columns = readings.reshape(COLUMNS, -1).mean(axis=1)
        (builder.rate if metric.kind is Kind.COUNTER else builder.gauge)(metric, columns, **about)
    builder.job(JOB, [(NODE, "GPU-a")])
    return builder.build()


CASES = [
    (name, label)
    for name in (H100, H200)
    for label in [one["label"] for one in json.loads((FOLDER / f"{name}.phases.json").read_text())["phases"]]
]


@pytest.mark.parametrize(("name", "label"), CASES)
def test_a_real_load_gets_its_class_and_no_finding_of_another_kind(name, label):
    frame = frame_of(phases_of(name)[label])
    (job,) = frame.jobs.values()
    verdict = judge(frame, job).kind
    findings = {finding.kind for finding in analyze(frame, EngineState(), DETECTORS).findings}
    if label in NEEDS_STEPS:
        assert verdict in {Finding.UNDETERMINED, Finding.MIXED}
        assert not findings
    else:
        expected = OF_ONES.get(name, {}).get(label, TOLD_BY_COUNTERS[label])
        assert verdict is expected
        assert findings <= {expected}


def test_copies_at_full_speed_look_like_a_hang_but_for_the_data_that_flow():
    copies = phases_of(H100)["host_to_device"]
    still = {
        (metric, labels): values
        for (metric, labels), values in copies.series.items()
        if not metric.name.startswith(("accel_pcie_receive", "accel_pcie_transmit"))
    }
    frame = frame_of(Phase(still, copies.seconds))
    assert Finding.HANG in {finding.kind for finding in analyze(frame, EngineState(), DETECTORS).findings}


def test_every_phase_was_recorded_with_the_signals_that_the_classes_need():
    for name in (H100, H200):
        for recorded in phases_of(name).values():
            assert {
                (device.GRAPHICS_ENGINE_ACTIVE, ()),
                (device.COMPUTE_ACTIVE, ()),
                (device.PIPE_ACTIVE, ("tensor",)),
                (device.MEMORY_BANDWIDTH_ACTIVE, ()),
                (device.POWER, ()),
                (device.POWER_LIMIT, ("enforced",)),
            } <= recorded.series.keys()
