"""Follows recommendations on a Slurm cluster with scontrol, under the account that runs it."""

from __future__ import annotations

import shlex
import time
from contextlib import suppress
from typing import TYPE_CHECKING, Final

from warpgauge.core.errors import InputError
from warpgauge.core.recommendation import RecommendationKind
from warpgauge.core.slurm import SlurmError
from warpgauge.executors.protocol import ExecutionError, Intent
from warpgauge.executors.slurm import commands
from warpgauge.executors.slurm.actions import Avoid, Cordon, Drain, Seen, Uncordon
from warpgauge.executors.slurm.migrating import Migrate
from warpgauge.executors.slurm.replacing import Replace

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence

    from warpgauge.core.ack import NativeRef
    from warpgauge.core.slurm import Slurm
    from warpgauge.executors.protocol import Order
    from warpgauge.executors.slurm.actions import Action, Step

__all__ = ["SlurmExecutor"]

ENDING_SECONDS: Final = 60.0  # KillWait is 30 s unless a site says otherwise, and an epilog comes after
REVOKED_SECONDS: Final = 2.0  # Slurm's times are whole seconds
STARTING_SECONDS: Final = 10.0  # the scheduler looks at a released job within its sched_interval or less
_POLL_SECONDS: Final = 0.5
_PUT_OFF: Final = "BeginTime"
_MAY_BE_PUT_OFF: Final = (_PUT_OFF, "None")  # the latter until the scheduler has looked at the job
_UNREACHABLE: Final = "slurmUnreachable"
_REFUSED: Final = "slurmRefused"
_ENDING: Final = "jobStillEnding"
_MALFORMED: Final = "malformedTarget"

_ACTIONS: Final[Mapping[RecommendationKind, Action]] = {
    RecommendationKind.AVOID_NODE: Avoid(),
    RecommendationKind.CORDON: Cordon(),
    RecommendationKind.DRAIN: Drain(),
    RecommendationKind.UNCORDON: Uncordon(),
    RecommendationKind.REPLACE_STRAGGLER: Replace(),
    RecommendationKind.MIGRATE: Migrate(),
    RecommendationKind.SEPARATE: Migrate(),
}
_OF_JOBS: Final = frozenset(
    {RecommendationKind.REPLACE_STRAGGLER, RecommendationKind.MIGRATE, RecommendationKind.SEPARATE}
)


