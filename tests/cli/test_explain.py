"""`warpgauge explain`: what a job is bound by, its exit codes, and one sentence for each wrong use."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

import pytest

from warpgauge.analyzer.incidents.muting_book import MutingBook
from warpgauge.cli.main import main
from warpgauge.core.audit import AUDIT_FILE, AuditLog
from warpgauge.core.catalog import device, training
from warpgauge.core.clock import ManualClock

if TYPE_CHECKING:
    from pathlib import Path

    from warpgauge.core.catalog import Metric

START = 1_750_000_000
STEPS = 61
SOUND = {"input": 0.01, "compute": 0.88, "communication": 0.09, "other": 0.02}
EXCHANGING = {"input": 0.01, "compute": 0.57, "communication": 0.4, "other": 0.02}


def telemetry(
    folder: Path, *, job: str = "train", clock: str = "device", shares: dict[str, float] = EXCHANGING
) -> Path:
    """Ten minutes of a job on two nodes, its boards without profiling fields."""
    path = folder / f"{job.replace(chr(27), '')}.om"
    path.write_text("\n".join([*_series(job, clock, shares), "# EOF"]) + "\n")
    return path


def _series(job: str, clock: str, shares: dict[str, float]) -> list[str]:
    lines: list[str] = []
    for phase, share in shares.items():
        for rank in range(2):
            labels = f'job_id="{job}",rank="{rank}",stage="",phase="{phase}",clock="{clock}",node="n{rank}"'
            lines += _counter(training.PHASE_SECONDS, labels, share)
    lines.insert(0, f"# TYPE {training.PHASE_SECONDS.name.removesuffix('_total')} counter")
    for metric, value, more in (
        (device.WORKLOAD_INFO, 1, 'instance_id="",scheduler="slurm",job_id="{job}",rank="{rank}",user="mei"'),
        (device.UTILIZATION, 0.95, 'index="0",engine="compute"'),
    ):
        lines.append(f"# TYPE {metric.name} gauge")
        for rank in range(2):
            labels = f'uuid="GPU-{rank}",node="n{rank}",' + more.format(job=job, rank=rank)
            lines += [f"{metric.name}{{{labels}}} {value} {START + 10 * step}" for step in range(STEPS)]
    return lines


def _counter(metric: Metric, labels: str, per_second: float) -> list[str]:
    return [f"{metric.name}{{{labels}}} {10 * step * per_second:.3f} {START + 10 * step}" for step in range(STEPS)]


def run(*args: str, capsys: pytest.CaptureFixture[str]) -> tuple[int, str, str]:
    code = main(["explain", *args], environ={})
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def test_a_job_bound_by_the_network_is_explained_with_numbers_and_what_to_do(tmp_path: Path, capsys):
    code, out, _ = run("train", str(telemetry(tmp_path)), capsys=capsys)

    assert code == 1
    assert out.startswith("train: network_bound, confidence ")
    assert "40 % of each step" in out
    assert "What to do: First see in NCCL_DEBUG=INFO" in out
    assert "- communication 40%" in out
    assert "- network_bound: n0/gpu0, n1/gpu0: engine 95%" in out
    assert "WARNING network_bound since" in out


def test_what_is_silenced_is_explained_all_the_same_and_says_so(tmp_path: Path, capsys):
    folder = tmp_path / "data"
    folder.mkdir()
    clock = ManualClock(seconds=START)
    book = MutingBook(folder, clock, AuditLog(folder / AUDIT_FILE, clock))
    book.silence({"job_id": "train", "seconds": 86_400, "reason": "new network", "by": "mei"})

    environ = {"WARPGAUGE_ANALYZER_DATA_DIRECTORY": str(folder)}
    code = main(["explain", "train", str(telemetry(tmp_path))], environ=environ)

    assert code == 0
    assert "silenced until 2025-06-16 15:06:40Z (new network)" in capsys.readouterr().out


def test_a_sound_job_is_exit_0_and_what_is_missing_is_named(tmp_path: Path, capsys):
    code, out, _ = run("train", str(telemetry(tmp_path, shares=SOUND)), capsys=capsys)

    assert code == 0
    assert out.startswith("train: undetermined\n")
    assert "No finding is about this job." in out
    assert "- accel_compute_active_ratio" in out


def test_a_hosts_clock_explains_nothing_about_the_network_and_that_is_said(tmp_path: Path, capsys):
    code, out, _ = run("train", str(telemetry(tmp_path, clock="host")), capsys=capsys)

    assert code == 0
    assert "network_bound" not in out
    assert "timed by the host's clock" in out
    assert 'training_phase_seconds_total{clock="device"}' in out


def test_json_is_the_explanation_and_then_its_findings(tmp_path: Path, capsys):
    code, out, _ = run("--json", "train", str(telemetry(tmp_path)), capsys=capsys)

    first, *findings = [json.loads(line) for line in out.splitlines()]
    assert code == 1
    assert (first["type"], first["schema"]) == ("explanation", "warpgauge.explanation/v1")
    assert (first["job_id"], first["kind"], first["user"]) == ("train", "network_bound", "mei")
    assert first["phases"]["communication"] == pytest.approx(0.4, abs=0.01)
    assert [one["kind"] for one in first["devices"]] == ["network_bound"] * 2
    assert first["findings"] == [finding["id"] for finding in findings]


def test_an_unknown_job_is_exit_2_and_the_known_ones_are_listed(tmp_path: Path, capsys):
    telemetry(tmp_path)
    telemetry(tmp_path, job="other")

    code, out, err = run("nothing", str(tmp_path), capsys=capsys)

    assert (code, out) == (2, "")
    assert err.endswith("warpgauge: there is no job nothing; there are other, train\n")


def test_a_source_without_jobs_says_so(tmp_path: Path, capsys):
    (tmp_path / "a.om").write_text("requests 1 1750000000\n# EOF\n")

    code, _, err = run("train", str(tmp_path), capsys=capsys)

    assert code == 2
    assert "there is no job train; none holds a device or reports steps" in err


def test_control_characters_of_a_job_do_not_reach_the_terminal(tmp_path: Path, capsys):
    name = "a\x1b[2Jb"
    _, out, _ = run(name, str(telemetry(tmp_path, job=name)), capsys=capsys)

    assert "\x1b" not in out


def test_without_a_source_this_machines_agent_is_asked(capsys):
    code, _, err = run("--for", "1s", "train", capsys=capsys)

    assert code == 2
    assert "cannot reach http://127.0.0.1:9837/metrics" in err
