"""The step timer in real PyTorch loops: what its phases say is what the ranks did.

Skipped where no interpreter has torch; `make torch-tests` brings one.
"""

from __future__ import annotations

import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.torch_python import rank_environment, torch_python
from warpgauge.core.exposition import labels_of, parse

pytestmark = pytest.mark.slow

EXAMPLES = Path(__file__).resolve().parents[2] / "examples" / "01-step-timer"
RANKS = 2
SLOW = 1
STEPS = 40
SLOW_SECONDS = 0.1  # that each of the slow rank's batches takes longer
MOST = 0.6  # of that shows, however busy the machine is


@dataclass(frozen=True)
class Told:
    """What the timer of a rank wrote at its end, per step."""

    job: str  # torchrun's address: all ranks have it in common
    ranks: float
    steps: float
    step_seconds: float
    phases: dict[str, float]


def told_by(file: Path) -> Told:
    lines = parse(file.read_text(), place=file.name)
    last = {(line.name, labels_of(line.labels).get("phase")): line for line in lines}
    value = {key: line.value for key, line in last.items()}
    steps = value["training_step_seconds_count", None]
    return Told(
        job=labels_of(last["training_job_ranks", None].labels)["job_id"],
        ranks=value["training_job_ranks", None],
        steps=steps,
        step_seconds=value["training_step_seconds_sum", None] / steps,
        phases={phase: seconds / steps for (_, phase), seconds in value.items() if phase},
    )


def trained(folder: Path, *flags: str) -> list[Told]:
    """DistributedDataParallel on gloo, started by torchrun as the example says."""
    torchrun = [torch_python(), "-m", "torch.distributed.run", "--standalone", f"--nproc-per-node={RANKS}"]
    done = subprocess.run(
        [*torchrun, EXAMPLES / "ddp_loop.py", f"--steps={STEPS}", f"--slow-seconds={SLOW_SECONDS}", *flags],
        env={
            **rank_environment(),
            "OMP_NUM_THREADS": "1",
            "WARPGAUGE_TRAINING_ADDRESS": f"file:{folder}/{{rank}}.prom",
        },
        capture_output=True,
        text=True,
        timeout=240,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    return [told_by(folder / f"{rank}.prom") for rank in range(RANKS)]


def test_of_a_rank_that_computes_longer_the_others_wait_for_gradients(tmp_path: Path):
    sound, slow = trained(tmp_path, "--slow=compute")

    assert slow.phases["compute"] - sound.phases["compute"] > MOST * SLOW_SECONDS
    assert sound.phases["communication"] - slow.phases["communication"] > MOST * SLOW_SECONDS
    assert sound.step_seconds == pytest.approx(slow.step_seconds, rel=0.3)
    assert [(one.job, one.ranks, one.steps) for one in (sound, slow)] == [(slow.job, RANKS, STEPS)] * 2
    assert sum(slow.phases.values()) == pytest.approx(slow.step_seconds, rel=0.01)


def test_of_a_rank_whose_loader_is_slow_the_others_wait_for_gradients(tmp_path: Path):
    sound, slow = trained(tmp_path, "--slow=loader", "--workers=1")

    assert slow.phases["input"] - sound.phases["input"] > MOST * SLOW_SECONDS
    assert sound.phases["communication"] - slow.phases["communication"] > MOST * SLOW_SECONDS
    assert slow.phases["compute"] < MOST * SLOW_SECONDS


def test_the_pytorch_loop_learns_a_line():
    done = subprocess.run(
        [torch_python(), EXAMPLES / "pytorch_loop.py"],
        env=rank_environment(),
        capture_output=True,
        text=True,
        check=True,
    )
    assert float(done.stdout.split()[1]) < 0.05
