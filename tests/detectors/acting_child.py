"""Kills the service's acting half with SIGKILL at every boundary, starts it again, and asks the receiver what it saw.

`python acting_child.py FOLDER boundaries|random` prints one JSON line. A receiver, a process of its own, logs each
request on the disk before it answers. One worker after another is forked: number N kills itself at the Nth boundary (an
SQL statement, a write, fsync, rename, before and after each send), then a second one on the same files runs to its end.
When a worker reaches its end unkilled all boundaries were hit. With `random` workers are killed from outside after a
random time, until a hundred of them were.
"""

from __future__ import annotations

import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import time
from collections import Counter
from dataclasses import replace
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

from tests.core.documents import ack, verification
from tests.detectors.test_recommend import NOW, finding, fleet
from tests.detectors.test_webhook import NEW
from warpgauge.analyzer.advisor import Advisor, Step
from warpgauge.analyzer.recommend import FileSink, Outbox, recommend
from warpgauge.analyzer.recommend.book import Book
from warpgauge.analyzer.recommend.desk import Desk
from warpgauge.analyzer.recommend.lease import DirectoryLock
from warpgauge.analyzer.recommend.webhook import Secrets, WebhookSink
from warpgauge.core import atomic
from warpgauge.core.ack import Phase, ack_id
from warpgauge.core.audit import AuditLog, verify
from warpgauge.core.clock import ManualClock
from warpgauge.core.posting import HttpClient
from warpgauge.core.verification import Verdict, verification_id

KILLS = 100  # at random
KEPT, ENDING = finding(number=1, job="a"), finding(number=2, job="b")
HARMLESS = finding(number=3, job="c", confidence=0.5, evidence=finding().evidence[1:])


class Killer:
    """Counts boundaries and ends the process at one of them."""

    def __init__(self, fatal: int) -> None:
        self.seen, self.fatal = 0, fatal

    def __call__(self, *_: object) -> None:
        self.seen += 1
        if self.seen == self.fatal:
            os.kill(os.getpid(), signal.SIGKILL)

    def before(self, call: Any) -> Any:
        def wrapped(*args: Any, **options: Any) -> Any:
            self()
            return call(*args, **options)

        return wrapped

    def around(self, call: Any) -> Any:
        def wrapped(*args: Any, **options: Any) -> Any:
            self()
            answer = call(*args, **options)
            self()
            return answer

        return wrapped

    def connect(self, real: Any) -> Any:
        def wrapped(*args: Any, **options: Any) -> Any:
            connection = real(*args, **options)
            connection.set_trace_callback(self)
            return connection

        return wrapped


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


def forked(folder: Path, url: str, restarts: int, fatal: int = 0) -> int:
    """Run the service in a process of its own; its pid."""
    pid = os.fork()
    if pid:
        return pid
    killer = Killer(fatal)
    sqlite3.connect = killer.connect(sqlite3.connect)
    os.fsync = killer.before(os.fsync)
    atomic.os.fsync = os.fsync
    atomic._write_all = killer.before(atomic._write_all)
    Path.replace = killer.around(Path.replace)  # type: ignore[method-assign]
    HttpClient.request = killer.around(HttpClient.request)  # type: ignore[method-assign]
    try:
        service(folder, url, restarts)
        os._exit(0)
    except BaseException as error:  # noqa: BLE001 - the parent is told
        print(repr(error), file=sys.stderr, flush=True)  # noqa: T201
        os._exit(1)


def ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def receive(log: Path) -> None:
    """Log on the disk, then answer."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            with log.open("ab") as file:
                file.write(json.dumps({"run": self.path, "event": json.loads(body)}).encode() + b"\n")
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    server = HTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)  # noqa: T201 - the parent reads it
    server.serve_forever()


def faults(events: list[dict[str, Any]], folder: Path) -> list[str]:
    """What is wrong with what the receiver saw of one run."""
    found = []
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


def main() -> None:
    if sys.argv[1] == "receive":
        receive(Path(sys.argv[2]))
        return
    root, how = Path(sys.argv[1]), {"boundaries": boundaries, "random": at_random}[sys.argv[2]]
    os.environ["HOOK"] = NEW
    log = root / "received.jsonl"
    log.touch()
    receiver = subprocess.Popen([sys.executable, __file__, "receive", str(log)], stdout=subprocess.PIPE)
    assert receiver.stdout is not None
    port = int(receiver.stdout.readline())
    outcome: dict[str, Any] = {"boundaries": 0, "random": 0, "killed": 0, "faults": []}
    try:
        runs = how(root, port, outcome)
    finally:
        receiver.kill()
        receiver.wait()
    seen: dict[str, list[dict[str, Any]]] = {}
    for line in log.read_text().splitlines():
        document = json.loads(line)
        seen.setdefault(document["run"], []).append(document["event"])
    for name in runs:
        outcome["faults"] += [f"{name}: {fault}" for fault in faults(seen.get(f"/{name}", []), root / name)]
    print(json.dumps(outcome))  # noqa: T201 - the parent reads it


def boundaries(root: Path, port: int, outcome: dict[str, Any]) -> list[str]:
    runs: list[str] = []
    while True:
        number = len(runs) + 1
        name, folder = f"boundary-{number}", root / f"boundary-{number}"
        folder.mkdir()
        runs.append(name)
        code = ended(forked(folder, f"http://127.0.0.1:{port}/{name}", 0, fatal=number))
        if code == 0:
            return runs
        if code != -signal.SIGKILL:
            outcome["faults"].append(f"{name}: ended with {code}")
            return runs
        outcome["boundaries"] += 1
        if ended(forked(folder, f"http://127.0.0.1:{port}/{name}", 1)):
            outcome["faults"].append(f"{name}: did not start again")


def at_random(root: Path, port: int, outcome: dict[str, Any]) -> list[str]:
    """Each run is killed up to three times; a worker that was quicker than its killer counts for nothing."""
    chance, runs = random.Random(7), []
    while outcome["killed"] < KILLS:
        name = f"random-{len(runs)}"
        folder = root / name
        folder.mkdir()
        runs.append(name)
        url = f"http://127.0.0.1:{port}/{name}"
        for restarts in range(3):
            pid = forked(folder, url, restarts)
            time.sleep(chance.uniform(0.0, 0.15))
            os.kill(pid, signal.SIGKILL)
            outcome["killed"] += ended(pid) == -signal.SIGKILL
            outcome["random"] += 1
        if ended(forked(folder, url, 3)):
            outcome["faults"].append(f"{name}: did not start again")
    return runs


if __name__ == "__main__":
    main()
