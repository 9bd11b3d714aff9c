"""What people and executors say about recommendations: pause, mode, approvals, refusals, acks. All of it is audited.

A line in the audit log comes first: what cannot be written there does not happen.
"""

from __future__ import annotations

import re
import threading
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any, Final

from warpgauge.analyzer.recommend.book import Book, Decision, approved
from warpgauge.analyzer.recommend.undoing import undo_of
from warpgauge.core.ack import Phase
from warpgauge.core.document import to_document
from warpgauge.core.errors import InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from warpgauge.core.ack import Ack
    from warpgauge.core.audit import AuditLog
    from warpgauge.core.clock import Clock
    from warpgauge.core.recommendation import Recommendation

__all__ = ["MODES", "Change", "Desk", "NotNowError", "UnknownError", "parse_who"]

MODES: Final = ("observe", "propose", "approve", "auto")
_WHO: Final = re.compile(r"[\w.@+ -]{1,80}")
_AFTER_ACTING: Final = "it is being followed or was followed already; `undo` is what takes it back"


class UnknownError(InputError):
    """There is no such recommendation."""


class NotNowError(InputError):
    """It cannot be done to this recommendation any more."""


@dataclass(frozen=True, slots=True)
class Change:
    """What another mode would change for one open recommendation."""

    recommendation: Recommendation
    before: str
    after: str

    def to_json(self) -> dict[str, Any]:
        """For the API."""
        one = self.recommendation
        return {
            "id": one.id,
            "kind": str(one.kind),
            "target": one.target[0].name,
            "summary": one.text.summary,
            "before": self.before,
            "after": self.after,
        }


def parse_who(text: object) -> str:
    """The name that somebody gives.

    Raises:
        InputError: it is none.

    """
    if not isinstance(text, str) or not _WHO.fullmatch(text):
        given = "nothing" if text is None else repr(str(text)[:100])
        msg = f"by must be a name of 1 to 80 letters, digits and . @ + - _, got {given}"
        raise InputError(msg)
    return text


