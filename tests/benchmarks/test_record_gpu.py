"""The unattended run on a real GPU, rehearsed on the C library and an nvidia-smi that says what we wrote by hand."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from benchmarks.workloads import results, smi
from tests.fakes.nvml_c import build_stub, stub_environment
from warpgauge.core.catalog import device

ROOT = Path(__file__).resolve().parents[2]
ANSWER = (ROOT / "tests/fixtures/nvidia-smi/h100-hand-written.xml").read_text()
GPU = "0000:1b:00.0"


def verdicts(ours, at=100.0):
    """Words by metric and labels, of those that are asked about."""
    series = {(GPU, metric, labels): points for (metric, labels), points in ours.items()}
    found = {(one.row.metric, one.row.labels): one.word for one in smi.compare(smi.values(ANSWER), series, at, "x")}
    return {key: found[key] for key in ours}


def test_values_are_in_base_units_and_what_is_not_there_is_left_out():
    found = {(row.metric, row.labels): value for (gpu, row), value in smi.values(ANSWER).items() if gpu == GPU}
    assert found[device.POWER, ()] == 380.2
    assert found[device.MEMORY_TOTAL, ()] == 81559 * 1024**2
    assert found[device.CLOCK, ("sm",)] == 1940e6
    assert found[device.UTILIZATION, ("compute",)] == pytest.approx(0.55)
    assert found[device.THROTTLE_ACTIVE, ("sw_power_cap",)] == 1.0
    assert found[device.THROTTLE_SECONDS, ("sw_power_cap",)] == pytest.approx(12.5)
    assert found[device.PCIE_LINK_WIDTH, ()] == 16
    assert found[device.ROW_REMAP_FAILED, ()] == 0.0
    assert (device.UTILIZATION, ("encoder",)) not in found
    assert (device.TEMPERATURE_MARGIN, ()) not in found


def test_no_row_is_there_twice_and_each_carries_the_labels_of_its_metric():
    keys = [(row.metric, row.labels) for row in smi.ROWS]
    assert len(keys) == len(set(keys))
    assert all(len(labels) == len(metric.labels) - 2 for metric, labels in keys)


def test_what_is_kept_of_an_answer_holds_no_identity_and_compares_the_same():
    kept = smi.masked(ANSWER)
    for secret in ("8f3c1a52", "1650522001234", "7654321", "4711", "ada"):
        assert secret not in kept
    assert smi.values(kept) == smi.values(ANSWER)


def test_a_value_agrees_within_what_was_seen_around_it_and_its_tolerance():
    power = (device.POWER, ())
    assert verdicts({power: [(99.0, 300.0), (101.0, 450.0)]}) == {power: "agree"}
    assert verdicts({power: [(99.0, 402.0), (101.0, 410.0)]}) == {power: "agree"}
    assert verdicts({power: [(99.0, 405.0), (101.0, 410.0)]}) == {power: "DISAGREE"}
    assert verdicts({power: [(20.0, 380.0), (99.0, 500.0), (180.0, 500.0)]}) == {power: "DISAGREE"}
    assert verdicts({power: []}) == {power: "only nvidia-smi"}


def test_a_counter_lies_between_its_readings_before_and_after():
    throttled = (device.THROTTLE_SECONDS, ("sw_power_cap",))
    assert verdicts({throttled: [(92.0, 12.0), (102.0, 13.0)]}) == {throttled: "agree"}
    assert verdicts({throttled: [(92.0, 0.012), (102.0, 0.013)]}) == {throttled: "DISAGREE"}


@pytest.mark.slow
def test_a_run_leaves_everything_behind_and_says_what_disagrees(tmp_path):
    answer, program = tmp_path / "answer.xml", tmp_path / "nvidia-smi"
    answer.write_text(ANSWER.replace("<min_power_limit>200.00 W", "<min_power_limit>150.00 W"))
    program.write_text(f"#!/bin/sh\ncat {answer}\n")
    program.chmod(0o755)
    out = tmp_path / "captures"
    command = [sys.executable, ROOT / "benchmarks/workloads/record_gpu.py", "--out", out, "--no-phases"]
    command += ["--seconds", "1.5", "--start-seconds", "1", "--nvidia-smi", program]
    path = os.pathsep.join(str(ROOT / part) for part in ("core", "exporters", "."))
    environment = {**stub_environment(build_stub(tmp_path / "nvml"), gpus=1), "PYTHONPATH": path}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    report = (out / "report.txt").read_text()
    assert (done.returncode, done.stderr, "FAILED" in report) == (1, "", False), report
    (recording,) = out.glob("nvidia-h100-80gb-hbm3-580-65-06.jsonl.zst")
    assert recording.stat().st_size < 40_000
    rows = json.loads((out / "comparison.json").read_text())
    words = {(row["METRIC"], row["LABELS"], row["WHEN"]): row["VERDICT"] for row in rows}
    for place in ("before", "idle", "after"):
        assert words["accel_power_limit_watts", "max", place] == "agree"
        assert words["accel_power_limit_watts", "min", place] == "DISAGREE"
    assert words["accel_memory_total_bytes", "", "idle"] == "agree"
    assert {row["TOLERANCE"] for row in rows if row["METRIC"] == "accel_memory_used_bytes"} == {"6.71089e+07"}
    shown = [line.split() for line in done.stdout.splitlines() if line.startswith("DISAGREE")]
    assert ["DISAGREE", "accel_power_limit_watts", "min", "150", "200", "200", "0.01", "idle", GPU] in shown
    ids = {(row["KIND"], row["ID"]): row for row in json.loads((out / "every-id.json").read_text())}
    assert ids["field", 186]["NAME"] == "DEV_POWER_INSTANT"
    assert ids["field", 186]["CODE"] == "SUCCESS"
    assert float(ids["field", 186]["VALUE"]) > 100_000
    assert "NOT_SUPPORTED" in {row["CODE"] for row in ids.values()}
    assert (ids["gpm", 10]["NAME"], ids["gpm", 10]["CODE"]) == ("DRAM_BW_UTIL", "SUCCESS")
    assert len(ids) == 307 + 476
    assert "8f3c1a52" not in (out / "smi-idle.xml").read_text()


def test_the_signature_is_the_mean_inside_a_phase(tmp_path, monkeypatch):
    points = [(float(second), 100.0 if 10 <= second < 20 else 400.0) for second in range(30)]
    monkeypatch.setattr(results, "read_recording", lambda _path: None)
    monkeypatch.setattr(results, "series_of", lambda _recording: {(GPU, device.POWER, ()): points})
    phases = [{"label": "matmul", "expected": "compute_bound", "start": 10.0, "end": 20.0}]
    (tmp_path / "phases.json").write_text(json.dumps({"phases": phases}))
    assert results.write_signature(tmp_path, tmp_path / "x", tmp_path / "phases.json") == "1 phases"
    line = (tmp_path / "signature.txt").read_text().splitlines()[1]
    assert line.split() == ["matmul", "compute_bound", GPU, "100"]


@pytest.mark.slow
def test_a_machine_without_a_driver_gets_a_report_and_no_traceback(tmp_path):
    out = tmp_path / "captures"
    command = [sys.executable, ROOT / "benchmarks/workloads/record_gpu.py", "--out", out, "--nvidia-smi=/nowhere/smi"]
    environment = {**os.environ, "LD_LIBRARY_PATH": str(tmp_path)}
    done = subprocess.run(command, env=environment, capture_output=True, text=True, timeout=60, check=False)
    report = (out / "report.txt").read_text()
    assert done.returncode == 1
    assert "Traceback" not in done.stderr
    assert "no libnvidia-ml.so.1 on this machine" in done.stderr
    assert "recording and phases: FAILED: nothing can be recorded here" in report
    assert "nvidia-smi before: FAILED: FileNotFoundError" in report
