"""Every way in which `warpgauge up` ends is one clear line and leaves no process behind."""

from __future__ import annotations

import os
import signal
import socket
from typing import TYPE_CHECKING

import psutil
import pytest

from tests.real_servers import wait_until
from tests.running import up, warpgauge

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = [pytest.mark.slow]


def all_gone(processes: list[psutil.Process]) -> bool:
    return not [one for one in processes if one.is_running() and one.status() != psutil.STATUS_ZOMBIE]


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM], ids=["Ctrl-C", "SIGTERM"])
def test_a_signal_ends_everything_with_one_line(tmp_path: Path, number: int):
    with up(tmp_path) as running:
        children = running.descendants()
        said_before = len(running.lines)

        code = running.stop(number)

        wait_until(lambda: all_gone(children), what="no child is left", seconds=5)
        wait_until(lambda: len(running.lines) > said_before, what="it says that it stopped", seconds=5)
        assert code == 0
        assert children
        assert running.lines[said_before:] == ["warpgauge: stopped\n"]


def test_a_kill_leaves_no_orphan(tmp_path: Path):
    with up(tmp_path) as running:
        children = running.descendants()

        os.kill(running.process.pid, signal.SIGKILL)

        running.process.wait(5)
        assert children
        wait_until(lambda: all_gone(children), what="no child is left", seconds=10)


@pytest.mark.parametrize("flag", ["--web.listen-address", "--agent.listen-address"])
def test_a_taken_port_is_one_line_that_names_the_flag(tmp_path: Path, flag: str):
    other = {"--web.listen-address": "--agent.listen-address", "--agent.listen-address": "--web.listen-address"}[flag]
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        taken.listen()
        address = f"127.0.0.1:{taken.getsockname()[1]}"

        ended = warpgauge("up", f"{flag}={address}", f"{other}=127.0.0.1:0", home=tmp_path)

    assert ended.returncode == 2
    assert ended.stdout == ""
    assert ended.stderr == (
        f"warpgauge: {address} is taken by another process; stop it or pass {flag}=127.0.0.1:PORT\n"
    )
