"""kill -9 at every boundary of what acts, and of what it keeps: nothing is lost, said under two keys, or broken.

The receiver's own log is what is judged, with all files that are left; `tests/killing.py` says what a boundary is.
"""

from __future__ import annotations

import ast
import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

import warpgauge.analyzer
import warpgauge.executors

if TYPE_CHECKING:
    from collections.abc import Iterator

MEMORY = Path("/dev/shm")  # noqa: S108 - a killed process needs no disk to show what it left, and a disk is slow
CHILD = Path(__file__).with_name("acting_child.py")
PACKAGES = (warpgauge.analyzer, warpgauge.executors)
KEEPING = {"append_durably", "write_atomically", "force_directory", "DurableQueue", "connect", "fsync", "fdatasync",
           "rename", "unlink", "mkdir", "write_text", "write_bytes", "truncate", "flock", "mkstemp"}  # fmt: skip
pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]


def outcome_of(tmp_path: Path, *how: str) -> dict[str, Any]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else tmp_path) as folder:
        command = [sys.executable, CHILD, folder, *how]
        done = subprocess.run(command, env=environment, check=False, timeout=280, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    outcome: dict[str, Any] = json.loads(done.stdout)
    assert outcome["faults"] == [], done.stderr
    return outcome


@pytest.mark.parametrize(
    ("how", "least"),
    [("acting", 250), ("kept", 250), ("following 0 2", 175), ("following 1 2", 175)],  # halves of what takes longest
)
def test_a_kill_at_any_boundary_loses_nothing_and_says_nothing_twice(how: str, least: int, tmp_path: Path) -> None:
    outcome = outcome_of(tmp_path, *how.split())
    assert outcome["killed"] == outcome["boundaries"] >= least


def test_a_kill_at_any_of_a_hundred_random_points_does_not_either(tmp_path: Path) -> None:
    assert outcome_of(tmp_path, "random")["killed"] >= 100


def writers() -> Iterator[str]:
    """Modules of the analyzer and the executors that call what changes a file."""
    for package in PACKAGES:
        for folder in package.__path__:
            for path in Path(folder).rglob("*.py"):
                calls = (node.func for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call))
                names = {getattr(call, "attr", getattr(call, "id", "")) for call in calls}
                if names & KEEPING:
                    parts = path.relative_to(folder).with_suffix("").parts
                    yield ".".join([package.__name__, *(part for part in parts if part != "__init__")])


def test_no_module_that_writes_goes_unkilled(tmp_path: Path) -> None:
    assert sorted(set(writers()) - set(outcome_of(tmp_path, "modules")["modules"])) == []
