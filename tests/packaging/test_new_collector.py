"""tools/new_collector.py: what it writes is complete, and a name that will not do writes nothing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.new_collector import CATALOG, CHAPTERS, COLLECTORS, NOTES, TABLE, TESTS, NameRefusedError, write

ROOT = Path(__file__).resolve().parents[2]
SOURCE_ROOTS = ("core", "exporters", "analyzer", "executors", "dashboards", "alerts")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of the parts of this checkout that the tool and its result need."""
    copied = shutil.ignore_patterns("__pycache__")
    for name in ("core", "exporters", "tests/exporters"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=copied)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    return tmp_path


def contents(checkout: Path) -> dict[Path, str]:
    return {path: path.read_text() for path in checkout.rglob("*.py")}


def test_it_writes_row_collector_table_note_and_test(checkout: Path):
    written = {path.relative_to(checkout) for path in write("fresh_source", checkout)}
    assert written == {
        CATALOG / "fresh_source.py",
        CHAPTERS,
        TABLE,
        NOTES,
        COLLECTORS / "fresh_source.py",
        TESTS / "test_fresh_source_collector.py",
    }


@pytest.mark.slow
def test_the_new_test_passes(checkout: Path):
    write("fresh_source", checkout)
    command = [
        sys.executable,
        "-m",
        "pytest",
        "-q",
        "-c",
        "pyproject.toml",
        "--noconftest",
        TESTS / "test_fresh_source_collector.py",
    ]
    alone = os.environ | {"PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    done = subprocess.run(command, cwd=checkout, env=alone, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout


def test_the_result_is_formatted_and_clean(checkout: Path):
    ruff = shutil.which("ruff", path=str(Path(sys.executable).parent))
    if ruff is None:
        pytest.skip("ruff is not installed: pip install '.[check]'")
    files = write("fresh_source", checkout)
    for arguments in (["check", "--no-cache"], ["format", "--check", "--no-cache"]):
        done = subprocess.run([ruff, *arguments, *files], cwd=checkout, text=True, capture_output=True, check=False)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize("name", ["", "Entropy", "two words", "../up", "class", "9lives", "nvml", "host", "metric"])
def test_a_name_that_will_not_do_writes_nothing(checkout: Path, name: str):
    before = contents(checkout)
    with pytest.raises(NameRefusedError):
        write(name, checkout)
    assert contents(checkout) == before


def test_the_same_name_twice_is_refused(checkout: Path):
    write("fresh_source", checkout)
    with pytest.raises(NameRefusedError, match="already"):
        write("fresh_source", checkout)


def test_wrong_use_is_one_sentence_and_exit_2():
    done = subprocess.run(
        [sys.executable, ROOT / "tools" / "new_collector.py"], text=True, capture_output=True, check=False
    )
    assert (done.returncode, len(done.stderr.splitlines())) == (2, 1)
