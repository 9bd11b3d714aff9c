"""An executor's process, killed while it follows, waits, takes back and answers: one line an order, and every ack.

Its inbox is a file, its core another one, and its acks go to a file and over HTTP to a receiver that logs them.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import TYPE_CHECKING, Any

from tests.executors.executor_contract import NOW, STEPS, advice, undo_of
from tests.killing import Scenario, unwatched
from warpgauge.core.ack import Phase
from warpgauge.core.audit import verify
from warpgauge.core.clock import ManualClock
from warpgauge.core.posting import HttpClient
from warpgauge.core.recommendation import Approval, RecommendationKind
from warpgauge.core.withdrawal import WithdrawalReason, withdrawal_of
from warpgauge.executors import FileExecutor
from warpgauge.executors.inbox import ApiAcks, FileAcks, FileInbox
from warpgauge.executors.running import Process
from warpgauge.executors.yarn.exclusion import Exclusion, mark_of

if TYPE_CHECKING:
    from collections.abc import Sequence
    from pathlib import Path

    from tests.killing import Request
    from warpgauge.executors import Order

DONE = advice()
WAITING = advice(RecommendationKind.DRAIN, approval=Approval(required=True))
TAKEN_BACK = withdrawal_of(WAITING, WithdrawalReason.FINDING_ENDED, NOW)
UNDO = undo_of(DONE)
BY_HAND = "other # by hand\n"
WANTED = {DONE.id: STEPS, UNDO.id: STEPS, WAITING.id: [*STEPS[:3], Phase.WITHDRAWN]}


class Both:
    """Acks in a file and at a receiver."""

    name = "both"
    batch = 1

    def __init__(self, folder: Path, url: str, clock: ManualClock) -> None:
        self._file, self._api = FileAcks(folder / "acks.jsonl"), ApiAcks(url, HttpClient(), lambda: b"t", clock)

    def deliver(self, documents: Sequence[bytes]) -> None:
        self._file.deliver(documents)
        self._api.deliver(documents)


class Excluding(FileExecutor):
    """Writes its line, and YARN's file of hosts beside it."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder / "orders.jsonl")
        self._exclusion = Exclusion(folder / "exclude")

    def execute(self, order: Order) -> Any:
        if order.is_undo:
            self._exclusion.remove("n1")
        elif "n1" not in self._exclusion.hosts():
            self._exclusion.add("n1", mark_of(order.advice.id))
        return super().execute(order)


def run(folder: Path, url: str, restarts: int) -> None:
    """Three rounds, each with what has come by then; what was there before a crash is there still."""
    clock = ManualClock(NOW + restarts)
    inbox, acks = FileInbox(folder / "in.jsonl"), Both(folder, url, clock)
    process = Process(Excluding(folder), inbox, acks, folder / "state", clock=clock, dry_run=False)
    for documents in ((DONE, WAITING), (UNDO, TAKEN_BACK), ()):
        come(folder / "in.jsonl", [one.to_event() for one in documents])
        process.step()
    process.close()


def prepare(folder: Path) -> None:
    (folder / "state").mkdir()
    (folder / "exclude").write_text(BY_HAND)


def come(path: Path, events: Sequence[Any]) -> None:
    """Append what is not there yet, in one piece."""
    with unwatched(), path.open("ab+", buffering=0) as file:
        file.seek(0)
        there = file.read().splitlines()
        lines = [line for event in events if (line := json.dumps(event).encode()) not in there]
        file.write(b"".join(line + b"\n" for line in lines))


def faults(requests: Sequence[Request], folder: Path) -> list[str]:
    """Of what was ordered, answered, kept and written down."""
    orders = [json.loads(line) for line in (folder / "orders.jsonl").read_text().splitlines() if line]
    found = [] if [one["do"] for one in orders] == ["cordon", "undo"] else [f"orders {orders}"]
    filed = [json.loads(line) for line in (folder / "acks.jsonl").read_text().splitlines() if line]
    for where, events in (("receiver", [one.event for one in requests]), ("file", filed)):
        for name, phases in WANTED.items():
            heard = [event for event in events if event["data"]["recommendationId"] == name]
            if list(dict.fromkeys(event["data"]["phase"] for event in heard)) != phases:
                found.append(f"{where}: {name} {[event['data']['phase'] for event in heard]}")
            ids = {(event["data"]["phase"], event["id"]) for event in heard}
            found += [f"{where}: {name} {ids}"] if len(ids) != len(phases) else []
    audit = verify(folder / "state" / "audit.jsonl")
    what = Counter(json.loads(line)["what"] for line in (folder / "state" / "audit.jsonl").read_text().splitlines())
    if audit.fault or what["executed"] < 2 or not what["withdrawn"]:
        found.append(f"audit: {audit.fault} {dict(what)}")
    if (folder / "exclude").read_text() != BY_HAND:
        found.append("the file of hosts is not as it was")
    return found


SCENARIO = Scenario("following", run, faults, prepare)
