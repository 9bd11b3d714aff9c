"""All that the analyzer keeps beside what it sends, killed: after each kill it stands as before an order, or as after.

Each step is an order, a tick or a file, and what was promised is counted when it returns. Whoever starts again must
find the state after the last promise, or after the one step that was under way, read through the doors of a restart.
"""

from __future__ import annotations

import json
import tempfile
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from tests.core.documents import ack
from tests.detectors.test_recommend import NOW, finding, fleet
from tests.killing import Scenario, unwatched
from warpgauge.analyzer.history.folder import Folder
from warpgauge.analyzer.incidents.muting_book import MutingBook
from warpgauge.analyzer.recommend import Outbox, recommend
from warpgauge.analyzer.recommend.book import Book
from warpgauge.analyzer.recommend.desk import Desk
from warpgauge.analyzer.recommend.lease import LEASE_SECONDS, Lease
from warpgauge.analyzer.service.advisor import Advisor, Step
from warpgauge.analyzer.snapshot import Keeper
from warpgauge.analyzer.snapshot.container import Stored, open_container
from warpgauge.core.ack import Phase, ack_id
from warpgauge.core.audit import AuditLog, verify
from warpgauge.core.clock import ManualClock
from warpgauge.web import TokenFile

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from tests.killing import Request

MOVED, REFUSED = finding(number=1, job="a"), finding(number=2, job="b")
HOUR = int(NOW) // 3600
AUDITED = ["pause", "resume", "mode", "approve", "ack", "reject", "undo", "silence", "silence_ended",
           "finding_dismissed", "dismissal_ended"]  # fmt: skip


class Frame:
    """Stands for the window: what the snapshot's file is about is that it is whole."""

    def __init__(self, number: int) -> None:
        self._number = number

    def document(self) -> dict[str, int]:
        return {"number": self._number}

    def stored(self) -> list[Stored]:
        return [Stored.whole("window", np.full(5000, float(self._number)))]


class Kept:
    """The stores, opened as the service opens them."""

    def __init__(self, folder: Path, *, restarts: int) -> None:
        self.clock = ManualClock(NOW)
        self.keeper = Keeper(folder, interval_seconds=60)
        audit = AuditLog(folder / "audit.jsonl", self.clock)
        lease = Lease(folder / "lease.sqlite", ManualClock(NOW + (LEASE_SECONDS + 1) * restarts))
        assert lease.hold()
        self.desk = Desk(Book(folder / "book.sqlite"), self.clock, mode="approve", audit=audit)
        outbox = Outbox(folder, [], self.clock)
        self.advisor = Advisor(outbox, mode="approve", clock=self.clock, desk=self.desk, lease=lease)
        self.mutings = MutingBook(folder, self.clock, audit)
        self.history = Folder(folder / "history")
        self.token = TokenFile(lambda: folder)
        self.token.ensure()

    def tick(self, *findings: Any) -> None:
        plan = recommend(
            findings, (), fleet(nodes=100), self.advisor.ledger, now=NOW, mode=self.desk.mode,
            limits=self.advisor.limits(),
        )  # fmt: skip
        self.advisor.send(Step(plan))

    def about(self, of: Any) -> Any:
        return next(one for one in self.advisor.open if one.cause.finding_id == of.id and one.undoes is None)

    def moved(self) -> None:
        one = self.about(MOVED)
        fields = {"recommendation_id": one.id, "idempotency_key": one.idempotency_key}
        self.desk.ack(replace(ack(Phase.EXECUTED), id=ack_id(one.id, "slurm", 1, Phase.EXECUTED), **fields))

    def add(self, number: int) -> None:
        self.history.add(HOUR + number, (HOUR + number) * 3_600_000, number, memoryview(b"rows" * number))

    def close(self) -> None:
        self.advisor.close()


