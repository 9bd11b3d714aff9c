"""The scenarios of the service's acting half that are killed; `python acting_child.py FOLDER random|NAME` runs them.

This one: two ticks with all that can happen between them, to a webhook whose receiver logs what it is sent.
"""

from __future__ import annotations

import json
import os
import sys
from collections import Counter
from dataclasses import replace
from typing import TYPE_CHECKING, Any

from tests.core.documents import ack, verification
from tests.detectors import kept_state
from tests.detectors.test_recommend import NOW, finding, fleet
from tests.detectors.test_webhook import NEW
from tests.executors import following, together
from tests.killing import Request, Scenario, main
from warpgauge.analyzer.recommend import FileSink, Outbox, recommend
from warpgauge.analyzer.recommend.book import Book
from warpgauge.analyzer.recommend.desk import Desk
from warpgauge.analyzer.recommend.lease import DirectoryLock
from warpgauge.analyzer.recommend.webhook import Secrets, WebhookSink
from warpgauge.analyzer.service.advisor import Advisor, Step
from warpgauge.core.ack import Phase, ack_id
from warpgauge.core.audit import AuditLog, verify
from warpgauge.core.clock import ManualClock
from warpgauge.core.verification import Verdict, verification_id

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

KEPT, ENDING = finding(number=1, job="a"), finding(number=2, job="b")
HARMLESS = finding(number=3, job="c", confidence=0.5, evidence=finding().evidence[1:])


def service(folder: Path, url: str, restarts: int) -> None:
    """Two ticks with all that can happen between them; on files of an earlier run it goes on from these."""
    clock = ManualClock(NOW + 30 * restarts)
    lock = DirectoryLock(folder)
    assert lock.hold()
    desk = Desk(Book(folder / "book.sqlite"), clock, mode="approve", audit=AuditLog(folder / "audit.jsonl", clock))
    secrets = Secrets(variable="HOOK")
    sinks = [FileSink(folder / "out.jsonl"), WebhookSink("webhook", url, secrets, clock=clock)]
    advisor = Advisor(Outbox(folder, sinks, clock), mode="approve", clock=clock, desk=desk, lease=lock)
    tick(advisor, clock, KEPT, ENDING, HARMLESS)
    advisor.deliver()
    for one in advisor.open:
        if one.kind.is_disruptive:
            desk.approve(one, "ann")
    advisor.flush()
    done = next(one for one in advisor.open if one.cause.finding_id == KEPT.id)
    fields = {"recommendation_id": done.id, "idempotency_key": done.idempotency_key, "reason": None}
    desk.ack(replace(ack(Phase.EXECUTED), id=ack_id(done.id, "slurm", 1, Phase.EXECUTED), **fields))
    clock.advance(10)
    worse = replace(verification(Verdict.WORSE), id=verification_id(done.id), **fields | {"reason": "slower"})
    pending = [one.recommendation.id for one in desk.book.unverified()]
    tick(advisor, clock, KEPT, HARMLESS, verifications=((done, worse),) if done.id in pending else ())
    advisor.deliver()
    advisor.close()


def tick(advisor: Advisor, clock: ManualClock, *findings: Any, verifications: Any = ()) -> None:
    plan = recommend(
        findings, (), fleet(nodes=100), advisor.ledger, now=clock.now(), mode=advisor.desk.mode,
        limits=advisor.limits(),
    )  # fmt: skip
    advisor.send(Step(plan, verifications))


def faults(requests: Sequence[Request], folder: Path) -> list[str]:
    """What is wrong with what the receiver saw of one run."""
    found, events = [], [one.event for one in requests]
    kinds = Counter(kind for kind, _ in {(kind_of(event), event["id"]) for event in events})
    wanted = {"replace-straggler": 2, "inspect-hardware": 1, "withdrawn": 1, "verification": 1}
    if kinds != wanted:
        found.append(f"the receiver saw {dict(kinds)}")
    keys: dict[str, set[str]] = {}
    for event in events:
        if event["type"] == "warpgauge.recommendation.v1":
            keys.setdefault(f"{event['data']['cause']['findingId']}", set()).add(event["data"]["idempotencyKey"])
    found += [f"{cause} under {len(under)} keys" for cause, under in keys.items() if len(under) != 1]
    approved = {event["id"] for event in events if event["data"].get("approval", {}).get("by")}
    if len(approved) != 2:
        found.append(f"{len(approved)} approvals reached the receiver")
    order = [event["type"] for event in events if event["data"].get("conflictGroup") == "job/prod/b"]
    if order != sorted(order):  # "...recommendation.v1" < "...recommendation.withdrawn.v1"
        found.append(f"order within a group: {order}")
    written = [json.loads(line) for line in (folder / "out.jsonl").read_text().splitlines()]
    undos = {event["id"] for event in written if event["data"].get("kind") == "undo"}
    if len(undos) != 1:
        found.append(f"{len(undos)} undos")
    audit = verify(folder / "audit.jsonl")
    what = Counter(json.loads(line)["what"] for line in (folder / "audit.jsonl").read_text().splitlines())
    if audit.fault or what["approve"] < 2 or not what["ack"] or not what["verification"]:
        found.append(f"audit: {audit.fault} {dict(what)}")
    return found


def kind_of(event: dict[str, Any]) -> str:
    kind = event["type"].removeprefix("warpgauge.").removesuffix(".v1")
    return event["data"]["kind"] if kind == "recommendation" else kind.removeprefix("recommendation.")


SCENARIOS = (Scenario("acting", service, faults), kept_state.SCENARIO, following.SCENARIO, together.SCENARIO)

if __name__ == "__main__":
    os.environ["HOOK"] = NEW
    kept_state.expected()  # once, before anything is forked
    main(SCENARIOS, sys.argv[1:])
