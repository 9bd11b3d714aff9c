"""Shares the tests among processes: `pytest -n auto`, which is what `make test` does.

Long tests wait for real servers, so there are more workers than CPUs. What is slow begins first, because what
begins last decides when the run ends. A file stays on one worker, whose fixtures it shares, and so do all files that
use the same real cluster. Tests that hold this machine itself against a clock are calm: one worker takes them when the
others have ended.
"""

from __future__ import annotations

import gc
import os
import time
from collections import Counter
from typing import TYPE_CHECKING, Any, Final

import pytest
from xdist.scheduler import LoadScopeScheduling

if TYPE_CHECKING:
    from collections.abc import Iterable

WORKERS_OF_A_CPU: Final = 2  # with more, what must react within a second would come too late
MOST_WORKERS: Final = 16  # each has imported everything, which is a quarter of a gigabyte
CLUSTERS: Final = ("kubernetes", "slurm", "yarn")
CALM: Final = "calm"
CALM_FILES: Final = (
    "tests/e2e/test_lockstep.py",
    "tests/e2e/test_neighbor.py",
    "tests/e2e/test_up_host.py",
    "tests/examples/test_torch_loops.py",
)
SINGLE_FILES: Final = ("tests/detectors/test_demo_fleet.py", "tests/detectors/test_acting_crashes.py")
"""Files whose tests share nothing and take long: any worker takes the next one."""
BEGAN: Final = pytest.StashKey[float]()
ENDED: Final = pytest.StashKey[list[float]]()


def unit(test: str) -> str:
    """What goes to one worker together with the test of this id."""
    path = test.partition("::")[0]
    if path in CALM_FILES:
        return CALM
    if path in SINGLE_FILES:
        return test
    return next((name for name in CLUSTERS if name in path), path)


def slow_first(items: Iterable[pytest.Item]) -> list[pytest.Item]:
    """The units with most slow tests first, each in its own order; the calm one last."""
    items = list(items)
    slow = Counter(unit(item.nodeid) for item in items if item.get_closest_marker("slow"))
    return sorted(items, key=lambda item: (unit(item.nodeid) == CALM, -slow[unit(item.nodeid)]))


class Scheduling(LoadScopeScheduling):
    """Hands out units in the order of the tests, and the calm one when a single worker is left."""

    _keeper: Any = None  # the worker that will take it

    def _split_scope(self, nodeid: str) -> str:
        return unit(nodeid)

    def _assign_work_unit(self, node: Any) -> None:
        if not self._only_calm_is_left() or len(self.nodes) == 1:
            super()._assign_work_unit(node)

    def _reschedule(self, node: Any) -> None:
        if self._only_calm_is_left() and node is not self._kept():
            node.shutdown()
        else:
            super()._reschedule(node)

    def remove_node(self, node: Any) -> str | None:
        """One less; the last one may begin now."""
        crashed: str | None = super().remove_node(node)
        for other in self.nodes:
            self._reschedule(other)
        return crashed

    def _only_calm_is_left(self) -> bool:
        return next(iter(self.workqueue), "") == CALM

    def _kept(self) -> Any:
        """A worker without a cluster if there is one: a cluster would go on working beside the calm tests."""
        if self._keeper not in self.nodes:
            self._keeper = min(self.nodes, key=lambda node: len(self.assigned_work[node].keys() & set(CLUSTERS)))
        return self._keeper


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_auto_num_workers() -> int:
    """How many `-n auto` starts."""
    return min(WORKERS_OF_A_CPU * (os.cpu_count() or 1), MOST_WORKERS)


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Scheduling:
    """Ours, in our order: xdist's own begins with the files of most tests, and the longest have few."""
    config.option.loadscopereorder = False
    return Scheduling(config, log)


def pytest_sessionstart(session: pytest.Session) -> None:
    session.config.stash[BEGAN] = time.monotonic()
    session.config.stash[ENDED] = []


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """A worker has no more to do."""
    stash = node.config.stash
    stash[ENDED].append(time.monotonic() - stash[BEGAN])


def pytest_terminal_summary(terminalreporter: Any, config: pytest.Config) -> None:
    """Say when each worker ended: while the last one works alone the other CPUs are idle."""
    if ends := config.stash.get(ENDED, []):
        terminalreporter.write_line(f"workers ended after {', '.join(f'{seconds:.0f}' for seconds in sorted(ends))} s")


@pytest.hookimpl(trylast=True)
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    """Sorted in a worker; without workers the order is the one in the files."""
    if hasattr(config, "workerinput"):
        items[:] = slow_first(items)


def pytest_collection_finish() -> None:
    """What was imported and collected stays to the end: the garbage collector need not look at it again and again."""
    gc.freeze()
