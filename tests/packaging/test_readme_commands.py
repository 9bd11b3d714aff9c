"""tools/readme_commands.py: the README's commands are found, run and judged."""

from __future__ import annotations

import shlex
import sys
from pathlib import Path

import pytest

from tools.readme_commands import commands, run

ROOT = Path(__file__).resolve().parents[2]

SERVER = """
import http.server, signal, sys
class Page(http.server.BaseHTTPRequestHandler):
    def do_GET(self):
        self.send_response(200); self.end_headers()
signal.signal(signal.SIGINT, lambda *_: sys.exit(0))
server = http.server.HTTPServer(("127.0.0.1", 0), Page)
print(f"listens on http://127.0.0.1:{server.server_port}/metrics", flush=True)
server.serve_forever()
"""


def test_only_sh_blocks_are_commands():
    text = "```sh\nmake up\n\n# a comment\n.venv/bin/warpgauge analyze \\\n  file.om\n```\n```python\nx = 1\n```\n"
    assert commands(text) == ["make up", ".venv/bin/warpgauge analyze    file.om"]


def test_the_readme_shows_the_two_commands_a_newcomer_needs():
    assert {"make up", "make test"} <= set(commands((ROOT / "README.md").read_text()))


def test_the_readme_stays_short():
    assert len((ROOT / "README.md").read_text().splitlines()) <= 150


def test_a_command_that_works_has_no_problem(tmp_path: Path):
    assert run("true", tmp_path) is None


def test_a_command_that_fails_is_named_with_its_exit_code(tmp_path: Path):
    assert run("exit 3", tmp_path) == "exit 3"


@pytest.mark.parametrize(("code", "problem"), [(0, None), (1, None), (2, "exit 2")])
def test_analyze_may_find_something(tmp_path: Path, code: int, problem: str | None):
    program(tmp_path, f"import sys; sys.exit({code})")
    assert run("./warpgauge analyze file.om", tmp_path) == problem


@pytest.mark.slow
def test_a_server_is_asked_and_then_stopped(tmp_path: Path):
    program(tmp_path, SERVER)
    assert run("./warpgauge agent", tmp_path) is None


def test_a_server_that_ends_by_itself_is_a_problem(tmp_path: Path):
    program(tmp_path, "import sys; sys.exit(2)")
    assert run("./warpgauge agent", tmp_path) == "ended by itself with exit 2"


def program(directory: Path, code: str) -> None:
    file = directory / "warpgauge"
    file.write_text(f"#!/bin/sh\nexec {shlex.quote(sys.executable)} -c {shlex.quote(code)}\n")
    file.chmod(0o755)
