"""tools/bootstrap.sh: every way a newcomer's machine can be unready ends in one sentence with the mend."""

from __future__ import annotations

import os
import shutil
import subprocess
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
CANDIDATES = ("python3", "python3.13", "python3.12", "python3.11")

OLD = """case "$*" in *version_info*) exit 1;; *python_version*) echo 3.9.2;; esac"""
WITHOUT_VENV = """case "$*" in *ensurepip*) exit 1;; esac"""
# A Python that makes an environment holding itself; its pip writes down each call and then does what `pip` says.
WORKING = """case "$*" in
*"-m venv"*) mkdir -p .venv/bin && cp "$0" .venv/bin/python;;
*"-m pip"*) echo "$*" >>pip-calls; {pip};;
*sys.version*) echo "3.11.2 (main)";;
esac"""


@dataclass
class Checkout:
    """A folder with the script and a pyproject.toml, and a PATH that begins with pretended Pythons."""

    place: Path
    programs: Path

    def python(self, script: str, names: tuple[str, ...] = CANDIDATES) -> None:
        for name in names:
            file = self.programs / name
            file.write_text(f"#!/bin/sh\n{script}\n")
            file.chmod(0o755)

    def run(self, extras: str = "all", **environ: str) -> subprocess.CompletedProcess[str]:
        path = f"{self.programs}:/usr/bin:/bin"
        command = ["sh", self.place / "tools" / "bootstrap.sh", extras]
        return subprocess.run(
            command, env={"PATH": path, **environ}, cwd="/", text=True, capture_output=True, check=False
        )

    def pip_calls(self) -> int:
        calls = self.place / "pip-calls"
        return len(calls.read_text().splitlines()) if calls.exists() else 0


@pytest.fixture
def checkout(tmp_path: Path) -> Checkout:
    place = tmp_path / "checkout"
    (place / "tools").mkdir(parents=True)
    shutil.copy(ROOT / "tools" / "bootstrap.sh", place / "tools")
    shutil.copy(ROOT / "pyproject.toml", place)
    programs = tmp_path / "programs"
    programs.mkdir()
    return Checkout(place, programs)


def failure(done: subprocess.CompletedProcess[str]) -> str:
    """The one sentence of a failed run."""
    assert done.returncode == 2
    lines = done.stderr.splitlines()
    assert len(lines) == 1
    return lines[0]


def test_an_old_python_is_named_with_its_version(checkout: Checkout):
    checkout.python(OLD)
    assert failure(checkout.run()).startswith("warpgauge: Python 3.11 or newer is needed (python3 is 3.9.2,")


def test_a_newer_python_beside_an_old_one_is_taken(checkout: Checkout):
    checkout.python(OLD)
    checkout.python(WORKING.format(pip=":"), names=("python3.12",))
    assert "creating .venv with python3.12" in checkout.run().stdout


def test_a_python_without_venv_names_the_package_to_install(checkout: Checkout):
    checkout.python(WITHOUT_VENV)
    said = failure(checkout.run())
    assert said == "warpgauge: python3 cannot create virtual environments: sudo apt install python3-venv"


def test_no_python_at_all_says_what_to_install(checkout: Checkout):
    said = failure(checkout.run(PYTHON="no-such-python"))
    assert said == "warpgauge: no Python found (no-such-python): sudo apt install python3 python3-venv"


def test_no_network_says_so_and_keeps_what_pip_said(checkout: Checkout):
    checkout.python(WORKING.format(pip="echo 'NewConnectionError: unreachable' >&2; exit 1"))
    assert "no network to the package index (pip's words are in .cache/pip.log)" in failure(checkout.run())
    assert "NewConnectionError" in (checkout.place / ".cache" / "pip.log").read_text()


def test_another_failure_of_pip_repeats_its_last_error(checkout: Checkout):
    checkout.python(WORKING.format(pip="echo 'ERROR: No matching distribution found for numpy' >&2; exit 1"))
    assert "(ERROR: No matching distribution found for numpy)" in failure(checkout.run())


def test_a_checkout_that_cannot_be_written_says_so(checkout: Checkout):
    checkout.python(WORKING.format(pip=":"))
    (checkout.place / ".cache").write_text("a file where a folder must go")
    assert "make it writable, or copy the checkout" in failure(checkout.run())


def test_a_failed_install_is_tried_again(checkout: Checkout):
    checkout.python(WORKING.format(pip="exit 1"))
    checkout.run()
    checkout.run()
    assert checkout.pip_calls() == 2


def test_nothing_is_installed_twice(checkout: Checkout):
    checkout.python(WORKING.format(pip=":"))
    assert checkout.run().returncode == 0
    again = checkout.run()
    assert (again.returncode, again.stdout, checkout.pip_calls()) == (0, "", 1)


def test_another_extra_is_installed_into_the_same_environment(checkout: Checkout):
    checkout.python(WORKING.format(pip=":"))
    checkout.run("all")
    assert "creating" not in checkout.run("test").stdout
    assert checkout.pip_calls() == 2


def test_a_changed_pyproject_is_installed_again(checkout: Checkout):
    checkout.python(WORKING.format(pip=":"))
    checkout.run()
    with (checkout.place / "pyproject.toml").open("a") as file:
        file.write("# one more dependency\n")
    checkout.run()
    assert checkout.pip_calls() == 2


def test_a_checkout_that_moved_gets_a_new_environment(checkout: Checkout):
    checkout.python(WORKING.format(pip=":"))
    checkout.run()
    checkout.place = checkout.place.rename(checkout.place.with_name("elsewhere"))
    assert "creating .venv" in checkout.run().stdout


def test_a_read_only_home_is_not_needed(checkout: Checkout):
    checkout.python(WORKING.format(pip='test "$PIP_CACHE_DIR" = "$PWD/.cache/pip"'))
    assert checkout.run(HOME="/nonexistent").returncode == 0


def test_make_lists_every_target_with_a_sentence():
    done = subprocess.run(
        ["make", "-C", ROOT, "--no-print-directory", "help"], text=True, capture_output=True, check=True
    )
    for target in ("up", "test", "check", "golden", "bench", "generate", "new-collector", "new-alert", "clean"):
        assert f"make {target} " in done.stdout


@pytest.mark.slow
def test_a_real_python_makes_a_real_environment(checkout: Checkout):
    """The venv part for real; pip is stopped at once by an index that does not exist."""
    done = checkout.run(
        PYTHON=os.fsdecode(Path(shutil.which("python3") or "python3")), PIP_INDEX_URL="http://127.0.0.1:1/"
    )
    assert "no network to the package index" in failure(done)
