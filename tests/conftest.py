"""Fixtures for all tests."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import HealthCheck, Phase, settings

if TYPE_CHECKING:
    from collections.abc import Callable

pytest_plugins = [
    "tests.workers",
    "tests.real_servers",
    "tests.slurm_cluster",
    "tests.kubernetes_cluster",
    "tests.yarn_cluster",
    "tests.fluent_server",
]

GOLDEN = Path(__file__).parent / "golden"


def pytest_configure(config: pytest.Config) -> None:
    """Let Ctrl-C mean something: a shell's background job ignores it, and so would every program that a test starts.

    What a program keeps (the operator's token) it keeps in the checkout, not in the data directory of whoever tests;
    each worker has a folder of its own.
    Drawn examples prove what is right, not how fast a machine is that does something else too. Of a planted fault
    (tools/mutants.py) only whether it shows is asked: no smaller example, and the same examples each time.
    """
    usual = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
    settings.register_profile("any machine", usual)
    settings.register_profile(
        "mutants", usual, phases=[Phase.explicit, Phase.generate], derandomize=True, database=None
    )
    settings.load_profile(config.getoption("--hypothesis-profile", None) or "any machine")
    kept = Path(__file__).parents[1] / ".cache" / "data" / os.environ.get("PYTEST_XDIST_WORKER", "")
    os.environ["XDG_DATA_HOME"] = str(kept)
    os.environ.pop("STATE_DIRECTORY", None)
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN:
        signal.signal(signal.SIGINT, signal.default_int_handler)


def pytest_addoption(parser: pytest.Parser) -> None:
    parser.addoption("--golden", action="store_true", help="rewrite the golden files instead of comparing with them")


@pytest.fixture
def golden(request: pytest.FixtureRequest) -> Callable[[str, str], None]:
    """`golden(name, text)` compares with tests/golden/NAME; `make golden` (or WARPGAUGE_GOLDEN=rewrite) rewrites it."""
    rewrite = request.config.getoption("--golden") or os.environ.get("WARPGAUGE_GOLDEN") == "rewrite"

    def compare(name: str, text: str) -> None:
        path = GOLDEN / name
        if rewrite:
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text, encoding="utf-8", newline="")
        expected = path.read_text(encoding="utf-8") if path.exists() else ""
        assert text == expected, f"{path} differs; if the change is meant, run make golden and review the diff"

    return compare
