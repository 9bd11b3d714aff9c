"""tests/mutants: each planted fault still fits today's code; tools/mutants.py says what became of one."""

from __future__ import annotations

import subprocess
from collections import Counter
from contextlib import nullcontext
from typing import TYPE_CHECKING, Any

import pytest

from tools.mutants import (
    FEWEST,
    KILLED,
    NOT_RUN,
    RED_BEFORE,
    SURVIVED,
    TIMED_OUT,
    Baseline,
    Copy,
    Mutant,
    Run,
    complaints,
    main,
    mutants,
    verdict,
)

if TYPE_CHECKING:
    from pathlib import Path

SOURCE = """
def doubled(number: int) -> int:
    return number * 2


def halved(number: int) -> float:
    return number / 2
"""
TESTS = """
import pytest
from warpgauge.core.sums import doubled, halved

def test_twice():
    assert doubled(3) == 6

def test_half():
    assert halved(0) == 0
"""
DESCRIBED = """
[thrice]
fault = "Everything costs half as much again."
file = "core/warpgauge/core/sums.py"
old = "number * 2"
new = "number * 3"
tests = ["tests/test_sums.py"]

[third]
fault = "Nobody gets what is theirs."
file = "core/warpgauge/core/sums.py"
old = "number / 2"
new = "number / 3"
tests = ["tests/test_sums.py"]
"""
CONFTEST = "from hypothesis import settings\nsettings.register_profile('mutants')\n"
PYPROJECT = '[tool.pytest.ini_options]\naddopts = ["--import-mode=importlib"]\npythonpath = ["core"]\n'
ONE = Mutant(
    name="sums/thrice",
    fault="dear",
    file="core/warpgauge/core/sums.py",
    old="* 2",
    new="* 3",
    tests=("tests/test_sums.py",),
)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A checkout of one function that is tested well, and one that is not."""
    files = {
        "core/warpgauge/core/__init__.py": "",
        "core/warpgauge/core/sums.py": SOURCE,
        "tests/test_sums.py": TESTS,
        "tests/conftest.py": CONFTEST,
        "tests/mutants/sums.toml": DESCRIBED,
        "pyproject.toml": PYPROJECT,
    }
    for name, text in files.items():
        path = tmp_path / "tree" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(text)
    subprocess.run(["git", "init", "--quiet", "."], cwd=tmp_path / "tree", check=True)
    return tmp_path / "tree"


def test_every_described_fault_can_be_planted_in_todays_code():
    assert [complaint for mutant in mutants() for complaint in complaints(mutant)] == []


def test_every_subsystem_has_some():
    counts = Counter(mutant.subsystem for mutant in mutants())
    assert {name: count for name, count in counts.items() if count < FEWEST} == {}


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"old": "* 5"}, "stands 0 times"),
        ({"old": "number"}, "stands 4 times"),
        ({"new": "* 2"}, "`new` is `old`"),
        ({"new": "* ("}, "is no Python any more"),
        ({"tests": ("tests/test_gone.py",)}, "there is no test tests/test_gone.py"),
        ({"tests": ("tests/test_sums.py::test_thrice",)}, "there is no test tests/test_sums.py::test_thrice"),
        ({"tests": ()}, "no test is named"),
    ],
)
def test_a_description_that_no_longer_fits_is_told_at_once(tree: Path, changes: dict[str, Any], words: str):
    fields = {name: getattr(ONE, name) for name in Mutant.__slots__} | changes
    (complaint,) = complaints(Mutant(**fields), tree)
    assert words in complaint


def test_a_description_that_fits_is_not_complained_about(tree: Path):
    assert list(complaints(ONE, tree)) == []


class Told:
    """A copy whose tests end as told."""

    def __init__(self, run: Run) -> None:
        self.answer = run

    def planted(self, _: Mutant) -> Any:
        return nullcontext()

    def run(self, *_: object) -> Run:
        return self.answer


@pytest.mark.parametrize(
    ("run", "result"),
    [
        (Run(1, "FAILED tests/a.py::test_b - assert 1 == 2"), (KILLED, "tests/a.py::test_b")),
        (Run(2, "ERROR tests/a.py"), (KILLED, "tests/a.py")),
        (Run(0, "1 passed"), (SURVIVED, "dear")),
        (Run(None, ""), (TIMED_OUT, "after 60 s")),
        (Run(4, "usage\nno such option"), (NOT_RUN, "no such option")),
    ],
)
def test_the_end_of_the_tests_is_the_verdict(run: Run, result: tuple[str, str]):
    assert verdict(Told(run), Baseline(), ONE) == result


def test_tests_that_were_red_before_prove_nothing():
    baseline = Baseline(red={"tests/test_sums.py": "tests/test_sums.py::test_half"})
    assert verdict(Told(Run(1, "")), baseline, ONE) == (RED_BEFORE, "tests/test_sums.py::test_half")


def test_where_tests_of_a_survivor_are_skipped_that_is_said():
    baseline = Baseline(skipped={"tests/test_sums.py"})
    assert verdict(Told(Run(0, "")), baseline, ONE) == (
        SURVIVED,
        "dear (Some tests are skipped in tests/test_sums.py.)",
    )


def test_a_selection_that_fits_none_is_told(tree: Path, capsys: pytest.CaptureFixture[str]):
    assert main(["fourfold"], tree) == 2
    assert "no mutant's name contains fourfold" in capsys.readouterr().err


@pytest.mark.slow
def test_a_fault_that_no_test_sees_ends_the_run_with_1_and_the_checkout_stays_as_it_was(
    tree: Path, capsys: pytest.CaptureFixture[str]
):
    assert main([], tree) == 1
    killed, survived, summary = capsys.readouterr().out.splitlines()[1:]
    assert (killed.split()[0], killed.split()[-2:]) == (KILLED, ["sums/thrice", "tests/test_sums.py::test_twice"])
    assert survived.startswith(SURVIVED)
    assert survived.endswith("sums/third  Nobody gets what is theirs.")
    assert summary.startswith("1 SURVIVED, 1 killed; ")
    assert (tree / "core/warpgauge/core/sums.py").read_text() == SOURCE


@pytest.mark.slow
def test_tests_that_import_something_else_than_the_copy_are_found_out(tree: Path, tmp_path: Path):
    elsewhere = f"import sys\nsys.path.insert(0, {str(tree / 'core')!r})\n"
    (tree / "tests/conftest.py").write_text(CONFTEST + elsewhere)
    assert Copy(tmp_path / "copy", tree).try_imports().status == 1
