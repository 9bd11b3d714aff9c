"""Run every command that README.md shows in a ```sh block: `python3 tools/readme_commands.py [--skip COMMAND]`.

A command that serves until it is stopped is started, asked at the address it prints and stopped as Ctrl-C does. Exit 1
when a command fails; `warpgauge analyze` may end with 1, which means that it found something.
"""

from __future__ import annotations

import argparse
import os
import re
import shlex
import signal
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from pathlib import Path
from typing import Final

ROOT: Final = Path(__file__).resolve().parent.parent
SERVES: Final = re.compile(r"^(make up|\S*warpgauge (up|agent|analyzer))\b")
FINDS: Final = re.compile(r"^\S*warpgauge analyze\b")
BLOCK: Final = re.compile(r"^```sh\n(.*?)^```", re.MULTILINE | re.DOTALL)
URL: Final = re.compile(r"http://127\.0\.0\.1:\d+")
TIMEOUT_SECONDS: Final = 900.0
START_SECONDS: Final = 300.0  # `make up` may have to install first
STOP_SECONDS: Final = 15.0


def commands(markdown: str) -> list[str]:
    """Every command of the ```sh blocks in their order; comments and blank lines are none."""
    lines = "".join(BLOCK.findall(markdown)).replace("\\\n", " ").splitlines()
    return [line.strip() for line in lines if line.strip() and not line.lstrip().startswith("#")]


def run(command: str, directory: Path = ROOT) -> str | None:
    """None if the command works, else why not."""
    if SERVES.search(command):
        return _serve(command, directory)
    done = subprocess.run(["sh", "-c", command], cwd=directory, check=False, timeout=TIMEOUT_SECONDS)
    allowed = {0, 1} if FINDS.search(command) else {0}
    return None if done.returncode in allowed else f"exit {done.returncode}"


def _serve(command: str, directory: Path) -> str | None:
    with tempfile.TemporaryFile("w+") as output:
        process = subprocess.Popen(
            shlex.split(command), cwd=directory, stdout=output, stderr=subprocess.STDOUT, start_new_session=True
        )
        problem = _wait_until_it_answers(process, output.fileno())
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGINT)  # as a terminal does with Ctrl-C
        try:
            process.wait(STOP_SECONDS)
        except subprocess.TimeoutExpired:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()
            problem = problem or f"still there {STOP_SECONDS:.0f} s after Ctrl-C"
        output.seek(0)
        sys.stdout.write(output.read())
    return problem


def _wait_until_it_answers(process: subprocess.Popen[bytes], output: int) -> str | None:
    end = time.monotonic() + START_SECONDS
    while time.monotonic() < end:
        said = os.pread(output, 1_000_000, 0).decode(errors="replace")
        if process.poll() is not None:
            return f"ended by itself with exit {process.returncode}"
        if any(_answers(f"{url}/-/healthy") for url in URL.findall(said)):
            return None
        time.sleep(0.2)
    return f"did not answer within {START_SECONDS:.0f} s"


def _answers(url: str) -> bool:
    try:
        with urllib.request.urlopen(url, timeout=2) as response:  # noqa: S310 - the pattern admits http on loopback only
            return bool(response.status == 200)  # noqa: PLR2004 - HTTP's OK
    except (OSError, urllib.error.URLError):
        return False


def main() -> int:
    """Run them all, say which failed."""
    parser = argparse.ArgumentParser(description="Run every command of README.md.")
    parser.add_argument("--skip", action="append", default=[], metavar="COMMAND", help="run elsewhere already")
    skipped = parser.parse_args().skip
    failed = 0
    for command in commands((ROOT / "README.md").read_text()):
        print(f"$ {command}{'  (run elsewhere)' if command in skipped else ''}", flush=True)
        problem = None if command in skipped else run(command)
        if problem:
            print(f"README.md: {command}: {problem}", file=sys.stderr)
            failed += 1
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
