"""Analyzer and executor on one machine, killed together: from finding over ack and verdict to the undo, each done once.

The executor reads the analyzer's own file of recommendations, and its acks go to the analyzer's desk.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.core.documents import verification
from tests.detectors.test_recommend import NOW, finding, fleet
from tests.killing import Scenario
from warpgauge.analyzer.recommend import FileSink, Outbox, recommend
from warpgauge.analyzer.recommend.book import Book
from warpgauge.analyzer.recommend.desk import Desk
from warpgauge.analyzer.service.advisor import Advisor, Step
from warpgauge.core.ack import Phase, ack_from_event
from warpgauge.core.audit import AuditLog, verify
from warpgauge.core.clock import ManualClock
from warpgauge.core.recommendation import RecommendationKind
from warpgauge.core.verification import Verdict, verification_id
from warpgauge.executors import FileExecutor
from warpgauge.executors.inbox import FileInbox
from warpgauge.executors.running import Process

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.killing import Request

KEPT, ENDING = finding(number=1, job="a"), finding(number=2, job="b")


class ToDesk:
    """Acks to the analyzer."""

    name, batch = "the analyzer", 1

    def __init__(self, desk: Desk) -> None:
        self._desk = desk

    def deliver(self, documents: Sequence[bytes]) -> None:
        for document in documents:
            self._desk.ack(ack_from_event(json.loads(document)))


class Pair:
    """Both, on the files of one folder."""

    def __init__(self, folder: Path, restarts: int) -> None:
        self.clock = ManualClock(NOW + restarts)
        audit = AuditLog(folder / "audit.jsonl", self.clock)
        self.desk = Desk(Book(folder / "book.sqlite"), self.clock, mode="approve", audit=audit)
        outbox = Outbox(folder, [FileSink(folder / "out.jsonl")], self.clock)
        self.advisor = Advisor(outbox, mode="approve", clock=self.clock, desk=self.desk)
        inbox, core = FileInbox(folder / "out.jsonl"), FileExecutor(folder / "orders.jsonl")
        self.executor = Process(core, inbox, ToDesk(self.desk), folder / "state", clock=self.clock, dry_run=False)

    def tick(self, *findings: Any) -> None:
        plan = recommend(
            findings, (), fleet(nodes=100), self.advisor.ledger, now=self.clock.now(), mode="approve",
            limits=self.advisor.limits(),
        )  # fmt: skip
        fields = {"verdict": Verdict.WORSE, "reason": "slower"}
        verdicts = [
            (one, replace(verification(), id=verification_id(one.id), recommendation_id=one.id,
                          idempotency_key=one.idempotency_key, **fields))
            for one in (pending.recommendation for pending in self.desk.book.unverified())
            if one.kind is not RecommendationKind.UNDO
        ]  # fmt: skip
        self.advisor.send(Step(plan, tuple(verdicts)))

    def approve(self, *kinds: RecommendationKind) -> None:
        for one in self.advisor.open:
            if one.kind in kinds and one.cause.finding_id == KEPT.id:
                self.desk.approve(one, "ann")
        self.advisor.flush()

    def close(self) -> None:
        self.executor.close()
        self.advisor.close()


def run(folder: Path, _url: str, restarts: int) -> None:
    pair = Pair(folder, restarts)
    pair.tick(KEPT, ENDING)
    pair.executor.step()
    pair.approve(RecommendationKind.REPLACE_STRAGGLER)
    pair.executor.step()
    pair.tick(KEPT)
    pair.approve(RecommendationKind.UNDO)
    pair.executor.step()
    pair.tick(KEPT)
    pair.executor.step()
    pair.close()


def prepare(folder: Path) -> None:
    (folder / "state").mkdir()


def faults(_: Sequence[Request], folder: Path) -> list[str]:
    orders = [json.loads(line)["do"] for line in (folder / "orders.jsonl").read_text().splitlines() if line]
    found = [] if orders == ["replace-straggler", "undo"] else [f"orders {orders}"]
    sent = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines() if line]
    verdicts = {event["id"] for event in sent if event["type"] == "warpgauge.verification.v1"}
    made = [event for event in sent if event["type"] == "warpgauge.recommendation.v1"]
    keys = {(event["data"]["kind"], event["data"]["cause"]["findingId"], event["data"]["idempotencyKey"])
            for event in made}  # fmt: skip
    if (len(verdicts), len(keys)) != (1, 3):
        found.append(f"{len(verdicts)} verdicts, {sorted(keys)}")
    book = Book(folder / "book.sqlite")
    for kind, cause, last in (("replace-straggler", KEPT, Phase.EXECUTED), ("undo", KEPT, Phase.EXECUTED),
                              ("replace-straggler", ENDING, Phase.WITHDRAWN)):  # fmt: skip
        named = {event["id"] for event in made
                 if (event["data"]["kind"], event["data"]["cause"]["findingId"]) == (kind, cause.id)}  # fmt: skip
        phases = [ack.phase for name in named for ack in book.acks(name)]
        if phases[-1:] != [last] or len(set(phases)) != len(phases):
            found.append(f"{kind} of {cause.id}: {phases}")
    book.close()
    audits = (verify(path).fault for path in (folder / "audit.jsonl", folder / "state" / "audit.jsonl"))
    return found + [f"audit: {fault}" for fault in audits if fault]


SCENARIO = Scenario("together", run, faults, prepare)
