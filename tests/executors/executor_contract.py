"""What every executor keeps, as one suite: subclass `ExecutorContract`, give it a `World`, and it is tested.

    class TestSlurm(ExecutorContract):
        @pytest.fixture
        def world(self, tmp_path): return SlurmWorld(tmp_path)

Each test hands recommendations to a worker with the executor in it and looks at the core itself.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any, Protocol

import pytest

from tests.core.documents import validator
from tests.detectors.test_recommendation_document import example
from warpgauge.core.ack import Ack, Phase, ack_from_event
from warpgauge.core.clock import ManualClock
from warpgauge.core.recommendation import (
    Approval,
    Recommendation,
    RecommendationKind,
    Reversible,
    idempotency_key,
    recommendation_id,
)
from warpgauge.core.withdrawal import WithdrawalReason, withdrawal_of
from warpgauge.executors import ExecutionError, Executor, Journal, Order, Worker

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["FOLLOWED", "NOW", "Bench", "ExecutorContract", "World", "advice", "as_kind", "undo_of"]

NOW = 1_750_000_100.0
KINDS = sorted(set(RecommendationKind) - {RecommendationKind.UNDO})
_OF_NODES = {RecommendationKind.AVOID_NODE, RecommendationKind.CORDON, RecommendationKind.DRAIN,
             RecommendationKind.UNCORDON}  # fmt: skip
FOLLOWED: dict[str, set[RecommendationKind]] = {
    "file": set(KINDS),
    "stdout": set(KINDS),
    "kubernetes-objects": set(KINDS),
    "slurm": _OF_NODES
    | {RecommendationKind.REPLACE_STRAGGLER, RecommendationKind.MIGRATE, RecommendationKind.SEPARATE},
    "yarn": _OF_NODES | {RecommendationKind.REBALANCE_QUEUE, RecommendationKind.RECLAIM_IDLE},
    "kubernetes": _OF_NODES
    | {
        RecommendationKind.MIGRATE,
        RecommendationKind.REPLACE_STRAGGLER,
        RecommendationKind.RECLAIM_IDLE,
        RecommendationKind.SEPARATE,
        RecommendationKind.CHECK_COOLING,
        RecommendationKind.INSPECT_HARDWARE,
    },
}
"""What each executor follows: all else it refuses by name. A kind that gets lost, or comes in unseen, shows here."""
STEPS = [Phase.RECEIVED, Phase.ACCEPTED, Phase.DRY_RUN_OK, Phase.EXECUTING, Phase.EXECUTED]


class World(Protocol):
    """A core with an executor for it, as the suite needs to see it."""

    executor: Executor

    def advice(self) -> Recommendation:
        """Something reversible that the executor can follow in this world, made with `advice` below."""

    def state(self) -> Any:
        """Everything in the core that executing can change, comparable with ==."""

    def make_unfit(self) -> None:
        """Change the core so that a precondition of `advice()` does not hold any more, and undoing can't be asked."""

    def make_failing(self) -> None:
        """From now on the core refuses to carry out what it is told, though every precondition holds."""


def advice(kind: RecommendationKind = RecommendationKind.CORDON, **changes: Any) -> Recommendation:
    """An approved recommendation in mode approve that holds at NOW."""
    fields: dict[str, Any] = {
        "kind": kind,
        "mode": "approve",
        "reversible": Reversible.YES,
        "undo": "uncordon it",
        "created": NOW - 10,
        "not_before": NOW - 10,
        "expires_at": NOW + 900,
        "approval": Approval(required=True, by="ann", at=NOW - 5),
    } | changes
    return _keyed(replace(example(), **fields))


def as_kind(recommendation: Recommendation, kind: RecommendationKind) -> Recommendation:
    """The same about the same, of another kind and so under another key."""
    return _keyed(replace(recommendation, kind=kind))


def _keyed(made: Recommendation) -> Recommendation:
    key = idempotency_key(made.kind, made.target, f"{made.cause.finding_id}/{made.undoes}", NOW)
    return replace(made, idempotency_key=key, id=recommendation_id(key))


def undo_of(recommendation: Recommendation) -> Recommendation:
    """The order to take it back."""
    return advice(RecommendationKind.UNDO, target=recommendation.target, undoes=recommendation.id)


