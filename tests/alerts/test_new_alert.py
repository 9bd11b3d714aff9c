"""`make new-alert`: what it writes works as it is, and a name that cannot be one is refused."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tools.new_alert import WrongUseError, names, registered, write

ROOT = Path(__file__).parents[2]
PARTS = ("core", "exporters", "analyzer", "executors", "dashboards", "alerts")
NAME, STEM = "OnlyForThisTest", "only_for_this_test"  # nobody calls an alert of theirs so
WITHOUT = shutil.ignore_patterns("__pycache__", ".*")


KEEPING = ("tests/alerts/test_rules.py", "tests/alerts/test_dcgm_rules.py", "tests/alerts/test_faults.py")


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A copy of everything that the tool and the alert tests read."""
    for name in (*PARTS, "tools", "docs", "tests/alerts", "tests/fakes"):
        shutil.copytree(ROOT / name, tmp_path / name, ignore=WITHOUT)
    for path in (ROOT / "pyproject.toml", *(ROOT / "tests").glob("*.py")):
        shutil.copy(path, tmp_path / path.relative_to(ROOT))
    return tmp_path


def run(checkout: Path, *command: str | Path) -> subprocess.CompletedProcess[str]:
    path = os.pathsep.join(str(checkout / part) for part in (*PARTS, "."))
    environ = os.environ | {"PYTHONPATH": path, "PYTEST_DISABLE_PLUGIN_AUTOLOAD": "1"}
    return subprocess.run(command, cwd=checkout, env=environ, capture_output=True, text=True, check=False)


@pytest.mark.slow
def test_the_new_alert_keeps_every_rule_for_alerts(checkout: Path):
    made = run(checkout, sys.executable, "tools/new_alert.py", NAME)
    assert made.returncode == 0, made.stderr
    done = run(checkout, sys.executable, "-m", "pytest", "-q", "-k", "test_rules or given or listed", *KEEPING)
    assert done.returncode == 0, done.stdout


@pytest.mark.real
@pytest.mark.slow
def test_the_new_alert_passes_promtool(checkout: Path, promtool: Path):
    run(checkout, sys.executable, "tools/new_alert.py", NAME)
    done = run(checkout, promtool, "test", "rules", f"alerts/unit/{STEM}.yaml")
    assert done.returncode == 0, done.stdout + done.stderr


@pytest.mark.slow
def test_the_new_files_pass_ruff(checkout: Path):
    ruff = Path(sys.executable).with_name("ruff")
    if not ruff.exists():
        pytest.skip("no ruff: pip install '.[check]'")
    paths = [path for path in write(NAME, STEM, checkout) if path.suffix == ".py"]
    for command in ("check", "format --check"):
        done = run(checkout, ruff, *command.split(), "--no-cache", *paths)
        assert done.returncode == 0, done.stdout


@pytest.mark.parametrize(
    ("given", "name", "stem"),
    [
        ("DeviceTooHot", "DeviceTooHot", "device_too_hot"),
        ("device-too-hot", "DeviceTooHot", "device_too_hot"),
        ("NVLinkDown", "NVLinkDown", "nv_link_down"),
        ("x", "X", "x"),
    ],
)
def test_either_way_of_writing_a_name_is_taken(given: str, name: str, stem: str):
    assert names(given) == (name, stem)


@pytest.mark.parametrize("given", ["", "2hot", "too hot", "../x", "heiß"])
def test_a_name_that_cannot_be_one_is_refused(given: str):
    with pytest.raises(WrongUseError, match="make new-alert NAME=DeviceTooHot"):
        names(given)


def test_a_taken_name_changes_nothing(checkout: Path):
    groups = checkout / "alerts/warpgauge/alerts/groups.py"
    before = groups.read_text()
    with pytest.raises(WrongUseError, match=r"alerts/warpgauge/alerts/rule\.py is there already"):
        write("Rule", "rule", checkout)
    assert groups.read_text() == before


def test_many_groups_are_imported_over_several_lines():
    source = (ROOT / "alerts/warpgauge/alerts/groups.py").read_text()
    before = source.count(".GROUP,\n")
    for number in range(9):
        source = registered(source, f"a_long_name_of_a_group_{number}")
    assert "from warpgauge.alerts import (\n    a_long_name_of_a_group_0,\n" in source
    assert source.count(".GROUP,\n") == before + 9
