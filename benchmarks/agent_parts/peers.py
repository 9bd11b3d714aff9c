"""The exporters that stand beside ours: how each is started, and how one sees that it has data.

l9gpu and gpucm push: what they would send goes to standard output instead, one line of JSON per table and cycle.
"""

from __future__ import annotations

import json
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.agent_parts.series import Series
from tools import peers, real_components

if TYPE_CHECKING:
    from collections.abc import Callable

    from benchmarks.agent_parts.process import Running

TEXTBOOK = Path(__file__).with_name("textbook.py")


class PeerAbsentError(Exception):
    """A peer that cannot be run here; the message says why."""


@dataclass(frozen=True, kw_only=True)
class Peer:
    """One exporter; `command` gets a port and a folder for its logs and raises PeerAbsentError."""

    name: str
    command: Callable[[int, Path], list[str]]
    once_a_second: tuple[str, ...] = ()  # arguments that make a pusher collect each second
    sign: str = ""  # on the page of one that is scraped, once devices are on it
    environment: str = ""  # of tools/peers.py
    scrapes: int = 1_000
    scrape_every_seconds: float = 0.1601  # each of four clients; what it can answer without a queue

    @property
    def is_scraped(self) -> bool:
        """Whether it serves a page; the others push."""
        return bool(self.sign)

    def has_data(self, running: Running) -> bool:
        """Whether devices are in its output."""
        return self.sign in running.page() if self.is_scraped else bool(running.out.stat().st_size)


def _agent(port: int, _: Path) -> list[str]:
    return [sys.executable, "-m", "warpgauge", "agent", f"--web.listen-address=127.0.0.1:{port}"]


def _nvitop(port: int, _: Path) -> list[str]:
    program = _program("nvitop", "nvitop-exporter")
    return [program, "--hostname=localhost", "--bind-address=127.0.0.1", f"--port={port}"]


def _node(port: int, _: Path) -> list[str]:
    try:
        program = real_components.program("prometheus-node-exporter")
    except real_components.ComponentMissingError as error:
        raise PeerAbsentError(str(error)) from error
    return [str(program), f"--web.listen-address=127.0.0.1:{port}"]


def _textbook(port: int, _: Path) -> list[str]:
    return [sys.executable, str(TEXTBOOK), str(port)]


def _pusher(environment: str, program: str) -> Callable[[int, Path], list[str]]:
    def command(_: int, folder: Path) -> list[str]:
        about = ["--cluster=benchmark", "--sink=stdout", f"--log-folder={folder}"]
        return [_program(environment, program), "nvml_monitor", *about]

    return command


def _program(environment: str, name: str) -> str:
    try:
        return str(peers.environment(environment) / "bin" / name)
    except peers.PeerMissingError as error:
        raise PeerAbsentError(str(error)) from error


_EVERY_SECOND = ("--collect-interval=1", "--push-interval=5", "--interval=5")

OURS = Peer(name="warpgauge", command=_agent, sign="accel_power_watts{", scrapes=20_000, scrape_every_seconds=0.0201)
PEERS = (
    Peer(name="nvitop-exporter", command=_nvitop, sign="gpu_power_usage_W{", environment="nvitop"),
    Peer(name="gpucm", command=_pusher("gpucm", "gcm"), once_a_second=_EVERY_SECOND, environment="gpucm"),
    Peer(name="l9gpu", command=_pusher("l9gpu", "l9gpu"), once_a_second=_EVERY_SECOND, environment="l9gpu"),
    Peer(name="node_exporter", command=_node, sign="node_load1 "),
    Peer(name="textbook", command=_textbook, sign="textbook_power_watts{", scrapes=100, scrape_every_seconds=1.601),
)


def is_at_hand(peer: Peer) -> bool:
    """Whether a peer can be run without installing it first."""
    return not peer.environment or peers.is_installed(peer.environment)


def pushed(running: Running) -> Series:
    """What a pusher said of each GPU: the tables with one GPU each; the last one has them all together."""
    series = Series()
    for line in running.out.read_text(errors="replace").splitlines():
        rows = json.loads(line) if line.startswith("[{") else []
        for row in rows if len(rows) == 1 else []:
            about = {name: value for name, value in row.items() if name not in {"gpu_id", "job_id"}}
            series.put(str(row.get("gpu_id")), about)
    return series