class Bench:
    """A worker with its journal, clock and the acks that it sent."""

    def __init__(self, executor: Executor, directory: Path, *, dry_run: bool = False) -> None:
        self.executor, self.dry_run = executor, dry_run
        self.clock = ManualClock(NOW)
        self.acks: list[Ack] = []
        self.path = directory / "journal.sqlite"
        self.journal = Journal(self.path)
        self.worker = self._worker()

    def _worker(self) -> Worker:
        return Worker(self.executor, self.journal, self._keep, clock=self.clock, dry_run=self.dry_run)

    def _keep(self, ack: Ack) -> None:
        event = json.loads(json.dumps(ack.to_event()))
        validator("ack").validate(event)
        self.acks.append(ack_from_event(event))

    def restart(self) -> None:
        self.journal.close()
        self.journal = Journal(self.path)
        self.worker = self._worker()

    def phases(self, recommendation: Recommendation | None = None) -> list[Phase]:
        return [ack.phase for ack in self.acks if recommendation is None or ack.recommendation_id == recommendation.id]


class DyingExecutor:
    """Passes everything on, and dies right before or after it executed."""

    def __init__(self, inner: Executor, *, after: bool) -> None:
        self._inner, self._after = inner, after

    def __getattr__(self, name: str) -> Any:
        return getattr(self._inner, name)

    def execute(self, order: Order) -> Any:
        if self._after:
            self._inner.execute(order)
        raise KeyboardInterrupt


