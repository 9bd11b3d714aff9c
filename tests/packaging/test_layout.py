"""The layout's promises: one namespace over six source roots, each library in its own place, one version."""

from __future__ import annotations

import ast
import re
import subprocess
import sys
import tarfile
import tomllib
import zipfile
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

import pytest

from warpgauge.core.version import VERSION

ROOT = Path(__file__).resolve().parents[2]
SOURCE_ROOTS = ("core", "exporters", "analyzer", "executors", "dashboards", "alerts")
PARTS = sorted(
    path for root in SOURCE_ROOTS for path in (ROOT / root / "warpgauge").iterdir() if (path / "__init__.py").exists()
)
SOURCES = sorted(path for root in SOURCE_ROOTS for path in (ROOT / root / "warpgauge").rglob("*.py"))
PYPROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())

# Which folder may import a library that is not ours; DESIGN: drivers, protocols and integrations in one file each.
HOMES = {
    "attr": ("dashboards/warpgauge/dashboards/grafana/",),  # what grafanalib is made of
    "aiohttp": (
        "core/warpgauge/web/",
        "exporters/warpgauge/exporters/",
        "analyzer/warpgauge/analyzer/",
        "core/warpgauge/cli/",
    ),
    "backports": ("exporters/warpgauge/exporters/recording/storage.py",),
    "compression": ("exporters/warpgauge/exporters/recording/storage.py",),  # of the standard library from 3.14 on
    "pyarrow": ("analyzer/warpgauge/analyzer/parquet.py",),
    "cramjam": (  # one file reads, one writes; neither part may import the other
        "analyzer/warpgauge/analyzer/sources/snappy.py",
        "exporters/warpgauge/exporters/push/write_request.py",
    ),
    "fluent": ("exporters/warpgauge/exporters/fluent_handler.py",),
    "msgpack": ("exporters/warpgauge/exporters/push/forward/messages.py",),
    "google": (  # protobuf
        "exporters/warpgauge/exporters/push/",
        "exporters/warpgauge/exporters/attribution/pod_resources.py",
        "exporters/warpgauge/exporters/collectors/tpu",
    ),
    "grpc": (
        "exporters/warpgauge/exporters/attribution/pod_resources.py",
        "exporters/warpgauge/exporters/collectors/tpu",
        "exporters/warpgauge/exporters/push/otlp_grpc.py",
    ),
    "opentelemetry": ("exporters/warpgauge/exporters/push/",),
    "grafanalib": ("dashboards/warpgauge/dashboards/grafana/",),
    "numpy": ("analyzer/warpgauge/analyzer/",),
    "prometheus_client": ("exporters/warpgauge/exporters/", "analyzer/warpgauge/analyzer/", "core/warpgauge/web/"),
    "psutil": ("exporters/warpgauge/exporters/",),
    "pynvml": ("exporters/warpgauge/exporters/collectors/nvml",),
    "standardwebhooks": ("analyzer/warpgauge/analyzer/recommend/webhook.py",),
    "bcrypt": ("core/warpgauge/web/webconfig/passwords.py",),
    "yaml": (
        "dashboards/warpgauge/dashboards/",
        "alerts/warpgauge/alerts/",
        "core/warpgauge/web/webconfig/strict_yaml.py",
    ),
}
ONE_FILE_ONLY = ("pyarrow", "pynvml", "prometheus_client", "standardwebhooks")


def imported_by(path: Path) -> set[str]:
    """What a file imports anywhere in it, also for types: of `from a import b` a.b, be it a module or a name."""
    names: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.level == 0:
            names |= {f"{node.module}.{alias.name}" for alias in node.names}
    return names


def module_of(path: Path) -> str:
    return ".".join(path.relative_to(ROOT).with_suffix("").parts[1:]).removesuffix(".__init__")


# The sources take a second to read, so fixtures read them: every worker collects.


@pytest.fixture(scope="module")
def imports() -> dict[Path, set[str]]:
    return {path: imported_by(path) for path in SOURCES}


@pytest.fixture(scope="module")
def foreign(imports: dict[Path, set[str]]) -> dict[str, set[str]]:
    """What each file of ours imports of others."""
    ours = set(sys.stdlib_module_names) | {"warpgauge"}
    return {
        path.relative_to(ROOT).as_posix(): {name.partition(".")[0] for name in names} - ours
        for path, names in imports.items()
    }


def test_the_namespace_has_no_init():
    """An __init__.py in one source root would hide the other five parts."""
    assert not list(ROOT.glob("*/warpgauge/__init__.py"))


