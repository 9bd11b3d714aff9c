"""How long after `warpgauge pause` an executor still acts: a real analyzer, a real executor, orders under way.

A data directory is made in which a person executed many recommendations and may take each back. `warpgauge analyzer` is
started on it, and `warpgauge executor --core file`, which writes each order as a line. In every try a person asks for
twenty undos over the API, and while the executor writes them, at a random moment, for a pause: over the API, or with
the verb. The orders file is looked at each millisecond until well after; then the pause is ended, and all must come.
`--tries N` (50), `--short` does three, `--json` prints one object.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import random
import subprocess
import sys
import tempfile
import threading
import time
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from typing import TYPE_CHECKING, Any

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from tests.detectors.test_recommendation_document import example
from tests.real_servers import free_port, get_json, wait_until
from warpgauge.analyzer.recommend.book import Book
from warpgauge.analyzer.recommend.desk import Desk
from warpgauge.analyzer.recommend.ledger import Ledger
from warpgauge.analyzer.service.advisor import BOOK_FILE
from warpgauge.core.ack import Ack, Phase, ack_id
from warpgauge.core.clock import SystemClock
from warpgauge.core.posting import HttpClient
from warpgauge.core.recommendation import Producer, Reversible, idempotency_key, recommendation_id
from warpgauge.core.table import table
from warpgauge.executors import Journal
from warpgauge.executors.journal import Entry
from warpgauge.web import TokenFile

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warpgauge.core.recommendation import Recommendation

ORDERS = 20  # of one try
WATCHED_SECONDS = 2.0  # after the pause returned: four looks of the executor
WAIT_SECONDS = 30.0


@dataclass
class Scene:
    """A data directory, and where its analyzer answers."""

    home: Path
    url: str

    def post(self, path: str) -> None:
        """Give an order over the API; SystemExit if it is refused."""
        token = TokenFile(lambda: self.home).read().decode()
        headers = {"Authorization": f"Bearer {token}", "Content-Type": "application/json"}
        answer = HttpClient().request("POST", f"{self.url}/api/v1/{path}", body=b'{"by": "ann"}', headers=headers)
        if not answer.is_ok:
            message = f"{path}: HTTP {answer.status} {answer.body.decode()}"
            raise SystemExit(message)

    def pause_by_verb(self) -> None:
        """Give the order as a person would."""
        command = [sys.executable, "-m", "warpgauge", "pause", f"--analyzer={self.url}"]
        subprocess.run([*command, f"--token-file={self.home / 'operator.token'}"], check=True, capture_output=True)

    def count(self) -> int:
        """Orders that were written so far."""
        with contextlib.suppress(FileNotFoundError):
            return (self.home / "orders.jsonl").read_bytes().count(b"\n")
        return 0


def seed(home: Path, count: int) -> list[str]:
    """Recommendations that were executed; their ids."""
    clock, executor = SystemClock(), Producer(name="file", version="1")
    desk = Desk(Book(home / BOOK_FILE), clock, mode="approve")
    (home / "executor").mkdir()
    made = [advice(number, clock.now()) for number in range(count)]
    desk.book.step(Ledger(), made, [], now=clock.now())
    with Journal(home / "executor" / "journal.sqlite") as journal:
        for one in made:
            name = ack_id(one.id, "file", 1, Phase.EXECUTED)
            desk.ack(Ack(id=name, recommendation_id=one.id, idempotency_key=one.idempotency_key, executor=executor,
                         attempt=1, phase=Phase.EXECUTED, at=clock.now()))  # fmt: skip
            journal.put(Entry(recommendation=one, phase=Phase.EXECUTED), clock.now())
    desk.book.close()
    return [one.id for one in made]


def advice(number: int, now: float) -> Recommendation:
    target = tuple(replace(one, name=f"GPU-{number}") for one in example().target)
    key = idempotency_key(example().kind, target, str(number), now)
    return replace(example(), id=recommendation_id(key), idempotency_key=key, target=target, mode="approve",
                   reversible=Reversible.YES, undo="take it back", created=now, not_before=now,
                   expires_at=now + 86_400.0, simulated=False)  # fmt: skip


@contextlib.contextmanager
def running(home: Path) -> Iterator[Scene]:
    port = free_port()
    scene = Scene(home, f"http://127.0.0.1:{port}")
    environ = os.environ | {"WARPGAUGE_ANALYZER_MODE": "approve", "WARPGAUGE_ANALYZER_INTERVAL_SECONDS": "1"}
    commands = (
        ["analyzer", f"--data-directory={home}", f"--web.listen-address=127.0.0.1:{port}"],
        ["executor", "--core=file", f"--orders={home / 'orders.jsonl'}", f"--analyzer={scene.url}",
         f"--token-file={home / 'operator.token'}", f"--state-directory={home / 'executor'}"],
    )  # fmt: skip
    processes = []
    try:
        for words in commands:
            with (home / f"{words[0]}.log").open("wb") as log:
                command = [sys.executable, "-m", "warpgauge", *words]
                processes.append(subprocess.Popen(command, stdout=log, stderr=log, env=environ, cwd=home))
            wait_until(lambda: is_ticking(scene), what="the analyzer ticks", seconds=WAIT_SECONDS)
        yield scene
    finally:
        for process in processes:
            process.terminate()
            process.wait()


def is_ticking(scene: Scene) -> bool:
    with contextlib.suppress(OSError, ValueError):
        return isinstance(get_json(f"{scene.url}/api/v1/acting"), dict)
    return False


def one_try(scene: Scene, ids: list[str], wait_seconds: float, *, by_verb: bool) -> dict[str, float]:
    """Seconds from the pause's start and from its return to the last order, and how many came before and after."""
    before = scene.count()
    for name in ids:
        scene.post(f"recommendations/{name}/undo")
    wait_until(lambda: scene.count() > before, what="the first order", seconds=WAIT_SECONDS)
    time.sleep(wait_seconds)
    last, over = [time.perf_counter()], threading.Event()
    watcher = threading.Thread(target=watch, args=(scene, last, over))
    watcher.start()
    began = time.perf_counter()
    scene.pause_by_verb() if by_verb else scene.post("pause")
    returned, by_then = time.perf_counter(), scene.count()
    time.sleep(WATCHED_SECONDS)
    over.set()
    watcher.join()
    held = scene.count()
    scene.post("resume")
    wait_until(lambda: scene.count() == before + len(ids), what="the rest of the orders", seconds=WAIT_SECONDS)
    return {"order_seconds": returned - began, "since_start": last[0] - began, "since_return": last[0] - returned,
            "after_return": held - by_then, "held_back": before + len(ids) - held}  # fmt: skip


