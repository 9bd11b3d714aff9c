"""Run `warpgauge` as its users do: as a process with its own ports, stopped with the signals they send."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

import psutil

from tests.pace import pace
from tests.real_servers import get_json, wait_until

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from pathlib import Path

UP_LINE = re.compile(r"console (http://\S+?)/\s+metrics (http://\S+?)/metrics")


@dataclass
class Up:
    """A running `warpgauge up`; `console` and `agent` are base URLs."""

    process: subprocess.Popen[str]
    lines: list[str] = field(default_factory=list)  # all that it printed
    console: str = ""
    agent: str = ""

    def api(self, path: str) -> Any:
        return get_json(f"{self.console}/api/v1/{path}")

    def findings(self) -> list[dict[str, Any]]:
        """Findings that hold now."""
        return [finding for finding in self.api("findings")["findings"] if "ended" not in finding]

    def descendants(self) -> list[psutil.Process]:
        return psutil.Process(self.process.pid).children(recursive=True)

    def stop(self, number: int = signal.SIGTERM) -> int:
        self.process.send_signal(number)
        return self.process.wait(15 * pace())


def environment(home: Path, extra: Mapping[str, str] | None = None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WARPGAUGE_")}
    return {
        **kept,
        "HOME": str(home),
        "XDG_DATA_HOME": str(home / "data"),
        "XDG_RUNTIME_DIR": str(home),
        **(extra or {}),
    }


def warpgauge(*args: str, home: Path, timeout: float = 60, **extra: str) -> subprocess.CompletedProcess[str]:
    """One call of the command line."""
    command = [sys.executable, "-m", "warpgauge", *args]
    return subprocess.run(
        command,
        capture_output=True,
        text=True,
        timeout=timeout * pace(),
        env=environment(home, extra),
        cwd=home,
        check=False,
    )


@contextlib.contextmanager
def up(home: Path, *args: str, config: Path | None = None) -> Iterator[Up]:
    """`warpgauge up ARGS` on free ports, stopped (with all its children) when the block is left."""
    settings = [] if config is None else [f"--config={config}"]
    command = [
        sys.executable, "-m", "warpgauge", *settings, "up", "--web.listen-address=127.0.0.1:0",
        "--agent.listen-address=127.0.0.1:0", *args,
    ]  # fmt: skip
    process = subprocess.Popen(
        command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, env=environment(home), cwd=home
    )
    running = Up(process)
    reader = threading.Thread(target=lambda: running.lines.extend(process.stdout), daemon=True)
    reader.start()
    try:
        match = wait_until(
            lambda: process.poll() is not None or UP_LINE.search("".join(list(running.lines))), what="up says its URLs"
        )
        assert process.poll() is None, "".join(running.lines)
        running.console, running.agent = match.groups()
        yield running
    finally:
        children = running.descendants() if process.poll() is None else []
        process.terminate()
        try:
            process.wait(10 * pace())
        except subprocess.TimeoutExpired:
            process.kill()
            process.wait()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        reader.join(5)
        process.stdout.close()
