"""How the tests are shared among workers: what belongs together, what comes first, and what runs alone at the end."""

from __future__ import annotations

import itertools
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from tests.workers import CALM_FILES, SINGLE_FILES, unit

ROOT = Path(__file__).parents[1]
TIMED = """
import json, pathlib, time, pytest

@pytest.mark.parametrize("number", range({count}))
def test_that_takes_its_time(number):
    began = time.monotonic()
    time.sleep({seconds})
    path = pathlib.Path("times") / f"{{pathlib.Path(__file__).stem}}-{{number}}"
    path.write_text(json.dumps([began, time.monotonic()]))
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """Calm files that come first by name, and others that take longer than these wait."""
    files = {
        **dict.fromkeys(CALM_FILES, (2, 0.05)),
        "tests/z/test_long.py": (2, 0.4),
        "tests/z/test_short.py": (9, 0.0),
    }
    for name, (count, seconds) in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(TIMED.format(count=count, seconds=seconds))
    (tmp_path / "times").mkdir()
    return tmp_path


def output(checkout: Path, *words: str) -> str:
    """Run everything on workers; what pytest says."""
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-p",
        "tests.workers",
        "--rootdir=.",
        "--import-mode=importlib",
        *words,
    ]
    environ = os.environ | {"PYTHONPATH": str(ROOT)}
    done = subprocess.run(command, cwd=checkout, env=environ, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout


def run(checkout: Path, *words: str) -> dict[str, tuple[float, float]]:
    """Run everything on workers; when each test began and ended."""
    output(checkout, *words)
    return {path.name: tuple(json.loads(path.read_text())) for path in (checkout / "times").iterdir()}


@pytest.mark.slow
@pytest.mark.parametrize("workers", [2, 5])
def test_calm_tests_run_one_after_another_when_all_others_have_ended(checkout: Path, workers: int):
    times = run(checkout, f"-n{workers}", "tests")
    names = {Path(file).stem for file in CALM_FILES}
    calm = sorted(span for name, span in times.items() if name.rpartition("-")[0] in names)
    others = [span for name, span in times.items() if name.rpartition("-")[0] not in names]
    assert (len(calm), len(others)) == (2 * len(CALM_FILES), 11)
    assert max(end for _, end in others) <= calm[0][0]
    assert all(one[1] <= next_one[0] for one, next_one in itertools.pairwise(calm))


@pytest.mark.slow
def test_the_end_of_each_worker_is_told(checkout: Path):
    (line,) = [line for line in output(checkout, "-n3", "tests/z").splitlines() if line.startswith("workers ended")]
    assert re.fullmatch(r"workers ended after \d+, \d+, \d+ s", line)


@pytest.mark.slow
def test_calm_tests_alone_need_no_others_before_them(checkout: Path):
    assert len(run(checkout, "-n3", *CALM_FILES)) == 2 * len(CALM_FILES)


def test_a_file_stays_together_and_so_do_all_that_use_one_cluster():
    assert unit("tests/core/test_queue.py::test_a[1]") == unit("tests/core/test_queue.py::test_b")
    assert unit("tests/core/test_queue.py::test_a") != unit("tests/core/test_config.py::test_a")
    assert unit("tests/slurm/test_state.py::test_a") == unit("tests/executors/test_slurm.py::TestSlurm::test_b")


@pytest.mark.parametrize("path", [*CALM_FILES, *SINGLE_FILES])
def test_a_file_that_is_treated_differently_is_there(path: str):
    assert (ROOT / path).exists()


def test_what_shares_nothing_goes_to_any_worker():
    assert unit(f"{SINGLE_FILES[0]}::test_a[1]") != unit(f"{SINGLE_FILES[0]}::test_a[2]")
