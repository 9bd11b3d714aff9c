"""From a tick's findings to recommendations that stand, out of the house, and back as acks and verifications."""

from __future__ import annotations

import os
import sys
import threading
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from warpgauge.analyzer.recommend import FileSink, Ledger, Limits, Outbox, StreamSink, recommend
from warpgauge.analyzer.recommend.book import Book
from warpgauge.analyzer.recommend.desk import Desk, UnknownError
from warpgauge.analyzer.recommend.parting import parting_of
from warpgauge.analyzer.recommend.relief import relief_of
from warpgauge.analyzer.recommend.site_rules import SiteRules, read_site_rules
from warpgauge.analyzer.recommend.topology import topology_of
from warpgauge.analyzer.recommend.undoing import undo_of
from warpgauge.analyzer.recommend.verifying import due, verify
from warpgauge.core.client_tls import client_context
from warpgauge.core.document import to_document
from warpgauge.core.errors import ConfigError
from warpgauge.core.recommendation import TargetType
from warpgauge.core.verification import Verdict

if TYPE_CHECKING:
    from collections.abc import Callable

    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.entities import JobKey
    from warpgauge.analyzer.incidents.engine import Result
    from warpgauge.analyzer.recommend import Plan
    from warpgauge.analyzer.recommend.lease import DirectoryLock, Lease
    from warpgauge.analyzer.recommend.webhook import WebhookSink
    from warpgauge.core.clock import Clock
    from warpgauge.core.config.sections import ActingConfig
    from warpgauge.core.recommendation import Recommendation
    from warpgauge.core.verification import Verification

__all__ = ["BOOK_FILE", "RECOMMENDATIONS_FILE", "Advisor", "Step", "make_outbox", "webhook_of"]

RECOMMENDATIONS_FILE: Final = "recommendations.jsonl"
BOOK_FILE: Final = "recommendations.sqlite"
SECRET_VARIABLE: Final = "WARPGAUGE_WEBHOOK_SECRET"  # noqa: S105 - its name, not the secret
_DAY_SECONDS: Final = 86_400.0
_MONTH_SECONDS: Final = 30 * 86_400.0


def make_outbox(directory: Path, clock: Clock, acting: ActingConfig) -> Outbox:
    """Standard output and a JSON Lines file in the data directory, which act on nothing, and the webhook if one is set.

    Raises:
        ConfigError: the webhook's secrets or TLS files cannot be used.
        StorageError: the directory's files cannot be used; nothing stored was changed.

    """
    sinks: list[Any] = [FileSink(directory / RECOMMENDATIONS_FILE), StreamSink(sys.stdout)]
    if acting.webhook_url:
        sinks.append(webhook_of(acting, clock))
    return Outbox(directory, sinks, clock)


def webhook_of(acting: ActingConfig, clock: Clock) -> WebhookSink:
    """The webhook that the settings name.

    Raises:
        ConfigError: its secrets or TLS files cannot be used.

    """
    from warpgauge.analyzer.recommend.webhook import Secrets, WebhookSink  # noqa: PLC0415 - an extra

    secrets = Secrets(file=acting.webhook_secret_file, variable=SECRET_VARIABLE)
    secrets.keys(os.environ)  # what cannot work ends the start, not the first delivery
    context = client_context(
        acting.webhook_ca_file, acting.webhook_client_cert, acting.webhook_client_key, of="acting.webhook_url"
    )
    return WebhookSink("webhook", acting.webhook_url, secrets, clock=clock, context=context)


@dataclass(frozen=True, slots=True)
class Step:
    """What one tick brought."""

    plan: Plan
    verifications: tuple[tuple[Recommendation, Verification], ...] = ()

    @property
    def fresh(self) -> tuple[Recommendation, ...]:
        """What is new."""
        return self.plan.fresh