def watch(scene: Scene, last: list[float], over: threading.Event) -> None:
    known = scene.count()
    while not over.wait(0.001):
        if (now := scene.count()) != known:
            known, last[0] = now, time.perf_counter()


def measure(tries: int, *, by_verb: bool) -> dict[str, Any]:
    chance = random.Random(1)
    with tempfile.TemporaryDirectory() as name:
        home = Path(name)
        ids = seed(home, tries * ORDERS)
        with running(home) as scene:
            found = [
                one_try(scene, ids[at : at + ORDERS], chance.uniform(0.0, 0.3), by_verb=by_verb)
                for at in range(0, len(ids), ORDERS)
            ]
    caught = [one for one in found if one["held_back"]]
    return {
        "pause": "verb" if by_verb else "API",
        "tries": tries,
        "with_orders_left": len(caught),
        "order_ms_median": ms(median(one["order_seconds"] for one in found)),
        "since_start_ms_worst": ms(max(one["since_start"] for one in found)),
        "since_return_ms_worst": ms(max(max(one["since_return"], 0.0) for one in found)),
        "orders_after_return_worst": max(int(one["after_return"]) for one in found),
    }


def ms(seconds: float) -> float:
    return round(1000 * seconds, 1)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--tries", type=int, default=50)
    parser.add_argument("--short", action="store_true")
    parser.add_argument("--json", action="store_true")
    args = parser.parse_args()
    figures = [measure(3 if args.short else args.tries, by_verb=by_verb) for by_verb in (False, True)]
    if args.json:
        print("\n".join(map(json.dumps, figures)))
    else:
        print(table(tuple(figures[0]), [tuple(map(str, figure.values())) for figure in figures]))


if __name__ == "__main__":
    main()