STEPS: tuple[Callable[[Kept], Any], ...] = (
    lambda kept: kept.tick(MOVED, REFUSED),
    lambda kept: kept.desk.pause("ann"),
    lambda kept: kept.desk.resume("ann"),
    lambda kept: kept.desk.set_mode("auto", "ann"),
    lambda kept: kept.desk.set_mode("approve", "ann"),
    lambda kept: kept.desk.approve(kept.about(MOVED), "ann"),
    lambda kept: kept.moved(),
    lambda kept: kept.desk.reject(kept.about(REFUSED), "bob"),
    lambda kept: kept.advisor.undo(kept.about(MOVED).id, "bob"),
    lambda kept: kept.tick(MOVED, REFUSED),
    lambda kept: kept.mutings.silence({"job_id": "a", "seconds": 3600, "reason": "test run", "by": "ann"}),
    lambda kept: kept.mutings.end(kept.mutings.mutings.silences[0].id, by="ann"),
    lambda kept: kept.mutings.dismiss(MOVED, {"reason": "known", "by": "ann"}),
    lambda kept: kept.mutings.hear_again(kept.mutings.mutings.dismissals[0].id, by="ann"),
    lambda kept: kept.keeper.save(Frame(1)),
    lambda kept: kept.keeper.save(Frame(2)),
    lambda kept: kept.add(1),
    lambda kept: kept.add(2),
    lambda kept: kept.history.drop_older((HOUR + 2) * 3600),
    lambda kept: kept.close(),
)


def view(kept: Kept, folder: Path) -> dict[str, Any]:
    """What stands, in words that no random name and no time of a restart is in."""
    desk, book = kept.desk, kept.desk.book
    mutings = kept.mutings.mutings
    return {
        "paused": desk.paused,
        "mode": desk.mode,
        "decisions": {name: (one.is_approved, one.who) for name, one in book.decisions().items()},
        "open": {key: (str(one.kind), one.id) for key, one in book.ledger().open.items()},
        "asked": [(one.id, one.approval.by) for one in book.asked()],
        "acted": sorted(book.acted_on()),
        "unverified": [one.recommendation.id for one in book.unverified()],
        "withdrawn": [event["id"] for event in book.withdrawn(0.0)],
        "silences": [(one.job_id, one.reason) for one in mutings.silences],
        "dismissals": [(one.place, one.reason) for one in mutings.dismissals],
        "snapshot": snapshot(kept.keeper.path),
        "history": [(one.rows, one.path.read_bytes().decode()) for one in kept.history.files],
        "strays": sorted(path.name for path in (folder / "history").rglob(".*")),
    }


def snapshot(path: Path) -> int | None:
    try:
        with open_container(path) as reader:
            assert set(reader.array("window")) == {float(reader.content["number"])}
            return int(reader.content["number"])
    except FileNotFoundError:
        return None


@cache
def expected() -> tuple[dict[str, Any], ...]:
    """What stands before the first step, and after each."""
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        kept = Kept(folder, restarts=0)
        views = [view(kept, folder)]
        for step in STEPS[:-1]:
            step(kept)
            views.append(view(kept, folder))
        kept.close()
    return (*views, views[-1])


def run(folder: Path, _url: str, restarts: int) -> None:
    promises = folder / "promised"
    kept, number = Kept(folder, restarts=restarts), promises.stat().st_size if promises.exists() else 0
    if restarts:
        found, known = view(kept, folder), expected()[number : number + 2]
        assert found in known, (number, found, known)
        number += found != known[0]
    for step in STEPS[number:]:
        step(kept)
        with unwatched(), promises.open("ab") as file:
            file.write(b".")


def faults(_: Sequence[Request], folder: Path) -> list[str]:
    """Of what stands in the end."""
    kept = Kept(folder, restarts=9)
    found, audit = view(kept, folder), verify(folder / "audit.jsonl")
    kept.close()
    what = {json.loads(line)["what"] for line in (folder / "audit.jsonl").read_text().splitlines()}
    missing = sorted(set(AUDITED) - what)
    checks = (
        (found != expected()[-1], f"in the end {found}"),
        (audit.fault is not None, f"audit: {audit.fault}"),
        (bool(missing), f"never audited: {missing}"),
    )
    return [fault for is_one, fault in checks if is_one]


SCENARIO = Scenario("kept", run, faults)
