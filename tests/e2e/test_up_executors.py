"""`warpgauge up` with executors: processes of their own that come back when they end and end when it does."""

from __future__ import annotations

import os
import signal
from typing import TYPE_CHECKING

import pytest

from tests.real_servers import wait_until
from tests.running import up, warpgauge

if TYPE_CHECKING:
    from pathlib import Path

    import psutil

    from tests.running import Up

pytestmark = [pytest.mark.slow]

SLURM = '[acting]\nexecutors = ["slurm"]\n'


@pytest.fixture
def settings(tmp_path: Path) -> Path:
    path = tmp_path / "warpgauge.toml"
    path.write_text(SLURM)
    return path


def executor_of(running: Up) -> psutil.Process | None:
    """The executor that is a child of `up` now."""
    for process in running.descendants():
        if process.is_running() and "executor" in process.cmdline():
            return process
    return None


def test_an_executor_that_is_killed_comes_back_and_none_outlives_up(tmp_path: Path, settings: Path):
    with up(tmp_path, config=settings) as running:
        first = wait_until(lambda: executor_of(running), what="the executor runs")
        journal = tmp_path / "data" / "warpgauge" / "executor-slurm" / "journal.sqlite"
        wait_until(journal.exists, what="it keeps its journal")
        first.kill()
        second = wait_until(
            lambda: (found := executor_of(running)) is not None and found.pid != first.pid and found,
            what="it is started again",
        )
        os.kill(running.process.pid, signal.SIGKILL)  # nobody is left to end it
        wait_until(lambda: not second.is_running(), what="it ends by itself")


def test_an_executor_that_cannot_start_is_told_once_and_the_rest_goes_on(tmp_path: Path, settings: Path):
    settings.write_text('[acting]\nexecutors = ["yarn"]\n')
    with up(tmp_path, config=settings) as running:
        wait_until(lambda: "executor not started" in "".join(running.lines), what="it is told")
        assert [line for line in running.lines if "yarn.urls is not set" in line] != []
        assert running.api("findings")["findings"] is not None
        assert running.stop(signal.SIGTERM) == 0
    assert "".join(running.lines).count("executor not started") == 1


def test_a_guarded_analyzer_is_left_to_executors_started_by_hand(tmp_path: Path, settings: Path):
    (tmp_path / "web.yml").write_text("{}\n")
    settings.write_text(f'{SLURM}[web]\nconfig_file = "{tmp_path / "web.yml"}"\n')
    ended = warpgauge("--config", str(settings), "up", home=tmp_path)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert "start each by hand" in ended.stderr
