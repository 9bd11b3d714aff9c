"""What driver calls cost, asked of the C fake: which ones are listed, and that a cost that was set is found."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

from tests.fakes.nvml_c import build_stub, stub_environment

PROGRAM = Path(__file__).resolve().parents[2] / "benchmarks/workloads/driver_calls.py"


def asked(*arguments, **environment):
    command = [sys.executable, str(PROGRAM), "--times", "2", "--pause", "0", *arguments]
    return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, check=False)


def test_a_call_that_burns_cpu_in_the_driver_shows_it_and_cheap_ones_do_not(tmp_path):
    done = asked("--json", **stub_environment(build_stub(tmp_path)), NVML_STUB_LATENCY="h100")
    cost = {row["call"]: row["cpu_us"] for row in map(json.loads, done.stdout.splitlines())}
    assert done.returncode == 0, done.stderr
    (energy,) = [value for call, value in cost.items() if "accel_energy_joules_total" in call]
    assert energy > 2000
    assert cost["nvmlDeviceGetPowerUsage"] < energy / 5
    assert {"samples of power", "nvmlGpmSampleGet"} <= cost.keys()


def test_a_gpu_that_is_not_there_is_one_line(tmp_path):
    done = asked("--gpu", "99", **stub_environment(build_stub(tmp_path)))
    assert (done.returncode, done.stdout) == (2, "")
    assert "no GPU 99 can be asked" in done.stderr