class SlurmExecutor:
    """Drains, resumes, reserves and weighs nodes and requeues jobs, after a look at the cluster as it is then."""

    name = "slurm"
    platform = "slurm"
    kinds = frozenset(_ACTIONS)
    takes_simulated = False

    def __init__(self, slurm: Slurm, *, pause: Callable[[float], None] = time.sleep) -> None:
        self._slurm = slurm
        self._pause = pause

    def objection(self, order: Order) -> str | None:
        """What stands in the way, by the cluster as it is now."""
        try:
            if order.is_undo:
                return None  # what is no longer ours is left alone, and undoing nothing is done
            return _ACTIONS[order.advice.kind].objection(order.advice, self._seen(order))
        except InputError as error:
            return str(error)

    def intents(self, order: Order) -> tuple[Intent, ...]:
        """The calls of scontrol; Slurm itself has no dry run for them."""
        return tuple(
            Intent(_shown(step.command), _shown(step.undo) if step.undo else None) for step in self._plan(order)[0]
        )

    def found(self, order: Order) -> tuple[NativeRef, ...] | None:
        """What it changes, if nothing of it is left to do."""
        steps, refs = self._plan(order)
        return None if steps else refs

    def execute(self, order: Order) -> tuple[NativeRef, ...]:
        """Make the calls one by one; if one fails before anything was ended, those before it are taken back."""
        steps, refs = self._plan(order)
        done: list[Step] = []
        for step in steps:
            try:
                self._run(step)
            except SlurmError as error:
                raise self._failed(done, error) from error
            done.append(step)
        return refs

    def _run(self, step: Step) -> None:
        verb, job = step.command[0], step.command[1]
        if verb == "requeuehold":
            self._refuse_unless_running(int(job))
        self._slurm.control(step.command)
        if verb == "requeuehold":
            self._until_ended(int(job))
        elif verb == "release":
            self._until_startable(int(job))

    def _refuse_unless_running(self, job: int) -> None:
        if (state := self._slurm.job_state(job)) != "RUNNING":  # Slurm would start a job that has just ended anew
            msg = f"job {job} is {(state or 'gone').lower()} by now, not running"
            raise SlurmError(msg)

    def _until_ended(self, job: int) -> None:
        """Wait for the processes of a requeued job to end: until then Slurm takes no change of it.

        And two seconds more: with its end a node revokes the job's credential and refuses every one that is not of a
        later second. A job that is started there within the same one fails ("Job credential revoked") and is lost.
        """
        for _ in range(int(ENDING_SECONDS / _POLL_SECONDS)):
            if self._slurm.job_state(job) in {None, "PENDING"}:
                self._pause(REVOKED_SECONDS)
                return
            self._pause(_POLL_SECONDS)
        msg = f"job {job} is requeued and held, and its processes have not ended within {ENDING_SECONDS:.0f} s"
        raise ExecutionError(_ENDING, f"{msg}; it is gone on with at the next attempt", may_succeed_later=True)

    def _until_startable(self, job: int) -> None:
        """See to it that a released job waits for no time of day.

        When Slurm has cleaned up after a requeued job it lets it begin two minutes later, whatever it was told before.
        So it is told again, until the job runs, waits for something else or some seconds are over: then it loses those
        two minutes and nothing more.
        """
        with suppress(SlurmError):  # it has just begun to run, or Slurm does not answer: the job is on its way
            for _ in range(int(STARTING_SECONDS / _POLL_SECONDS)):
                reason = self._slurm.waits_for(job)
                if reason not in _MAY_BE_PUT_OFF:
                    return
                if reason == _PUT_OFF:
                    self._slurm.control(commands.start_now(job))
                self._pause(_POLL_SECONDS)

    def _failed(self, done: Sequence[Step], error: SlurmError) -> ExecutionError:
        """Take back what can be; say what cannot."""
        left = []
        for one in reversed(done):
            if one.undo is None:
                left.append(_shown(one.command))
                continue
            if left:
                continue  # the job is on its way: a resumed node could get it again
            try:
                self._slurm.control(one.undo)
            except SlurmError as again:
                left.append(f"{_shown(one.command)} ({again})")
        stays = f"; done and not taken back: {'; '.join(reversed(left))}" if left else "; nothing else was changed"
        return ExecutionError(_REFUSED, f"{error}{stays}", may_succeed_later=bool(left))

    def _plan(self, order: Order) -> tuple[tuple[Step, ...], tuple[NativeRef, ...]]:
        """The calls that are still to be made, and what they change; from one look at the cluster."""
        action, advice = _ACTIONS[order.advice.kind], order.advice
        try:
            seen = self._seen(order)
            if order.is_undo:
                return action.way_back(advice, order.refs, seen), order.refs
            return action.steps(advice, seen), action.refs(advice, seen)
        except InputError as error:
            raise ExecutionError(_MALFORMED, str(error)) from error

    def _seen(self, order: Order) -> Seen:
        """The cluster now; jobs and reservations, which can be many, only for those kinds that ask for them."""
        kind, ours = order.advice.kind, commands.reservation_of(order.advice.id)
        try:
            return Seen(
                nodes=self._slurm.nodes(),
                jobs=self._slurm.jobs() if kind in _OF_JOBS else (),
                has_reservation=kind is RecommendationKind.CORDON and self._slurm.has_reservation(ours),
            )
        except (SlurmError, InputError) as error:  # an answer that is none, too
            raise ExecutionError(_UNREACHABLE, str(error), may_succeed_later=True) from error


def _shown(command: commands.Command) -> str:
    """The call as a person could type it."""
    return shlex.join(["scontrol", *command])
