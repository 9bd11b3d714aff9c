"""The step timer's example and benchmark run, and say what they are there to say."""

from __future__ import annotations

import json
import socket
import subprocess
import sys
import time
from pathlib import Path

import pytest

from warpgauge.core.catalog import Tier
from warpgauge.core.catalog.training import PHASE_SECONDS, STEP_SECONDS
from warpgauge.exporters.collectors.training import TrainingCollector

pytestmark = pytest.mark.skipif(not hasattr(socket, "SO_PASSCRED"), reason="no socket credentials on this system")

ROOT = Path(__file__).parents[2]
# The script imports warpgauge from wherever these tests do.
PATHS = "import runpy, sys; sys.path[:0] = sys.argv[2].split(','); sys.argv = sys.argv[3:]; "


def run(script, *arguments, then="pass"):
    program = PATHS + f"runpy.run_path(sys.argv[0], run_name='__main__'); {then}"
    return subprocess.Popen(
        [sys.executable, "-u", "-W", "error", "-c", program, "-", ",".join(sys.path), str(script), *arguments],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


def step_counts(collector):
    return [one.value.counts[-1] for one in collector.read(Tier.FAST)[0] if one.metric is STEP_SECONDS]


@pytest.mark.slow
def test_the_example_shows_a_loop_that_waits_for_its_loader(tmp_path):
    collector = TrainingCollector(socket_path=tmp_path / "train.sock")
    assert collector.check() is None
    script = ROOT / "examples/01-step-timer/train.py"
    # The process lives on until its last words were read: a rank goes with its process.
    with run(script, "--steps", "300", "--socket", str(tmp_path / "train.sock"), then="sys.stdin.read()") as process:
        learned = process.stdout.readline() if process.stdout else ""
        until = time.monotonic() + 5
        while step_counts(collector) != [300] and time.monotonic() < until:
            time.sleep(0.01)
        samples, _ = collector.read(Tier.FAST)
        process.communicate()
    collector.close()
    phases = {sample.label("phase"): sample.value for sample in samples if sample.metric is PHASE_SECONDS}
    assert learned.startswith("y = 3.0")
    assert sum(phases.values()) == pytest.approx(phases["input"] + phases["compute"])
    assert phases["input"] > phases["compute"]


@pytest.mark.slow
def test_the_benchmark_prints_each_figure_with_its_budget():
    with run(ROOT / "benchmarks/step_timer.py", "--short", "--json") as process:
        lines = process.communicate()[0].splitlines()
    figures = [json.loads(line) for line in lines]
    assert [figure["name"] for figure in figures] == [
        f"step timer {case} {percentile}"
        for case in ("no timer", "no agent", "agent live", "agent live, 8 threads", "agent stopped")
        for percentile in ("p50", "p99")
    ]
    assert all({"name", "value", "unit", "peer", "budget", "ok"} == set(figure) for figure in figures)
