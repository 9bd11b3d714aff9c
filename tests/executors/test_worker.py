"""The worker: attempts, rests, platforms, and a journal that only one process may have."""

from __future__ import annotations

import io
from dataclasses import replace
from typing import TYPE_CHECKING

import pytest

from tests.executors.executor_contract import NOW, Bench, advice
from warpgauge.core.ack import NativeRef, Phase
from warpgauge.core.clock import ManualClock
from warpgauge.core.errors import StorageError
from warpgauge.core.recommendation import Approval, RecommendationKind
from warpgauge.executors import ExecutionError, Intent, Journal, Order, StreamExecutor, Worker

if TYPE_CHECKING:
    from pathlib import Path


class Moody:
    """An executor for Slurm whose core fails as often as it is told to."""

    name = "moody"
    platform: str | None = "slurm"
    kinds = frozenset({RecommendationKind.CORDON})
    takes_simulated = False

    def __init__(self, failures: int = 0, *, may_succeed_later: bool = True) -> None:
        self.failures, self.may_succeed_later = failures, may_succeed_later
        self.done: list[str] = []

    def objection(self, _: Order) -> str | None:
        return None

    def intents(self, _: Order) -> tuple[Intent, ...]:
        return (Intent("drain n1", "resume n1"), Intent("requeue 7"))

    def found(self, _: Order) -> None:
        return None

    def execute(self, order: Order) -> tuple[NativeRef, ...]:
        if self.failures:
            self.failures -= 1
            reason = "busy"
            raise ExecutionError(reason, "socket timed out", may_succeed_later=self.may_succeed_later)
        self.done.append(order.recommendation.idempotency_key)
        return (NativeRef(kind="node", name="n1"),)


def bench(tmp_path: Path, executor: Moody) -> Bench:
    return Bench(executor, tmp_path)


def test_what_can_succeed_later_is_tried_again_after_a_rest(tmp_path: Path) -> None:
    one = bench(tmp_path, Moody(failures=1))
    one.worker.take(advice())
    one.worker.take(advice())
    assert one.phases()[-1] is Phase.FAILED
    one.clock.advance(15)
    one.worker.resume()
    assert [(ack.attempt, ack.phase) for ack in one.acks[-2:]] == [(2, Phase.EXECUTING), (2, Phase.EXECUTED)]
    assert one.executor.done == [advice().idempotency_key]


def test_what_never_can_is_not_tried_again(tmp_path: Path) -> None:
    one = bench(tmp_path, Moody(failures=1, may_succeed_later=False))
    one.worker.take(advice())
    one.clock.advance(600)
    one.worker.take(advice())
    assert one.phases().count(Phase.FAILED) == 1
    assert not one.executor.done


def test_it_gives_up_after_five_attempts(tmp_path: Path) -> None:
    one = bench(tmp_path, Moody(failures=99))
    held = advice(expires_at=NOW + 86_400)
    for _ in range(9):
        one.worker.take(held)
        one.clock.advance(600)
    assert one.phases().count(Phase.FAILED) == 5
    assert len({ack.id for ack in one.acks}) == len(one.acks)


def test_another_cores_target_is_left_alone_without_a_word(tmp_path: Path) -> None:
    one = bench(tmp_path, Moody())
    target = replace(advice().target[0], platform="kubernetes")
    one.worker.take(advice(target=(target,)))
    assert one.acks == []


def test_what_was_derived_from_simulated_data_is_refused(tmp_path: Path) -> None:
    one = bench(tmp_path, Moody())
    one.worker.take(advice(simulated=True))
    assert (one.acks[-1].phase, one.acks[-1].reason) == (Phase.REJECTED, "simulated")
    assert one.executor.done == []


def test_the_dry_run_names_each_change_with_its_undo(tmp_path: Path) -> None:
    one = bench(tmp_path, Moody())
    one.worker.take(advice())
    assert one.acks[2].detail == "drain n1 (undo: resume n1); requeue 7 (no undo)"


def test_a_step_said_again_after_a_crash_has_the_same_id(tmp_path: Path) -> None:
    one = bench(tmp_path, Moody())
    one.journal.put = lambda *_: (_ for _ in ()).throw(KeyboardInterrupt)
    for _ in range(2):
        with pytest.raises(KeyboardInterrupt):
            one.worker.take(advice())
    assert [ack.phase for ack in one.acks] == [Phase.RECEIVED, Phase.RECEIVED]
    assert one.acks[0].id == one.acks[1].id


def test_what_to_do_never_changes_under_its_key(tmp_path: Path) -> None:
    one = bench(tmp_path, Moody())
    one.worker.take(advice(mode="propose"))
    elsewhere = replace(advice().target[0], name="GPU-2")
    one.worker.take(replace(advice(), target=(elsewhere,)))
    assert one.journal.get(advice().idempotency_key).recommendation.target == advice().target


def test_two_processes_cannot_share_a_journal(tmp_path: Path) -> None:
    with Journal(tmp_path / "j.sqlite"), pytest.raises(StorageError, match="locked"):
        Journal(tmp_path / "j.sqlite")


def test_a_foreign_file_is_no_journal_and_stays_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "j.sqlite"
    path.write_bytes(b"not a database, but somebody's file" * 40)
    with pytest.raises(StorageError, match="move it away"):
        Journal(path)
    assert path.read_bytes().startswith(b"not a database")


def test_what_ended_long_ago_is_forgotten(tmp_path: Path) -> None:
    one = bench(tmp_path, Moody())
    one.worker.take(advice())
    one.clock.advance(91 * 86_400)
    one.worker.resume()
    assert one.journal.get(advice().idempotency_key) is None


@pytest.mark.parametrize(("cluster", "is_followed"), [(None, True), ("prod", True), ("other", False)])
def test_another_clusters_recommendations_are_left_to_its_own_executor(
    tmp_path: Path, cluster: str | None, *, is_followed: bool
) -> None:
    said = io.StringIO()
    with Journal(tmp_path / "journal.sqlite") as journal:
        Worker(StreamExecutor(said), journal, lambda _: None, clock=ManualClock(NOW), cluster=cluster).take(advice())
    assert bool(said.getvalue()) == is_followed


def test_while_it_waits_for_a_person_the_core_is_asked_twice_a_minute_and_right_before_acting(tmp_path: Path) -> None:
    asked: list[float] = []

    class Counting(Moody):
        def objection(self, _: Order) -> str | None:
            asked.append(one.clock.now() - NOW)
            return None

    one = bench(tmp_path, Counting())
    waiting = replace(advice(), approval=Approval(required=True))
    for _ in range(80):
        one.worker.take(waiting)
        one.clock.advance(0.5)
    assert asked == [0.0, 0.5, 30.5]
    one.worker.take(advice())
    assert asked[3:] == [40.0]
    assert one.phases()[-1] is Phase.EXECUTED
