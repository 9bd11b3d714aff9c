"""The proof that nothing is lost: it counts right, and a short run of it holds for the sinks over HTTP.

(Fluentd's: tests/exporters/logs/test_killed.py.)
"""

from __future__ import annotations

import sys
from array import array
from pathlib import Path

import pytest

from benchmarks.delivery_parts.ledger import Ledger, ids_in
from benchmarks.delivery_parts.run import Outcome, Plan, account, commands_of, run
from benchmarks.delivery_parts.sinks import SINKS
from warpgauge.core.queue import DurableQueue

PLAN = Plan(
    burst=1000,
    fault_seconds=0.1,
    rest_seconds=0.1,
    boundaries=("append COMMIT",),
    kills=1,
    life_seconds=(0.2, 0.4),
)


class Log:
    """A receiver whose log is what the test says."""

    def __init__(self, *ids: int) -> None:
        self._ids = ids

    def arrived(self) -> array[int]:
        return array("q", self._ids)


def test_what_was_taken_and_is_nowhere_is_lost(tmp_path):
    Ledger(tmp_path / "appended").write(range(1, 7))
    entry = SINKS["otlp"]
    with DurableQueue(tmp_path / "queue.db", max_bytes=1 << 20, max_age_seconds=1e9) as queue:
        refused = queue.append(entry.sink(9).encode(entry.batch([5, 6], 1.0)))
        queue.dead_letter([refused], "HTTP 400")

    outcome = Outcome()
    account(entry, tmp_path, Log(1, 2, 2, 3), outcome, is_ours=True)

    assert (outcome.given, outcome.arrived, outcome.set_aside, outcome.lost, outcome.duplicates) == (6, 3, 2, 1, 1)


def test_an_id_that_was_cut_short_is_none(tmp_path):
    Ledger(tmp_path / "ids").write([7, 8])
    with (tmp_path / "ids").open("a") as file:
        file.write("000000000")

    assert list(ids_in(tmp_path / "ids")) == [7, 8]


@pytest.mark.parametrize("name", list(SINKS))
def test_ids_come_back_out_of_what_a_sink_sends(name):
    entry = SINKS[name]

    assert list(entry.ids(entry.sink(9).encode(entry.batch([3, 2**52], 1.0)))) == [3, 2**52]


@pytest.mark.slow
@pytest.mark.parametrize("name", [name for name, entry in SINKS.items() if entry.is_http])
def test_what_the_queue_took_arrives_though_both_ends_fail(name, tmp_path):
    (_, command, _), *_ = commands_of(SINKS[name], lambda _: sys.executable)

    outcome = run(SINKS[name], command, Path(tmp_path), PLAN, seed=1, is_ours=True)

    assert outcome.given > PLAN.burst
    assert outcome.lost == 0
