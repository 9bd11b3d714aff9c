"""The examples run as their pages say."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.real_servers import read_text, wait_until
from warpgauge.core.catalog import training

if TYPE_CHECKING:
    from tests.real_servers import Servers

EXAMPLE = Path(__file__).resolve().parents[2] / "examples" / "01-step-timer" / "train.py"


def learn(*arguments: str) -> str:
    done = subprocess.run(
        [sys.executable, EXAMPLE, *arguments], text=True, capture_output=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_it_learns_the_line_without_an_agent(tmp_path: Path):
    assert re.match(
        r"y = (2\.9|3\.0)\d x \+ (1\.9|2\.0)\d, loss 0\.01", learn("--steps", "60", "--socket", str(tmp_path / "none"))
    )


@pytest.mark.slow
def test_the_agent_shows_that_it_waits_for_input(servers: Servers, tmp_path: Path):
    socket = tmp_path / "train.sock"
    command = [sys.executable, "-m", "warpgauge", "agent", "--no-collector.host", "--no-collector.nvml"]
    agent = servers.start(
        "agent",
        lambda port, _: [*command, f"--web.listen-address=127.0.0.1:{port}"],
        ready="/-/ready",
        environ={"WARPGAUGE_AGENT_TRAINING_SOCKET": str(socket)},
    )
    learn("--steps", "200", "--socket", str(socket))

    def seconds(phase: str) -> float:
        line = rf'^{training.PHASE_SECONDS.name}{{.*job_id="step-timer-example".*phase="{phase}".*}} (\S+)'
        found = re.search(line, read_text(f"{agent}/metrics"), re.MULTILINE)
        return float(found[1]) if found else 0.0

    wait_until(lambda: seconds("input"), what="the agent has the example's input phase")
    assert seconds("input") > seconds("compute")
