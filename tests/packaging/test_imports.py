"""What imports where: the agent stays light, the portable parts need no Linux, a missing extra is one sentence."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[2]
HEAVY = ("numpy", "sklearn", "pandas", "pyarrow", "grafanalib", "yaml", "scipy", "bcrypt")
LINUX_ONLY = ("fcntl", "grp", "pwd", "resource", "spwd", "syslog", "termios", "tty", "pty")

EVERY_MODULE = """
import importlib, pathlib
def every(*parts):
    for part in parts:
        package = importlib.import_module(part)
        folder = pathlib.Path(package.__file__).parent
        for path in sorted(folder.rglob("*.py")):
            names = path.relative_to(folder).with_suffix("").parts
            names = names[:-1] if names[-1] == "__init__" else names
            if "__main__" not in names:
                importlib.import_module(".".join((part, *names)))
"""

# Take away what other systems lack, after the libraries are in: only our own imports are on trial.
FOREIGN_SYSTEM = """
import asyncio, multiprocessing, concurrent.futures, sqlite3, ssl, sys
import os, signal, socket, aiohttp.web, numpy, prometheus_client, psutil, pynvml
class Absent:
    def find_spec(self, name, path=None, target=None):
        if name in {absent!r}:
            raise ModuleNotFoundError(f"No module named {{name!r}} on this system", name=name)
for name in {absent!r}:
    sys.modules.pop(name, None)
sys.meta_path.insert(0, Absent())
for name in ("fork", "geteuid", "getuid", "getgid", "setsid", "sched_getaffinity", "statvfs", "killpg", "getloadavg"):
    if hasattr(os, name):
        delattr(os, name)
for name in ("SIGKILL", "SIGHUP", "SIGCHLD", "SIGUSR1", "SIGALRM", "pthread_sigmask"):
    if hasattr(signal, name):
        delattr(signal, name)
for name in ("AF_UNIX", "AF_NETLINK", "SO_PEERCRED", "SO_PASSCRED"):
    if hasattr(socket, name):
        delattr(socket, name)
sys.platform = {system!r}
"""


def python(code: str, *arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-c", code, *arguments], text=True, capture_output=True, check=False)


def loaded_after(code: str) -> set[str]:
    """Top-level modules that an interpreter holds after running `code`."""
    done = python(f"{code}\nimport json, sys; print(json.dumps(sorted(sys.modules)))")
    assert done.returncode == 0, done.stderr
    return set(json.loads(done.stdout))


def test_the_agent_never_loads_a_heavy_library():
    loaded = loaded_after(
        f"{EVERY_MODULE}\nevery('warpgauge.exporters')\nimport warpgauge.web, warpgauge.cli.verbs.agent"
    )
    assert loaded.isdisjoint(HEAVY)


def test_the_supervisor_process_never_loads_a_driver():
    assert "pynvml" not in loaded_after("import warpgauge.cli.verbs.agent, warpgauge.exporters.agent")


def test_the_step_timer_needs_the_standard_library_only():
    foreign = {"aiohttp", "psutil", "prometheus_client", "pynvml", *HEAVY}
    assert loaded_after("from warpgauge.exporters.training import StepTimer").isdisjoint(foreign)


@pytest.mark.parametrize("system", ["darwin", "win32"])
@pytest.mark.parametrize(
    "code",
    [
        "every('warpgauge.core')",
        "every('warpgauge.web', 'warpgauge.cli')",
        "every('warpgauge.analyzer')",
        "from warpgauge.exporters.training import StepTimer",
    ],
)
def test_the_portable_parts_import_where_linux_modules_are_absent(system: str, code: str):
    world = FOREIGN_SYSTEM.format(absent=LINUX_ONLY, system=system)
    done = python(f"{EVERY_MODULE}{world}{code}")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("missing", "arguments", "extra"),
    [
        ("numpy", ["analyze", "some.om"], "analyzer"),
        ("numpy", ["analyzer"], "analyzer"),
        ("grafanalib", ["generate", "dashboards", "--out", "somewhere"], "dashboards"),
        pytest.param(
            *("backports.zstd", ["replay", "some.jsonl.zst"], "record"),
            marks=pytest.mark.skipif(sys.version_info >= (3, 14), reason="Python's own compression.zstd is used"),
        ),
    ],
)
def test_a_missing_extra_is_one_sentence_with_the_command(missing: str, arguments: list[str], extra: str):
    run = "from warpgauge.cli.main import main; sys.exit(main(sys.argv[1:]))"
    done = python(f"import sys; sys.modules[{missing!r}] = None\n{run}", *arguments)
    mend = f"pip install '.[{extra}]' in the checkout"
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == f"warpgauge: warpgauge {arguments[0]} needs {missing}: {mend}\n"


def test_the_agent_needs_no_extra():
    blocked = "; ".join(f"sys.modules[{name!r}] = None" for name in HEAVY)
    done = python(f"import sys; {blocked}\nfrom warpgauge.cli.main import main; main(['agent', '--help'])")
    assert done.returncode == 0, done.stderr