class Advisor:
    """Carries the ledger from tick to tick; what is new goes out at least once."""

    def __init__(  # noqa: PLR0913 - the parts that it joins
        self,
        outbox: Outbox,
        *,
        mode: str,
        clock: Clock,
        desk: Desk | None = None,
        lease: Lease | DirectoryLock | None = None,
        site_rules_file: str = "",
        scheduler: str = "none",
    ) -> None:
        self.outbox = outbox
        self.desk = desk or Desk(Book(), clock, mode=mode)
        self._clock = clock
        self._lease = lease
        self._scheduler = scheduler
        self._rules = _Rules(site_rules_file)
        self._ledger = self.desk.book.ledger()
        self._handing = threading.Lock()  # one thread at a time carries documents from the book to the outbox
        self.troubles: tuple[str, ...] = ()  # of the last delivery

    @property
    def ledger(self) -> Ledger:
        """What was recommended so far."""
        return self._ledger

    def resume(self, ledger: Ledger) -> None:
        """Go on from what another run recommended, if the book knows nothing newer."""
        if not self._ledger.open and not self._ledger.issued:
            self.desk.book.step(ledger, tuple(ledger.open.values()), (), now=self._clock.now())
            self._ledger = ledger

    @property
    def hold(self) -> str | None:
        """Why nobody may act and nothing new is recommended, None if all is as the mode says."""
        if self.desk.paused is not None:
            return f"paused by {self.desk.paused}"
        if self._lease is not None and not self._lease.is_held:
            return "another analyzer has the lease"
        return None

    @property
    def open(self) -> tuple[Recommendation, ...]:
        """Recommendations that stand, with the approval of now; while held in mode observe, so that nobody acts."""
        mode = "observe" if self.hold else self.desk.mode
        rejected = self.desk.rejected
        return tuple(self.desk.as_it_stands(one, mode) for one in self._ledger.open.values() if one.id not in rejected)

    @property
    def withdrawn(self) -> list[dict[str, Any]]:
        """What was taken back within a day, as events: for executors that were away."""
        return self.desk.book.withdrawn(self._clock.now() - _DAY_SECONDS)

    def verdicts(self) -> dict[tuple[str, str], int]:
        """Verdicts of the last month by (detector, verdict)."""
        return self.desk.book.verdicts(self._clock.now() - _MONTH_SECONDS)

    def find(self, recommendation_id: str) -> Recommendation | None:
        """One that stands."""
        return next((one for one in self._ledger.open.values() if one.id == recommendation_id), None)

    def undo(self, recommendation_id: str, who: str) -> Recommendation:
        """Take back what was executed on a recommendation; the order goes out with the next tick.

        Raises:
            UnknownError: nothing of that id was recommended within three months.
            NotNowError: nothing was executed on it, or it cannot be taken back.

        """
        recommendation = self.desk.book.recommendation(recommendation_id)
        if recommendation is None:
            msg = f"there is no recommendation {recommendation_id[:80]}"
            raise UnknownError(msg)
        return self.desk.undo(recommendation, who)

    def question(self, result: Result, opted_out: frozenset[tuple[str, str]] = frozenset()) -> Callable[[Frame], Step]:
        """What to ask of the frame: what to recommend after this tick, and what became of what was done."""

        def answer(frame: Frame) -> Step:
            now = self._clock.now()
            topology = topology_of(frame, now=now, opted_out=opted_out, scheduler=self._scheduler)
            plan = recommend(
                result.findings,
                result.incidents,
                replace(
                    topology,
                    relief=relief_of(result.findings, frame, topology.platforms),
                    parting=parting_of(result.findings, frame, topology.platforms),
                ),
                self._ledger,
                now=now,
                mode=self.desk.mode,
                limits=self.limits(),
            )
            return Step(plan, tuple(self._verifications(frame, now)))

        return answer

    def send(self, step: Step) -> tuple[str, ...]:
        """Write down, store and deliver here; blocks on the disk. One sentence per sink that failed, to be tried again.

        Raises:
            StorageError: it cannot be written down; the next tick begins where this one did.

        """
        for _, verification in step.verifications:
            self.desk.note("verification", "analyzer", to_document(verification))
        undos = self._undos(step)
        ledger = replace(
            step.plan.ledger, open={**step.plan.ledger.open, **{f"undo/{one.undoes}": one for one in undos}}
        )
        fresh, verdicts = (*step.plan.fresh, *undos), [(one, str(made.verdict)) for one, made in step.verifications]
        news = [one.to_event() for one in step.plan.withdrawn]
        news += [made.to_event() for _, made in step.verifications]
        news += [one.to_event() for one in fresh]
        if news or ledger != self._ledger:
            self.desk.book.step(
                ledger, fresh, news, now=self._clock.now(), withdrawn=step.plan.withdrawn, verdicts=verdicts
            )
        self._ledger = ledger
        return self.flush()

    def flush(self) -> tuple[str, ...]:
        """Hand on what was written down and deliver it to the sinks of this machine."""
        with self._handing:
            waiting = self.desk.book.outgoing()
            if waiting:
                self.outbox.put(event for _, event in waiting)
                self.desk.book.handed_on(number for number, _ in waiting)
            return self.outbox.deliver(remote=False)

    def deliver(self) -> tuple[str, ...]:
        """Deliver to the sinks elsewhere what is due, until it is held; can take long."""
        if self._lease is not None:
            self._lease.hold()
        self.troubles = self.outbox.deliver(remote=True, is_held=lambda: self.hold is not None)
        return self.troubles

    def close(self) -> None:
        """Close the outbox and the book; what was not delivered stays in them."""
        self.outbox.close()
        self.desk.book.close()
        if self._lease is not None:
            self._lease.release()

    def limits(self) -> Limits:
        """What this step must keep to."""
        if self._lease is not None:
            self._lease.hold()
        return Limits(
            rules=self._rules.current(),
            hold=self.hold or self._rules.fault,
            rejected=self.desk.rejected,
            acted_on=self.desk.book.acted_on(),
            verdicts=self.verdicts(),
        )

    def _verifications(self, frame: Frame, now: float) -> list[tuple[Recommendation, Verification]]:
        pending = self.desk.book.unverified()
        touched = frozenset(job for one in pending for job in _jobs(one.recommendation))
        made = ((one.recommendation, verify(frame, one, touched, now)) for one in pending if due(one, now))
        return [(one, verification) for one, verification in made if verification is not None]

    def _undos(self, step: Step) -> list[Recommendation]:
        """What takes back whatever made things worse, and what people asked to be taken back."""
        mode, now = self.desk.mode, self._clock.now()
        undos = (
            undo_of(one, f"It made things worse: {made.metric} {made.reason}.", mode=mode, now=now)
            for one, made in step.verifications
            if made.verdict is Verdict.WORSE
        )
        return [*(undo for undo in undos if undo is not None), *self.desk.book.asked()]


class _Rules:
    """The site rules, read anew when the file changes; a file that cannot be read holds everything back."""

    def __init__(self, path: str) -> None:
        self._path = Path(path) if path else None
        self._seen: tuple[int, int] | None = None
        self._rules = SiteRules()
        self.fault: str | None = None
        if self._path is not None:
            self._rules, self._seen = read_site_rules(self._path), self._stamp()

    def current(self) -> SiteRules:
        """The rules of now."""
        if self._path is not None and (stamp := self._stamp()) != self._seen:
            try:
                self._rules, self.fault = read_site_rules(self._path), None
            except ConfigError as error:
                self.fault = str(error)
            self._seen = stamp
        return self._rules

    def _stamp(self) -> tuple[int, int] | None:
        try:
            about = self._path.stat() if self._path else None
        except OSError:
            return None
        return (about.st_mtime_ns, about.st_size) if about else None


def _jobs(recommendation: Recommendation) -> list[JobKey]:
    target = recommendation.target[0]
    if target.type is TargetType.WORKLOAD:
        return [(target.cluster, target.name)]
    disruption = recommendation.disruption
    return [(target.cluster, job) for job in (disruption.jobs_affected if disruption else None) or ()]