def test_every_part_is_typed_as_the_classifier_says():
    assert [part.name for part in PARTS if not (part / "py.typed").exists()] == []


def test_the_import_contracts_know_every_part():
    known = set(PYPROJECT["tool"]["importlinter"]["root_packages"])
    assert known == {f"warpgauge.{part.name}" for part in PARTS}


def test_the_import_contracts_hold():
    pytest.importorskip("importlinter", reason="import-linter is not installed: pip install '.[check]'")
    command = [sys.executable, "-c", "from importlinter.cli import lint_imports_command as run; run(['--no-cache'])"]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stdout


def test_no_files_import_each_other_not_even_for_types(imports: dict[Path, set[str]]):
    """What two files need of each other is a third one's subject."""
    known = {module_of(path) for path in SOURCES}
    graph = {
        module_of(path): {name if name in known else name.rpartition(".")[0] for name in names}
        for path, names in imports.items()
    }
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        pytest.fail(" is imported by ".join(error.args[1]))


def test_every_foreign_import_stands_where_its_library_lives(foreign: dict[str, set[str]]):
    strays = [
        f"{path} imports {name}"
        for path, names in foreign.items()
        for name in names
        if not path.startswith(HOMES.get(name, ()) or ("nowhere",))
    ]
    assert strays == []


@pytest.mark.parametrize("library", ONE_FILE_ONLY)
def test_a_driver_or_protocol_library_is_imported_in_one_file_at_most(library: str, foreign: dict[str, set[str]]):
    users = [path for path, names in foreign.items() if library in names]
    assert len(users) <= 1, users


def test_the_version_stands_in_pyproject_and_nowhere_else():
    version = PYPROJECT["project"]["version"]
    assert version == VERSION
    assert [path for path in SOURCES if f'"{version}"' in path.read_text()] == []


def test_the_changelog_has_a_place_for_the_current_version():
    headings = re.findall(r"^## \[?([^\] ]+)", (ROOT / "CHANGELOG.md").read_text(), re.MULTILINE)
    assert {"Unreleased", PYPROJECT["project"]["version"]} & set(headings)


@pytest.fixture(scope="module")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> zipfile.ZipFile:
    return zipfile.ZipFile(built("wheel", tmp_path_factory.mktemp("wheel")))


def built(target: str, directory: Path) -> Path:
    """The file that hatchling builds from this checkout."""
    command = [sys.executable, "-m", "hatchling", "build", "--target", target, "--directory", directory]
    done = subprocess.run(command, cwd=ROOT, text=True, capture_output=True, check=False)
    assert done.returncode == 0, done.stderr
    return next(directory.iterdir())


@pytest.mark.slow
def test_the_wheel_holds_every_file_of_all_parts(wheel: zipfile.ZipFile):
    tracked = subprocess.run(["git", "ls-files", *SOURCE_ROOTS], cwd=ROOT, text=True, capture_output=True, check=False)
    if tracked.returncode != 0:
        pytest.skip("this checkout is no git repository")
    wanted = {name.partition("/")[2] for name in tracked.stdout.splitlines() if "/warpgauge/" in name}
    here = {name for name in wanted if any((ROOT / root / name).exists() for root in SOURCE_ROOTS)}
    assert here - set(wheel.namelist()) == set()


@pytest.mark.slow
@pytest.mark.parametrize(
    "name",
    [
        "warpgauge/dashboards/console/static/index.html",
        "warpgauge/core/schemas/recommendation.v1.schema.json",
        "warpgauge/alerts/runbooks/DeviceLost.md",
        "warpgauge/core/py.typed",
    ],
)
def test_the_wheel_holds_the_files_that_are_no_code(wheel: zipfile.ZipFile, name: str):
    assert name in wheel.namelist()


@pytest.mark.slow
def test_the_wheel_installs_warpgauge_and_nothing_else(wheel: zipfile.ZipFile):
    tops = {name.partition("/")[0] for name in wheel.namelist()}
    assert tops == {"warpgauge", f"warpgauge-{VERSION}.dist-info"}


@pytest.mark.slow
def test_the_source_distribution_can_build_all_parts_again(tmp_path: Path):
    with tarfile.open(built("sdist", tmp_path)) as archive:
        names = set(archive.getnames())
    top = f"warpgauge-{VERSION}"
    assert {f"{top}/pyproject.toml", f"{top}/Makefile"} <= names
    assert {f"{top}/{path.relative_to(ROOT).as_posix()}" for path in SOURCES} <= names
