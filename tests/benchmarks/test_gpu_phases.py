"""The workload beside a recording: its labels are true whatever happens to a phase."""

from __future__ import annotations

import json

import pytest

from benchmarks.workloads import gpu_phases
from benchmarks.workloads.gpu_phases import Phase, document, run
from warpgauge.core.clock import ManualClock
from warpgauge.core.finding import FindingKind


def phase(label, clock, *, round_seconds=0.5, error=None):
    def prepare():
        if error is not None:
            raise error

        def once():
            clock.advance(round_seconds)
            return 100.0

        return once

    return Phase(label=label, expected=FindingKind.COMPUTE_BOUND, unit="FLOP", prepare=prepare)


def told(*phases, clock, seconds=2.0):
    said = []
    run(phases, seconds, clock, lambda done, beginning: said.append((list(done), beginning and beginning.label)))
    return said


def test_each_phase_is_told_before_it_begins_and_labeled_with_when_it_was():
    clock = ManualClock(1000.0)
    said = told(phase("a", clock), phase("b", clock), clock=clock)
    assert [(len(done), label) for done, label in said] == [(0, "a"), (1, "b"), (2, None)]
    first, second = said[-1][0]
    assert (first.start, first.end, second.start, second.end) == (1000.0, 1002.0, 1002.0, 1004.0)
    assert (first.rate, first.unit, first.expected) == (200.0, "FLOP", "compute_bound")


def test_a_phase_without_memory_is_labeled_as_failed_and_the_others_go_on():
    clock = ManualClock()
    out_of_memory = RuntimeError("CUDA out of memory. Tried to allocate\nmany words")
    failed, fine = told(phase("a", clock, error=out_of_memory), phase("b", clock), clock=clock)[-1][0]
    assert (failed.error, failed.rate) == ("CUDA out of memory. Tried to allocate", None)
    assert fine.error == ""
    labels = json.loads(document([failed, fine], {"device": "cpu"}))
    assert labels["schema"] == "warpgauge.phases/v1"
    assert "rate" not in labels["phases"][0]
    assert "error" not in labels["phases"][1]


def test_every_phase_runs_in_toy_size_on_a_cpu(tmp_path, capsys):
    pytest.importorskip("torch", reason="torch is not ours to install: pip install torch to run the workload itself")
    out = tmp_path / "phases.json"
    assert gpu_phases.main(["--device", "cpu", "--seconds", "0.05", "--out", str(out)]) == 0
    phases = json.loads(out.read_text())["phases"]
    assert [one["label"] for one in phases] == [
        "idle", "matmul_bf16", "matmul_fp32", "memory_copy", "host_to_device", "tiny_kernels", "input_starved",
        "all_reduce_like", "memory_full",
    ]  # fmt: skip
    assert all("error" not in one and one["rate"] > 0 for one in phases)
    begun = [json.loads(line)["begins"] for line in capsys.readouterr().out.splitlines()]
    assert begun == [one["label"] for one in phases]