class Desk:
    """The book behind a counter. Any thread may call."""

    def __init__(self, book: Book, clock: Clock, *, mode: str, audit: AuditLog | None = None) -> None:
        self.book = book
        self._clock = clock
        self._audit = audit
        self._configured = mode
        self._mode = book.setting("mode") or mode
        self._paused = book.setting("paused")
        self._decisions = book.decisions()
        self._turn = threading.Lock()  # one order after the other: each is judged by what those before it left

    @property
    def mode(self) -> str:
        """The mode in force, whether paused or not."""
        return self._mode

    @property
    def paused(self) -> str | None:
        """Who paused it, None if nobody did."""
        return self._paused

    @property
    def rejected(self) -> frozenset[str]:
        """Recommendations that a person refused."""
        return frozenset(name for name, decision in self._decisions.items() if not decision.is_approved)

    def note(self, what: str, who: str, about: Mapping[str, Any]) -> None:
        """A line in the audit log.

        Raises:
            StorageError: it cannot be written.

        """
        if self._audit is not None:
            self._audit.append(what, who, about)

    def pause(self, who: str) -> None:
        """Recommend nothing new and let nobody act until it is resumed, over restarts too."""
        self.note("pause", who, {})
        self.book.set("paused", who)
        self._paused = who

    def resume(self, who: str) -> None:
        """Go on."""
        self.note("resume", who, {})
        self.book.set("paused", None)
        self._paused = None

    def set_mode(self, mode: str, who: str) -> None:
        """Put a mode in force, over restarts too; the configured one sets it back to the configuration."""
        self.note("mode", who, {"from": self._mode, "to": mode})
        self.book.set("mode", None if mode == self._configured else mode)
        self._mode = mode

    def difference(self, recommendations: Iterable[Recommendation], mode: str) -> list[Change]:
        """What a mode would change for what stands now."""
        changes = (Change(one, _fate(one), _fate(replace(one, mode=mode))) for one in recommendations)
        return [change for change in changes if change.before != change.after]

    def as_it_stands(self, recommendation: Recommendation, mode: str) -> Recommendation:
        """With the approval and the mode of now."""
        approval = approved(recommendation, self._decisions.get(recommendation.id), mode)
        return replace(recommendation, mode=mode, approval=approval)

    def approve(self, recommendation: Recommendation, who: str) -> Recommendation:
        """Agree to it; as it stands now, which goes to every sink again.

        Raises:
            NotNowError: it has expired, was refused, or is being followed already.

        """
        with self._turn:
            return self._approve(recommendation, who)

    def _approve(self, recommendation: Recommendation, who: str) -> Recommendation:
        now = self._clock.now()
        if now >= recommendation.expires_at:
            msg = "it has expired"
            raise NotNowError(msg)
        before = self._decisions.get(recommendation.id)
        if before is not None:
            if before.is_approved:
                return self.as_it_stands(recommendation, self._mode)
            msg = f"{before.who} refused it"
            raise NotNowError(msg)
        decision = Decision(is_approved=True, who=who, at=now)
        self.note("approve", who, _about(recommendation))
        made = replace(recommendation, mode=self._mode, approval=approved(recommendation, decision, self._mode))
        self.book.decide(recommendation.id, decision, [made.to_event()])
        self._decisions = {**self._decisions, recommendation.id: decision}
        return made

    def undo(self, recommendation: Recommendation, who: str) -> Recommendation:
        """The order to take back what was executed on it, agreed to by whoever asks.

        Raises:
            NotNowError: nothing was executed on it, or it cannot be taken back.

        """
        with self._turn:
            return self._undo(recommendation, who)

    def _undo(self, recommendation: Recommendation, who: str) -> Recommendation:
        if not any(ack.phase is Phase.EXECUTED for ack in self.book.acks(recommendation.id)):
            msg = "nothing was executed on it"
            raise NotNowError(msg)
        now = self._clock.now()
        made = undo_of(recommendation, f"{who} asked for it.", mode=self._mode, now=now)
        if made is None:
            msg = "it cannot be taken back"
            raise NotNowError(msg)
        decision = Decision(is_approved=True, who=who, at=now)
        made = replace(made, approval=approved(made, decision, self._mode))
        self.note("undo", who, _about(recommendation))
        self.book.decide(made.id, decision, asked=made)
        self._decisions = {**self._decisions, made.id: decision}
        return made

    def reject(self, recommendation: Recommendation, who: str) -> None:
        """Refuse it; it is taken back, and its place and job are left alone for the cool-down.

        Raises:
            NotNowError: somebody acts on it already.

        """
        with self._turn:
            self._reject(recommendation, who)

    def _reject(self, recommendation: Recommendation, who: str) -> None:
        if recommendation.id in self.book.acted_on():
            raise NotNowError(_AFTER_ACTING)
        self.note("reject", who, _about(recommendation))
        decision = Decision(is_approved=False, who=who, at=self._clock.now())
        self.book.decide(recommendation.id, decision)
        self._decisions = {**self._decisions, recommendation.id: decision}

    def ack(self, ack: Ack) -> bool:
        """Keep an executor's word; whether it is new.

        Raises:
            UnknownError: nothing of that id was ever recommended.
            InputError: it speaks of another recommendation's key.

        """
        with self._turn:
            return self._ack(ack)

    def _ack(self, ack: Ack) -> bool:
        recommendation = self.book.recommendation(ack.recommendation_id)
        if recommendation is None:
            msg = f"there is no recommendation {ack.recommendation_id}"
            raise UnknownError(msg)
        if recommendation.idempotency_key != ack.idempotency_key:
            msg = f"the idempotency key is not that of {ack.recommendation_id}"
            raise InputError(msg)
        if any(known.id == ack.id for known in self.book.acks(ack.recommendation_id)):
            return False
        self.note("ack", f"executor {ack.executor.name}", to_document(ack))
        return self.book.add_ack(replace(ack, at=min(ack.at, self._clock.now())))


def _about(recommendation: Recommendation) -> dict[str, Any]:
    return {
        "recommendationId": recommendation.id,
        "kind": str(recommendation.kind),
        "target": [f"{target.cluster}/{target.type}/{target.name}" for target in recommendation.target],
    }


def _fate(recommendation: Recommendation) -> str:
    if recommendation.mode == "observe":
        return "withdrawn"
    if recommendation.may_be_followed:
        return "followed"
    return "shown only" if recommendation.mode == "propose" else "waits for an approval"
