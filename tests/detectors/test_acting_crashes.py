"""kill -9 at every boundary of book, outbox and audit log: the receiver saw everything, and nothing under two keys."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

import pytest

MEMORY = Path("/dev/shm")  # noqa: S108 - a killed process needs no disk to show what it left, and a disk is slow
CHILD = Path(__file__).with_name("acting_child.py")


pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork"),
]


def outcome_of(how: str, tmp_path: Path) -> dict[str, Any]:
    environment = os.environ | {"PYTHONPATH": os.pathsep.join(path for path in sys.path if path)}
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else tmp_path) as folder:
        command = [sys.executable, CHILD, folder, how]
        done = subprocess.run(command, env=environment, check=False, timeout=280, text=True, capture_output=True)
    assert done.returncode == 0, done.stderr
    outcome: dict[str, Any] = json.loads(done.stdout)
    assert outcome["faults"] == [], done.stderr
    return outcome


def test_a_kill_at_any_boundary_loses_nothing_and_says_nothing_under_two_keys(tmp_path: Path) -> None:
    assert outcome_of("boundaries", tmp_path)["boundaries"] > 100


def test_a_kill_at_any_of_a_hundred_random_points_does_not_either(tmp_path: Path) -> None:
    assert outcome_of("random", tmp_path)["killed"] >= 100
