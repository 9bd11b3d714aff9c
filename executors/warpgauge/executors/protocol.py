"""What each executor gives; everything that is the same for all of them is in the worker.

An executor is handed an order and answers four questions about it. It keeps no state of its own: whether something was
done before is the worker's journal's to know, or the core's.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Protocol

from warpgauge.core.errors import WarpgaugeError

if TYPE_CHECKING:
    from warpgauge.core.ack import NativeRef
    from warpgauge.core.recommendation import Recommendation, RecommendationKind

__all__ = ["ExecutionError", "Executor", "Intent", "Order"]


class ExecutionError(WarpgaugeError):
    """The core refused or failed, and nothing is left half done unless the message says what."""

    def __init__(self, reason: str, detail: str, *, may_succeed_later: bool = False) -> None:
        """`reason` is a code in camelCase for the ack, such as `pdbRefused`; `detail` is for people."""
        super().__init__(f"{reason}: {detail}")
        self.reason = reason
        self.detail = detail
        self.may_succeed_later = may_succeed_later


@dataclass(frozen=True, slots=True, kw_only=True)
class Order:
    """One recommendation to follow. Of kind undo, `undoes` and `refs` are what was done on which advice."""

    recommendation: Recommendation
    undoes: Recommendation | None = None
    refs: tuple[NativeRef, ...] = ()  # that executing `undoes` gave

    @property
    def is_undo(self) -> bool:
        """Whether something is to be taken back."""
        return self.undoes is not None

    @property
    def advice(self) -> Recommendation:
        """What it is about: the recommendation itself, or the one to be taken back."""
        return self.undoes or self.recommendation


@dataclass(frozen=True, slots=True)
class Intent:
    """One change that would be made; `undo` is the change that takes it back, None where there is none."""

    change: str
    undo: str | None = None


class Executor(Protocol):
    """One scheduling core, or a place to announce to."""

    @property
    def name(self) -> str:
        """The word after `warpgauge executor --core`."""

    @property
    def platform(self) -> str | None:
        """The platform whose targets it takes, as in `Target.platform`; None for all."""

    @property
    def kinds(self) -> frozenset[RecommendationKind]:
        """The kinds it can follow, without undo, which each executor must know for all of them that are reversible."""

    @property
    def takes_simulated(self) -> bool:
        """Whether it may be handed what was derived from simulated data; never if it acts on anything."""

    def objection(self, order: Order) -> str | None:
        """Why it must not be followed now, None if it may: every precondition, asked of the core again.

        Raises:
            ExecutionError: the core cannot be asked.

        """

    def intents(self, order: Order) -> tuple[Intent, ...]:
        """What `execute` would change, in order, with the core's own dry run where it has one. Changes nothing.

        Raises:
            ExecutionError: the core cannot be asked, or says that it would refuse.

        """

    def found(self, order: Order) -> tuple[NativeRef, ...] | None:
        """What stands in the core already as this order's doing, None if nothing does or nobody can tell.

        Asked once, after a crash between acting and writing down that it was done.

        Raises:
            ExecutionError: the core cannot be asked.

        """

    def execute(self, order: Order) -> tuple[NativeRef, ...]:
        """Do it, all or nothing; what was changed or made. Doing it again when it was done changes nothing more.

        Raises:
            ExecutionError: it was not done.

        """
