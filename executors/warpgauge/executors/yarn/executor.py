"""Follows recommendations on a YARN cluster: REST in the name of its user, rmadmin under the account that runs it."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.core.errors import InputError, StorageError
from warpgauge.core.recommendation import RecommendationKind
from warpgauge.core.yarn import YarnError
from warpgauge.executors.protocol import ExecutionError, Intent
from warpgauge.executors.yarn.actions import Avoid, Cordon, Drain, Seen, Uncordon
from warpgauge.executors.yarn.applications import Move, Yield, app_of
from warpgauge.executors.yarn.calls import Caller

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.core.ack import NativeRef
    from warpgauge.core.recommendation import Recommendation
    from warpgauge.core.yarn import Yarn
    from warpgauge.executors.protocol import Order
    from warpgauge.executors.yarn.actions import Action, Step
    from warpgauge.executors.yarn.admin import Admin
    from warpgauge.executors.yarn.exclusion import Exclusion

__all__ = ["YarnExecutor"]

_UNREACHABLE: Final = "yarnUnreachable"
_REFUSED: Final = "yarnRefused"
_UNWRITABLE: Final = "excludeFileUnusable"
_MALFORMED: Final = "malformedTarget"
_OF_APPS: Final = frozenset({RecommendationKind.REBALANCE_QUEUE, RecommendationKind.RECLAIM_IDLE})


class YarnExecutor:
    """Moves and ranks applications, decommissions, labels and empties nodes, after a look at how the cluster is."""

    name = "yarn"
    platform = "yarn"
    kinds = frozenset(
        {
            RecommendationKind.AVOID_NODE,
            RecommendationKind.CORDON,
            RecommendationKind.DRAIN,
            RecommendationKind.UNCORDON,
            *_OF_APPS,
        }
    )
    takes_simulated = False

    def __init__(
        self,
        yarn: Yarn,
        admin: Admin,
        exclusion: Exclusion | None = None,
        *,
        avoid_label: str = "",
        decommission_seconds: int = 3600,
    ) -> None:
        """Without `exclusion` it cannot drain, without `avoid_label` not avoid."""
        self._yarn = yarn
        self._caller = Caller(yarn, admin, exclusion, decommission_seconds=decommission_seconds)
        self._actions: dict[RecommendationKind, Action] = {
            RecommendationKind.AVOID_NODE: Avoid(avoid_label),
            RecommendationKind.CORDON: Cordon(),
            RecommendationKind.DRAIN: Drain(),
            RecommendationKind.UNCORDON: Uncordon(),
            RecommendationKind.REBALANCE_QUEUE: Move(),
            RecommendationKind.RECLAIM_IDLE: Yield(),
        }

    def objection(self, order: Order) -> str | None:
        """What stands in the way, by the cluster as it is now."""
        advice = order.advice
        if (unset := self._unset(advice.kind)) is not None:
            return unset
        try:
            if order.is_undo:
                return None  # what is no longer ours is left alone, and undoing nothing is done
            return self._actions[advice.kind].objection(advice, self._seen(advice))
        except InputError as error:
            return str(error)

    def intents(self, order: Order) -> tuple[Intent, ...]:
        """The calls; YARN itself has no dry run for them."""
        shown = self._caller.shown
        return tuple(Intent(shown(step.call), shown(step.undo) if step.undo else None) for step in self._plan(order)[0])

    def found(self, order: Order) -> tuple[NativeRef, ...] | None:
        """What it changes, if nothing of it is left to do."""
        steps, refs = self._plan(order)
        return None if steps else refs

    def execute(self, order: Order) -> tuple[NativeRef, ...]:
        """Make the calls one by one; if one fails, those before it are taken back."""
        steps, refs = self._plan(order)
        done: list[Step] = []
        for step in steps:
            try:
                self._caller.make(step.call)
            except (YarnError, StorageError) as error:
                raise self._failed(done, error) from error
            done.append(step)
        return refs

    def _failed(self, done: Sequence[Step], error: YarnError | StorageError) -> ExecutionError:
        """Take back what was done; say what could not be."""
        left = []
        for one in reversed(done):
            try:
                if one.undo is not None:
                    self._caller.make(one.undo)
            except (YarnError, StorageError) as again:
                left.append(f"{self._caller.shown(one.call)} ({again})")
        stays = f"; done and not taken back: {'; '.join(left)}" if left else "; nothing else was changed"
        reason, is_final = _UNWRITABLE, False
        if isinstance(error, YarnError):
            reason, is_final = (_REFUSED, True) if error.is_refusal else (_UNREACHABLE, False)
        return ExecutionError(reason, f"{error}{stays}", may_succeed_later=bool(left) or not is_final)

    def _plan(self, order: Order) -> tuple[tuple[Step, ...], tuple[NativeRef, ...]]:
        """The calls that are still to be made, and what they change; from one look at the cluster."""
        action, advice = self._actions[order.advice.kind], order.advice
        try:
            seen = self._seen(advice)
            if order.is_undo:
                return action.way_back(advice, order.refs, seen), order.refs
            return action.steps(advice, seen), action.refs(advice, seen)
        except InputError as error:
            raise ExecutionError(_MALFORMED, str(error)) from error

    def _unset(self, kind: RecommendationKind) -> str | None:
        """What the settings lack for a kind."""
        if kind in {RecommendationKind.DRAIN, RecommendationKind.UNCORDON} and self._caller.exclusion is None:
            return "yarn.exclude_file is not set, so no node can be decommissioned"
        if kind is RecommendationKind.AVOID_NODE and not self._avoid_label:
            return "yarn.avoid_label is not set, so no node can be avoided"
        return None

    @property
    def _avoid_label(self) -> str:
        avoid = self._actions[RecommendationKind.AVOID_NODE]
        return avoid.label if isinstance(avoid, Avoid) else ""

    def _seen(self, advice: Recommendation) -> Seen:
        """The cluster now, as far as the kind asks for it; InputError for a target that is none."""
        name = app_of(advice) if advice.kind in _OF_APPS else ""
        try:
            if name:
                app = self._yarn.app(name)
                asks = any(one.check == "yarnAttempt" for one in advice.preconditions)
                return Seen(
                    app=app,
                    attempt=self._yarn.attempt(name) if app is not None and asks else "",
                    queues=self._yarn.queues() if advice.kind is RecommendationKind.REBALANCE_QUEUE else (),
                )
            is_labeled = advice.kind is RecommendationKind.AVOID_NODE
            return Seen(
                nodes=self._yarn.nodes(),
                labels=self._yarn.labels() if is_labeled else frozenset(),
                excluded=self._caller.exclusion.hosts() if self._caller.exclusion else {},
            )
        except (YarnError, InputError, StorageError) as error:  # an answer that is none, too
            raise ExecutionError(_UNREACHABLE, str(error), may_succeed_later=True) from error