class ExecutorContract:
    """Subclasses give the fixture `world`."""

    finds_again = True
    """Whether `found` can tell; a stream cannot, and may say a thing twice after a crash."""

    shown_elsewhere: frozenset[RecommendationKind] = frozenset()
    """Kinds that it follows and that this world cannot show: each has tests of its own beside the subclass."""

    def advice_of(self, world: World, kind: RecommendationKind) -> Recommendation:
        """Something of this kind, which can be followed in this world right now if the executor follows the kind."""
        return as_kind(world.advice(), kind)

    @pytest.fixture
    def world(self) -> World:
        raise NotImplementedError

    @pytest.fixture
    def bench(self, world: World, tmp_path: Path) -> Iterator[Bench]:
        bench = Bench(world.executor, tmp_path)
        yield bench
        bench.journal.close()

    def settle(self, world: World) -> None:
        """Wait until the core shows what was taken back as taken back; most do at once."""

    def test_it_acts_and_says_every_step(self, world: World, bench: Bench) -> None:
        before = world.state()
        bench.worker.take(world.advice())
        assert bench.phases() == STEPS
        assert world.state() != before
        assert bench.acks[-1].native_refs

    def test_the_same_key_twice_is_one_action(self, world: World, bench: Bench) -> None:
        bench.worker.take(world.advice())
        after = world.state()
        bench.worker.take(world.advice())
        bench.worker.take(replace(world.advice(), id="another-id-under-the-same-key"))
        assert world.state() == after
        assert bench.phases() == STEPS

    def test_the_same_key_after_a_restart_is_one_action(self, world: World, bench: Bench) -> None:
        bench.worker.take(world.advice())
        after = world.state()
        bench.restart()
        bench.worker.resume()
        bench.worker.take(world.advice())
        assert world.state() == after

    def test_executing_again_what_was_done_changes_nothing(self, world: World) -> None:
        if not self.finds_again:
            pytest.skip("a stream cannot be asked what it said")
        order = Order(recommendation=world.advice())
        first = world.executor.execute(order)
        after = world.state()
        assert world.executor.execute(order) == first
        assert world.state() == after

    def test_a_dry_run_tells_what_would_be_done_and_changes_nothing(self, world: World, tmp_path: Path) -> None:
        bench, before = Bench(world.executor, tmp_path, dry_run=True), world.state()
        bench.worker.take(world.advice())
        assert bench.phases() == STEPS[:3]
        assert bench.acks[-1].detail
        assert world.state() == before
        bench.journal.close()

    @pytest.mark.parametrize("mode", ["observe", "propose"])
    def test_it_never_acts_below_mode_approve(self, world: World, bench: Bench, mode: str) -> None:
        before = world.state()
        bench.worker.take(replace(world.advice(), mode=mode))
        assert bench.phases() == STEPS[:3]
        assert world.state() == before

    @pytest.mark.parametrize("mode", ["approve", "auto"])
    def test_what_needs_an_approval_waits_for_it(self, world: World, bench: Bench, mode: str) -> None:
        before, asked = world.state(), replace(world.advice(), mode=mode, approval=Approval(required=True))
        bench.worker.take(asked)
        bench.worker.take(asked)
        assert bench.phases() == STEPS[:3]
        assert world.state() == before
        bench.worker.take(replace(asked, approval=world.advice().approval))
        assert bench.phases() == STEPS
        assert world.state() != before

    def test_in_mode_auto_it_follows_what_needs_no_approval(self, world: World, bench: Bench) -> None:
        bench.worker.take(replace(world.advice(), mode="auto", approval=Approval(required=False)))
        assert bench.phases() == STEPS

    def test_it_refuses_after_expiry(self, world: World, bench: Bench) -> None:
        before = world.state()
        bench.clock.advance(901)
        bench.worker.take(world.advice())
        assert bench.phases() == [Phase.RECEIVED, Phase.EXPIRED]
        assert world.state() == before

    def test_what_expires_while_it_waits_is_not_done_once_approved(self, world: World, bench: Bench) -> None:
        before = world.state()
        bench.worker.take(replace(world.advice(), approval=Approval(required=True)))
        bench.clock.advance(901)
        bench.worker.take(world.advice())
        assert bench.phases()[-1] is Phase.EXPIRED
        assert world.state() == before

    def test_it_waits_until_it_may_begin(self, world: World, bench: Bench) -> None:
        before = world.state()
        bench.worker.take(replace(world.advice(), not_before=NOW + 60))
        assert bench.phases() == [Phase.RECEIVED]
        assert world.state() == before
        bench.clock.advance(60)
        bench.worker.resume()
        assert bench.phases() == STEPS

    def test_it_refuses_when_a_precondition_does_not_hold(self, world: World, bench: Bench) -> None:
        world.make_unfit()
        before = world.state()
        bench.worker.take(world.advice())
        assert bench.phases() == [Phase.RECEIVED, Phase.REJECTED]
        assert bench.acks[-1].reason == "preconditionFailed"
        assert bench.acks[-1].detail
        assert world.state() == before

    def test_preconditions_are_asked_again_right_before_acting(self, world: World, bench: Bench) -> None:
        bench.worker.take(replace(world.advice(), approval=Approval(required=True)))
        world.make_unfit()
        before = world.state()
        bench.worker.take(world.advice())
        assert bench.phases() == [*STEPS[:3], Phase.REJECTED]
        assert world.state() == before

    def test_what_was_withdrawn_before_is_not_followed(self, world: World, bench: Bench) -> None:
        before = world.state()
        bench.worker.withdraw(withdrawal_of(world.advice(), WithdrawalReason.FINDING_ENDED, NOW))
        bench.worker.take(world.advice())
        assert bench.phases() == [Phase.RECEIVED, Phase.WITHDRAWN]
        assert world.state() == before

    def test_what_is_withdrawn_while_it_waits_ends(self, world: World, bench: Bench) -> None:
        before = world.state()
        bench.worker.take(replace(world.advice(), approval=Approval(required=True)))
        bench.worker.withdraw(withdrawal_of(world.advice(), WithdrawalReason.FINDING_ENDED, NOW))
        bench.worker.take(world.advice())
        assert bench.phases() == [*STEPS[:3], Phase.WITHDRAWN]
        assert world.state() == before

    def test_a_withdrawal_after_the_fact_changes_nothing(self, world: World, bench: Bench) -> None:
        bench.worker.take(world.advice())
        after = world.state()
        bench.worker.withdraw(withdrawal_of(world.advice(), WithdrawalReason.FINDING_ENDED, NOW))
        assert world.state() == after
        assert bench.phases() == STEPS

    def test_a_core_that_refuses_is_a_failure_with_a_reason(self, world: World, bench: Bench) -> None:
        world.make_failing()
        before = world.state()
        bench.worker.take(world.advice())
        assert bench.phases() == [*STEPS[:4], Phase.FAILED]
        assert bench.acks[-1].reason
        assert world.state() == before

    def test_it_takes_back_what_it_did(self, world: World, bench: Bench) -> None:
        bench.worker.take(world.advice())
        did = world.state()
        bench.worker.take(undo_of(world.advice()))
        assert bench.phases(undo_of(world.advice())) == STEPS
        assert world.state() != did
        assert self.is_undone(world)

    def is_undone(self, world: World) -> bool:
        """Whether the core is as if nothing had been done; a subclass says how that looks."""
        raise NotImplementedError

    def test_what_was_never_done_cannot_be_taken_back(self, world: World, bench: Bench) -> None:
        before = world.state()
        bench.worker.take(undo_of(world.advice()))
        assert bench.phases() == [Phase.RECEIVED, Phase.REJECTED]
        assert bench.acks[-1].reason == "nothingToUndo"
        assert world.state() == before

    def test_the_way_back_is_told_before_it_acts(self, world: World) -> None:
        assert all(intent.undo for intent in world.executor.intents(Order(recommendation=world.advice())))

    def test_what_it_follows_is_what_the_table_says(self, world: World) -> None:
        assert set(world.executor.kinds) == FOLLOWED[world.executor.name]

    def test_every_kind_is_followed_and_taken_back_or_refused_with_a_reason(self, world: World, bench: Bench) -> None:
        for kind in KINDS:
            if kind in self.shown_elsewhere:
                continue
            order, before = self.advice_of(world, kind), world.state()
            bench.worker.take(order)
            last = bench.acks[-1]
            assert last.recommendation_id == order.id
            if kind in FOLLOWED[world.executor.name]:
                assert (last.phase, bool(last.native_refs)) == (Phase.EXECUTED, True), (kind, last)
                back = undo_of(order)
                bench.worker.take(back)
                assert bench.phases(back)[-1] is Phase.EXECUTED, (kind, bench.acks[-1])
                if kind is not RecommendationKind.UNCORDON:  # whose way back leaves the node out again
                    self.settle(world)
            else:
                assert (last.phase, last.reason) == (Phase.REJECTED, "unsupportedKind")
                assert last.detail == f"{world.executor.name} cannot {kind}"
                assert world.state() == before

    def test_nothing_simulated_is_acted_on(self, world: World, bench: Bench) -> None:
        if world.executor.takes_simulated:
            pytest.skip("it acts on nothing")
        before = world.state()
        bench.worker.take(replace(world.advice(), simulated=True))
        assert bench.acks[-1].reason == "simulated"
        assert world.state() == before

    @pytest.mark.parametrize("after", [False, True], ids=["before it acted", "after it acted"])
    def test_a_crash_around_acting_loses_nothing_and_repeats_nothing(
        self, world: World, tmp_path: Path, *, after: bool
    ) -> None:
        dying = Bench(DyingExecutor(world.executor, after=after), tmp_path)
        with pytest.raises(KeyboardInterrupt):
            dying.worker.take(world.advice())
        dying.journal.close()
        crashed, bench = world.state(), Bench(world.executor, tmp_path)
        bench.worker.resume()
        assert bench.phases()[-1] is Phase.EXECUTED
        if self.finds_again:
            assert (world.state() == crashed) == after
        bench.journal.close()

    def test_a_crash_after_expiry_ends_without_acting(self, world: World, tmp_path: Path) -> None:
        dying = Bench(DyingExecutor(world.executor, after=False), tmp_path)
        with pytest.raises(KeyboardInterrupt):
            dying.worker.take(world.advice())
        dying.journal.close()
        before, bench = world.state(), Bench(world.executor, tmp_path)
        bench.clock.advance(901)
        bench.worker.resume()
        assert bench.phases() == [Phase.EXPIRED]
        assert world.state() == before
        bench.journal.close()

    def test_asking_changes_nothing(self, world: World) -> None:
        before, order = world.state(), Order(recommendation=world.advice())
        world.executor.objection(order)
        world.executor.intents(order)
        world.executor.found(order)
        assert world.state() == before

    def test_an_order_that_fails_raises_only_the_error_for_that(self, world: World) -> None:
        world.make_failing()
        with pytest.raises(ExecutionError):
            world.executor.execute(Order(recommendation=world.advice()))
