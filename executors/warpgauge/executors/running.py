"""The process of an executor: read, follow, ack, until told to stop."""

from __future__ import annotations

import json
import logging
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from warpgauge.core.audit import AuditLog
from warpgauge.core.document import to_document
from warpgauge.core.lane import Lane, TryLaterError
from warpgauge.core.queue import DurableQueue
from warpgauge.executors.journal import Journal
from warpgauge.executors.worker import Worker

if TYPE_CHECKING:
    import threading
    from collections.abc import Callable
    from pathlib import Path

    from warpgauge.core.ack import Ack
    from warpgauge.core.clock import Clock
    from warpgauge.core.lane import Receiver
    from warpgauge.core.recommendation import Recommendation
    from warpgauge.executors.inbox import Inbox
    from warpgauge.executors.protocol import Executor

__all__ = ["POLL_SECONDS", "Process"]

_LOG: Final = logging.getLogger(__name__)
POLL_SECONDS: Final = 0.5  # so that a pause or an approval is in effect within a second
_MOST_BYTES: Final = 16 * 2**20
_MOST_AGE_SECONDS: Final = 7 * 86_400.0


@dataclass(frozen=True, slots=True, kw_only=True)
class _Parts:
    journal: Journal
    acks: Lane
    worker: Worker


class Process:
    """One executor with its files below `folder`: journal, acks on their way, audit log."""

    def __init__(  # noqa: PLR0913 - what a process is made of
        self,
        executor: Executor,
        inbox: Inbox,
        acks: Receiver,
        folder: Path,
        *,
        clock: Clock,
        dry_run: bool,
        cluster: str | None = None,
    ) -> None:
        """Open its files.

        Raises:
            StorageError: they cannot be used, or another process uses them.

        """
        self._inbox = inbox
        self._told: str | None = None
        self._known_faults: set[str] = set()
        self._audit = AuditLog(folder / "audit.jsonl", clock)
        self._who = f"executor {executor.name}"
        queue = DurableQueue(
            folder / "acks.sqlite",
            max_bytes=_MOST_BYTES,
            max_age_seconds=_MOST_AGE_SECONDS,
            clock=clock,
            synchronous="FULL",
        )
        journal = Journal(folder / "journal.sqlite")
        self._parts = _Parts(
            journal=journal,
            acks=Lane(queue, acks, group_of=_group_of, clock=clock),
            worker=Worker(
                executor,
                journal,
                self._send,
                clock=clock,
                dry_run=dry_run,
                cluster=cluster,
                last_word=self._may_still_be_followed,
            ),
        )

    def run(self, stop: threading.Event, is_over: Callable[[], bool] = lambda: False) -> None:
        """Work until told to stop or until it is over; what begins is ended first."""
        while not stop.is_set() and not is_over():
            self.step()
            stop.wait(POLL_SECONDS)

    def step(self) -> bool:
        """One round; whether recommendations could be read, without which nothing is done: it may have been paused."""
        worker = self._parts.worker
        try:
            mail = self._inbox.read()
        except TryLaterError as error:
            self._tell(f"no recommendations: {error}")
        else:
            self._tell(None)
            for fault in set(mail.malformed) - self._known_faults:
                _LOG.warning("document refused", extra={"why": fault})
            self._known_faults = set(mail.malformed)
            for withdrawal in mail.withdrawals:
                worker.withdraw(withdrawal)
            for recommendation in mail.recommendations:
                worker.take(recommendation)
            worker.resume({one.id for one in mail.recommendations})
        if (trouble := self._parts.acks.run()) is not None:
            _LOG.info("acks wait", extra={"why": trouble})
        return self._told is None

    def _may_still_be_followed(self, recommendation: Recommendation) -> bool:
        """Whether it stands right now: what was done before it in this round can have taken minutes."""
        try:
            mail = self._inbox.read()
        except TryLaterError:
            return False
        is_withdrawn = any(one.recommendation_id == recommendation.id for one in mail.withdrawals)
        now = next((one for one in mail.recommendations if one.id == recommendation.id), None)
        return now is not None and now.may_be_followed and not is_withdrawn

    def close(self) -> None:
        """Close the files."""
        self._parts.journal.close()
        self._parts.acks.close()

    def _send(self, ack: Ack) -> None:
        """Audit, then store on its way."""
        self._audit.append(str(ack.phase), self._who, to_document(ack))
        self._parts.acks.append(json.dumps(ack.to_event(), ensure_ascii=False, allow_nan=False).encode())

    def _tell(self, trouble: str | None) -> None:
        if trouble != self._told:
            _LOG.warning("waiting" if trouble else "reading again", extra={"why": trouble or "it answers"})
        self._told = trouble


def _group_of(body: bytes) -> str:
    return str(json.loads(body)["data"]["recommendationId"])
