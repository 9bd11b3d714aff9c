"""Follows recommendations on a Kubernetes cluster through its API, under the account that it is given."""

from __future__ import annotations

import logging
from typing import TYPE_CHECKING, Final

from warpgauge.core.errors import InputError
from warpgauge.core.kubernetes import KubernetesError
from warpgauge.core.recommendation import RecommendationKind, TargetType
from warpgauge.executors.kubernetes.actions import Avoid, Cordon, Tell, Uncordon
from warpgauge.executors.kubernetes.budgets import check_budgets
from warpgauge.executors.kubernetes.devices import CordonDevice
from warpgauge.executors.kubernetes.events import event_of
from warpgauge.executors.kubernetes.evicting import Drain, Replace
from warpgauge.executors.kubernetes.faults import CONFLICT, MALFORMED, fault_of, is_eviction, may_be_asked
from warpgauge.executors.kubernetes.look import Everything, Look
from warpgauge.executors.kubernetes.reclaiming import Reclaim
from warpgauge.executors.protocol import ExecutionError, Intent

if TYPE_CHECKING:
    from collections.abc import Mapping, Sequence

    from warpgauge.core.ack import NativeRef
    from warpgauge.core.kubernetes import Kubernetes
    from warpgauge.executors.kubernetes.actions import Action, Step
    from warpgauge.executors.protocol import Order

__all__ = ["KubernetesExecutor"]

_LOG: Final = logging.getLogger(__name__)
MOST_LOOKS: Final = 5  # a node changes every few seconds at most; who loses five times in a row comes back later
_NOT_FOUND: Final = 404
_PRECONDITION: Final = "preconditionFailed"

_ACTIONS: Final[Mapping[RecommendationKind, Action]] = {
    RecommendationKind.AVOID_NODE: Avoid(),
    RecommendationKind.CHECK_COOLING: Tell(),
    RecommendationKind.CORDON: Cordon(),
    RecommendationKind.DRAIN: Drain(),
    RecommendationKind.INSPECT_HARDWARE: Tell(),
    RecommendationKind.MIGRATE: Replace(),
    RecommendationKind.RECLAIM_IDLE: Reclaim(),
    RecommendationKind.REPLACE_STRAGGLER: Replace(),
    RecommendationKind.SEPARATE: Replace(),
    RecommendationKind.UNCORDON: Uncordon(),
}


class KubernetesExecutor:
    """Cordons, taints and tells of nodes, evicts pods, stops idle jobs; after a look at the cluster as it is then."""

    name = "kubernetes"
    platform = "kubernetes"
    kinds = frozenset(_ACTIONS)
    takes_simulated = False

    def __init__(self, api: Kubernetes, *, everything: Everything | None = None) -> None:
        """`everything` remembers the last reading of the whole cluster, for the question of room only."""
        self._api = api
        self._everything = everything or Everything(api)

    def objection(self, order: Order) -> str | None:
        """What stands in the way, by the cluster as it is now."""
        if order.is_undo:
            return None  # what is no longer ours is left alone, and undoing nothing is done
        try:
            return _action(order).objection(order.advice, self._look())
        except InputError as error:
            return str(error)
        except KubernetesError as error:
            raise fault_of(error) from error

    def intents(self, order: Order) -> tuple[Intent, ...]:
        """Every change, after the server went through all its checks of it (`dryRun=All`) and stored nothing."""
        for _ in range(MOST_LOOKS):
            look, steps, _refs = self._plan(order)
            with may_be_asked():
                check_budgets(steps, look)
            try:
                for step in steps:
                    self._send(step, dry_run=True)
            except KubernetesError as error:
                if not error.is_conflict:
                    raise fault_of(error, is_eviction(step.call)) from error
                continue
            return tuple(Intent(step.call.words, step.undo) for step in steps)
        raise _lost()

    def found(self, order: Order) -> tuple[NativeRef, ...] | None:
        """What it changes, if nothing of it is left to do."""
        _, steps, refs = self._plan(order)
        return None if steps else refs

    def execute(self, order: Order) -> tuple[NativeRef, ...]:
        """Make the changes one by one; if one fails before a pod was evicted, those before it are taken back.

        A change that somebody else's overtook is looked at again, with every precondition.
        """
        done: list[Step] = []
        for number in range(MOST_LOOKS):
            if number and (why := self.objection(order)) is not None:
                raise self._failed(order, done, ExecutionError(_PRECONDITION, why))
            look, steps, refs = self._plan(order)
            try:
                with may_be_asked():
                    check_budgets(steps, look)
                for step in steps:
                    self._send(step)
                    done.append(step)
            except ExecutionError as error:
                raise self._failed(order, done, error) from error
            except KubernetesError as error:
                if not error.is_conflict:
                    raise self._failed(order, done, fault_of(error, is_eviction(step.call))) from error
                continue
            if done:
                self._announce(order, look)
            return refs
        raise self._failed(order, done, _lost())

    def _send(self, step: Step, *, dry_run: bool = False) -> None:
        try:
            self._api.send(step.call, dry_run=dry_run)
        except KubernetesError as error:
            if error.status != _NOT_FOUND or not (is_eviction(step.call) or step.call.method == "DELETE"):
                raise  # what is gone needs no end

    def _announce(self, order: Order, look: Look) -> None:
        """An event for people; what was done stands whether it can be written or not."""
        try:
            self._api.send(event_of(order, look))
        except (KubernetesError, InputError) as error:
            _LOG.info("no event was written", extra={"why": str(error), "recommendation": order.recommendation.id})

    def _failed(self, order: Order, done: Sequence[Step], error: ExecutionError) -> ExecutionError:
        """Take back what can be; say what cannot."""
        if not done:
            return error
        if any(step.undo is None for step in done):
            words = "; ".join(step.call.words for step in done)
            detail = f"{error.detail}; done and gone on with at the next attempt: {words}"
            return ExecutionError(error.reason, detail, may_succeed_later=True)
        if order.is_undo:
            return error
        try:
            for step in _action(order).way_back(order.advice, self._look()):
                self._send(step)
        except (KubernetesError, InputError) as again:
            words = "; ".join(step.call.words for step in done)
            return ExecutionError(error.reason, f"{error.detail}; done and not taken back: {words} ({again})")
        detail = f"{error.detail}; nothing else was changed"
        return ExecutionError(error.reason, detail, may_succeed_later=error.may_succeed_later)

    def _plan(self, order: Order) -> tuple[Look, tuple[Step, ...], tuple[NativeRef, ...]]:
        """The changes that are still to be made, and what they change; from one look at the cluster."""
        action, advice, look = _action(order), order.advice, self._look()
        try:
            if order.is_undo:
                return look, action.way_back(advice, look), order.refs
            return look, action.steps(advice, look), action.refs(advice, look)
        except InputError as error:
            raise ExecutionError(MALFORMED, str(error)) from error
        except KubernetesError as error:
            raise fault_of(error) from error

    def _look(self) -> Look:
        return Look(self._api, self._everything)


def _action(order: Order) -> Action:
    advice = order.advice
    if advice.kind is RecommendationKind.CORDON and advice.target[0].type is TargetType.DEVICE:
        return CordonDevice()
    return _ACTIONS[advice.kind]


def _lost() -> ExecutionError:
    detail = f"somebody else changed the same object {MOST_LOOKS} times in a row"
    return ExecutionError(CONFLICT, detail, may_succeed_later=True)
