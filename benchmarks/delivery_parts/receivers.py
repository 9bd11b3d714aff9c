"""Receivers as processes that a run can kill, freeze and start again at the same port; their logs are the proof."""

from __future__ import annotations

import json
import signal
import subprocess
import sys
import time
from array import array
from pathlib import Path
from typing import TYPE_CHECKING

from benchmarks.delivery_parts.ledger import ids_in
from tests.fluent_server import FluentServer, installed_module
from tests.real_servers import free_port

if TYPE_CHECKING:
    from benchmarks.delivery_parts.sinks import Entry

__all__ = ["FluentReceiver", "HttpReceiver", "Receiver", "receiver_of"]


class HttpReceiver:
    """Ours, which answers as it is told."""

    def __init__(self, name: str, folder: Path) -> None:
        self.port = free_port()
        self._log, self._mode = folder / "arrived", folder / "mode"
        script = str(Path(__file__).with_name("http_receiver.py"))
        self._command = [sys.executable, script, name, str(self.port), str(self._log), str(self._mode)]
        self.start()

    def start(self) -> None:
        """Return once it listens."""
        self.process = subprocess.Popen(self._command, stdout=subprocess.PIPE, text=True)
        assert self.process.stdout is not None  # noqa: S101 - for the type checker
        self.process.stdout.readline()

    def kill(self) -> None:
        """As a crash would."""
        self.process.kill()
        self.process.communicate()

    def answer(self, mode: str) -> None:
        """From now on: a status, slow, or empty for 200."""
        beside = self._mode.with_suffix(".new")
        beside.write_text(mode)
        beside.replace(self._mode)

    def arrived(self) -> array[int]:
        """The ids it got, as often as it got them."""
        return ids_in(self._log)


class FluentReceiver:
    """npm's FluentServer, which has no words but an acknowledgement."""

    def __init__(self, folder: Path) -> None:
        self._server = FluentServer(installed_module(), folder)
        self.port = self._server.port
        self.start()

    @property
    def process(self) -> subprocess.Popen[str]:
        """The server of this life."""
        assert self._server.process is not None  # noqa: S101 - for the type checker
        return self._server.process

    def start(self) -> None:
        """Return once it listens."""
        self._server.start()

    def kill(self) -> None:
        """As a crash would."""
        self._server.kill()

    def answer(self, mode: str) -> None:
        """It cannot be told."""

    def arrived(self) -> array[int]:
        """The ids of whole lines; one that it was killed in is none."""
        found = array("q")
        log = self._server.log
        for line in log.read_bytes().split(b"\n") if log.exists() else ():
            if line.endswith(b"}}"):
                found.append(int(json.loads(line)["record"]["id"]))
        return found


Receiver = HttpReceiver | FluentReceiver


def receiver_of(entry: Entry, folder: Path) -> Receiver:
    """A started receiver for a sink."""
    return HttpReceiver(entry.name, folder) if entry.is_http else FluentReceiver(folder)


def freeze(receiver: Receiver, seconds: float) -> None:
    """Let it stand still with all its connections open."""
    receiver.process.send_signal(signal.SIGSTOP)
    time.sleep(seconds)
    receiver.process.send_signal(signal.SIGCONT)
