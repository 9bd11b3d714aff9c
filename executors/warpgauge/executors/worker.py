"""Takes recommendations through their phases with one executor: every promise that is the same for all cores.

A step is acked before it is written down, and written down before the next one begins. After a crash the same step is
acked again under the same id, and what was being executed is looked for in the core before it is done again.
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING, Final

from warpgauge.core.ack import Ack, Phase, ack_id
from warpgauge.core.recommendation import Producer, RecommendationKind
from warpgauge.core.retry import Backoff
from warpgauge.core.version import VERSION
from warpgauge.executors.journal import Entry
from warpgauge.executors.protocol import ExecutionError, Order

if TYPE_CHECKING:
    from collections.abc import Callable, Collection, Sequence

    from warpgauge.core.ack import NativeRef
    from warpgauge.core.clock import Clock
    from warpgauge.core.recommendation import Recommendation
    from warpgauge.core.withdrawal import Withdrawal
    from warpgauge.executors.journal import Journal
    from warpgauge.executors.protocol import Executor, Intent

__all__ = ["Worker"]

MOST_ATTEMPTS: Final = 5
ASK_SECONDS: Final = 30.0  # between two looks at the core for what only waits: nobody wants it asked twice a second
_REST: Final = Backoff(first_seconds=15.0, factor=3.0, max_seconds=600.0, jitter=0.3)


class Worker:
    """One executor at work; `send` must keep an ack durably before it returns."""

    def __init__(  # noqa: PLR0913 - what a worker is made of
        self,
        executor: Executor,
        journal: Journal,
        send: Callable[[Ack], None],
        *,
        clock: Clock,
        dry_run: bool = False,
        cluster: str | None = None,
        rest: Backoff = _REST,
        last_word: Callable[[Recommendation], bool] = lambda _: True,
    ) -> None:
        """`last_word` says whether one may be followed still; asked before each acting: others took their time."""
        self._executor = executor
        self._journal = journal
        self._send = send
        self._clock = clock
        self._dry_run = dry_run
        self._cluster = cluster
        self._rest = rest
        self._last_word = last_word
        self._producer = Producer(name=executor.name, version=VERSION)
        self._asked: dict[str, float] = {}  # key of what waits -> when its preconditions were asked last

    def withdraw(self, withdrawal: Withdrawal) -> None:
        """Do not follow it any more; what was executed already stays."""
        self._journal.withdraw(withdrawal.recommendation_id, self._clock.now())
        entry = self._journal.get(withdrawal.idempotency_key)
        if entry is not None:
            self._go_on(entry)

    def take(self, recommendation: Recommendation) -> None:
        """Follow it as far as it may be followed now; taking it again goes on, and never does anything twice."""
        if not self._concerns(recommendation):
            return
        entry = self._journal.get(recommendation.idempotency_key)
        if entry is None:
            entry = Entry(recommendation=recommendation)
        elif entry.phase is None or not entry.phase.is_final:
            entry = replace(entry, recommendation=_with_news(entry.recommendation, recommendation))
        self._go_on(entry)

    def resume(self, standing: Collection[str] | None = None) -> None:
        """Go on with what has not come to an end, after a restart or a while.

        With `standing`, the ids of what is recommended now, nothing else is begun: it is only brought to an end.
        """
        now = self._clock.now()
        self._journal.forget(now)
        for entry in self._journal.unfinished():
            one = entry.recommendation
            if standing is None or one.id in standing or entry.phase is Phase.EXECUTING or now >= one.expires_at:
                self._go_on(entry)

    def _concerns(self, recommendation: Recommendation) -> bool:
        """Another core's targets, and another cluster's, are left to its own executor, without a word."""
        platforms = {target.platform for target in recommendation.target}
        clusters = {target.cluster for target in recommendation.target}
        return (self._executor.platform is None or platforms == {self._executor.platform}) and (
            self._cluster is None or clusters == {self._cluster}
        )

    def _go_on(self, entry: Entry) -> None:
        if (entry.phase is not None and entry.phase.is_final) or self._clock.now() < entry.rest_until:
            return
        try:
            self._follow(entry)
        except ExecutionError as error:
            self._fail(self._journal.get(entry.recommendation.idempotency_key) or entry, error)

    def _follow(self, entry: Entry) -> None:
        order = self._order(entry)
        if entry.phase is Phase.EXECUTING and (refs := self._executor.found(order)) is not None:
            self._say(entry, Phase.EXECUTED, detail="found done after a restart", refs=refs)
            return
        if entry.phase is None:
            entry = self._say(entry, Phase.RECEIVED)
        if self._is_over(entry, order) or self._clock.now() < entry.recommendation.not_before:
            return
        if entry.phase is Phase.RECEIVED:
            entry = self._say(entry, Phase.ACCEPTED)
        if entry.phase is Phase.ACCEPTED:
            entry = self._say(entry, Phase.DRY_RUN_OK, detail=_words(self._executor.intents(order)))
        if self._dry_run or not entry.recommendation.may_be_followed:
            return
        if entry.phase is not Phase.EXECUTING and not self._last_word(entry.recommendation):
            return
        entry = self._say(entry, Phase.EXECUTING)
        refs = self._executor.execute(order)
        self._say(entry, Phase.EXECUTED, refs=refs)

    def _is_over(self, entry: Entry, order: Order) -> bool:
        """Say and write down why it is not followed, if it is not; asked anew right before each acting."""
        recommendation = entry.recommendation
        rests = self._rests(entry)
        if self._journal.is_withdrawn(recommendation.id):
            self._say(entry, Phase.WITHDRAWN)
        elif self._clock.now() >= recommendation.expires_at:
            self._say(entry, Phase.EXPIRED)
        elif rests:
            return False
        elif (refusal := self._refusal(order)) is not None:
            self._say(entry, Phase.REJECTED, reason=refusal[0], detail=refusal[1])
        else:
            return False
        return True

    def _rests(self, entry: Entry) -> bool:
        """Whether it only waits, for a person or its time, and the core was asked about it just now."""
        recommendation, now = entry.recommendation, self._clock.now()
        key = recommendation.idempotency_key
        waits_for_word = entry.phase is Phase.DRY_RUN_OK and (self._dry_run or not recommendation.may_be_followed)
        if not waits_for_word and not (entry.phase is Phase.RECEIVED and now < recommendation.not_before):
            self._asked.pop(key, None)
            return False
        if now - self._asked.get(key, float("-inf")) < ASK_SECONDS:
            return True
        self._asked[key] = now
        return False

    def _refusal(self, order: Order) -> tuple[str, str] | None:
        """A code and words, None if nothing stands against it."""
        recommendation, executor = order.recommendation, self._executor
        if recommendation.simulated and not executor.takes_simulated:
            return ("simulated", "it was derived from simulated data")
        if recommendation.kind is RecommendationKind.UNDO and not order.is_undo:
            return ("nothingToUndo", f"nothing was executed here on {recommendation.undoes}")
        if order.advice.kind not in executor.kinds:
            return ("unsupportedKind", f"{executor.name} cannot {order.advice.kind}")
        objection = executor.objection(order)
        return None if objection is None else ("preconditionFailed", objection)

    def _order(self, entry: Entry) -> Order:
        recommendation = entry.recommendation
        done = self._journal.by_id(recommendation.undoes) if recommendation.undoes else None
        if done is None or done.phase is not Phase.EXECUTED:
            return Order(recommendation=recommendation)
        return Order(recommendation=recommendation, undoes=done.recommendation, refs=done.native_refs)

    def _fail(self, entry: Entry, error: ExecutionError) -> None:
        """Try again after a rest if that can help; each attempt has its own acks."""
        self._ack(entry, Phase.FAILED, reason=error.reason, detail=error.detail)
        after = replace(entry, phase=Phase.FAILED)
        if error.may_succeed_later and entry.attempt < MOST_ATTEMPTS:
            rests = self._rest.delays()
            seconds = [next(rests) for _ in range(entry.attempt)][-1]
            after = replace(entry, attempt=entry.attempt + 1, phase=None, rest_until=self._clock.now() + seconds)
        self._journal.put(after, self._clock.now())

    def _say(
        self,
        entry: Entry,
        phase: Phase,
        *,
        reason: str | None = None,
        detail: str | None = None,
        refs: Sequence[NativeRef] = (),
    ) -> Entry:
        """Send the ack, then write the phase down; the entry as it is now."""
        self._ack(entry, phase, reason=reason, detail=detail, refs=refs)
        entry = replace(entry, phase=phase, native_refs=tuple(refs))
        self._journal.put(entry, self._clock.now())
        return entry

    def _ack(
        self,
        entry: Entry,
        phase: Phase,
        *,
        reason: str | None = None,
        detail: str | None = None,
        refs: Sequence[NativeRef] = (),
    ) -> None:
        recommendation = entry.recommendation
        self._send(
            Ack(
                id=ack_id(recommendation.id, self._producer.name, entry.attempt, phase),
                recommendation_id=recommendation.id,
                idempotency_key=recommendation.idempotency_key,
                executor=self._producer,
                attempt=entry.attempt,
                phase=phase,
                reason=reason,
                detail=detail,
                native_refs=tuple(refs),
                at=self._clock.now(),
            )
        )


def _with_news(known: Recommendation, sent: Recommendation) -> Recommendation:
    """What may change of a document under its key: the approval, the mode and how long it holds; never what to do."""
    return replace(known, approval=sent.approval, mode=sent.mode, expires_at=sent.expires_at)


def _words(intents: Sequence[Intent]) -> str:
    return "; ".join(
        f"{intent.change} (undo: {intent.undo})" if intent.undo else f"{intent.change} (no undo)" for intent in intents
    )
