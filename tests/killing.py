"""Ends a program with SIGKILL at every boundary, or at random points, starts it again, and judges what is left.

A boundary is the moment before anything that outlives the process: a file opened for writing, a write, fsync, rename,
removal, lock, SQL statement that changes something or commits, a connection, a send. They are found by watching the
interpreter (audit events, calls of C functions, SQLite's own trace), not by naming our modules, so that a new one
counts by itself. One worker after another is forked: number N kills itself at its Nth boundary, then a second one on
the same files runs to its end. When a worker reaches its end unkilled all boundaries were hit.
"""

from __future__ import annotations

import gc
import io
import json
import os
import random
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence

KILLS = 100  # at random
TOGETHER = 25  # restarts in one process: a fork, and the memory that it has to copy, costs as much as a restart
_CALLS = frozenset(
    {
        "write",
        "writelines",
        "pwrite",
        "writev",
        "truncate",
        "ftruncate",
        "fsync",
        "fdatasync",
        "send",
        "sendall",
        "sendmsg",
        "sendto",
        "sendfile",
    }
)  # fmt: skip - C functions that raise no audit event
_EVENTS = frozenset({"os.chmod", "os.link", "os.mkdir", "os.remove", "os.rename", "os.rmdir", "os.symlink",
                     "os.truncate", "fcntl.flock", "fcntl.lockf", "socket.connect", "subprocess.Popen"})  # fmt: skip
_WRITING = os.O_WRONLY | os.O_RDWR | os.O_CREAT
_READING_SQL = ("SELECT", "BEGIN", "PRAGMA application_id", "-- ")


Mark = tuple[int, int]
"""A boundary: how many events and statements came before it, itself included, and how many calls since the last one."""


@dataclass
class Killer:
    """Notes boundaries, or ends the process at a `fatal` one; `modules` were on the way to one.

    Calls are costly to watch: where it is known between which events the fatal one lies they are watched only there.
    """

    fatal: Mark | None = None
    events: int = 0
    calls: int = 0
    marks: list[Mark] = field(default_factory=list)
    modules: set[str] = field(default_factory=set)
    is_off: bool = False
    unheard: int = 0  # connections of SQLite whose statements nobody watches

    def watch(self) -> None:
        """From now on, for good: there is no way to take an audit hook back."""
        sqlite3.connect = self._connecting(sqlite3.connect)
        sys.addaudithook(self._event)
        self._look()

    def _connecting(self, connect: Any) -> Any:
        def wrapped(*args: Any, **options: Any) -> Any:
            connection = connect(*args, **options)
            connection.set_trace_callback(self._statement)
            self.unheard -= 1
            return connection

        return wrapped

    def _event(self, event: str, args: tuple[Any, ...]) -> None:
        if event == "sqlite3.connect/handle":
            self.unheard += 1
        elif event in _EVENTS or (event == "open" and isinstance(args[2], int) and args[2] & _WRITING):
            self._pass()

    def _call(self, _frame: Any, event: str, function: Any) -> None:
        if event != "c_call" or function.__name__ not in _CALLS:
            return
        if not isinstance(getattr(function, "__self__", None), (io.StringIO, io.BytesIO)):
            self._pass(is_call=True)

    def _statement(self, text: str) -> None:
        if not text.lstrip().startswith(_READING_SQL):
            self._pass()

    def _look(self) -> None:
        sys.setprofile(self._call if self.fatal is None or self.fatal[0] == self.events else None)

    def _pass(self, *, is_call: bool = False) -> None:
        if self.is_off:
            return
        self.events, self.calls = (self.events, self.calls + 1) if is_call else (self.events + 1, 0)
        if self.fatal == (self.events, self.calls):
            os.kill(os.getpid(), signal.SIGKILL)
        if self.fatal is None:
            self.marks.append((self.events, self.calls))
            frame = sys._getframe(1)
            while frame is not None:
                self.modules.add(str(frame.f_globals.get("__name__")))
                frame = frame.f_back
        elif not is_call:
            self._look()


KILLER = Killer()


@contextmanager
def unwatched() -> Iterator[None]:
    """What the test itself writes is no boundary."""
    KILLER.is_off = True
    yield
    KILLER.is_off = False


@dataclass(frozen=True)
class Scenario:
    """`run(folder, url, restarts)` does the work, or what is left of it; `faults` judges what came of it in the end."""

    name: str
    run: Callable[[Path, str, int], None]
    faults: Callable[[Sequence[Request], Path], list[str]]
    prepare: Callable[[Path], None] = lambda _: None


@dataclass(frozen=True)
class Request:
    """What the receiver was sent."""

    path: str
    event: dict[str, Any]


@dataclass
class Trial:
    """Runs of scenarios below `root`, against the receiver on `port`."""

    root: Path
    port: int
    killed: int = 0
    faults: list[str] = field(default_factory=list)
    runs: dict[str, Scenario] = field(default_factory=dict)

    def begin(self, scenario: Scenario) -> str:
        name = f"{scenario.name}-{len(self.runs) + 1}"
        (self.root / name).mkdir()
        scenario.prepare(self.root / name)
        self.runs[name] = scenario
        return name

    def forked(self, name: str, restarts: int, fatal: Mark | None = None, *, report: Path | None = None) -> int:
        """Run it in a process of its own; its pid."""
        pid = os.fork()
        if pid:
            return pid
        KILLER.fatal = fatal
        if fatal or report:
            KILLER.watch()
        try:
            self.runs[name].run(self.root / name, f"http://127.0.0.1:{self.port}/{name}", restarts)
            sys.setprofile(None)
            assert not KILLER.unheard, "a database was opened past sqlite3.connect"
            if report:
                with unwatched():
                    report.write_text(json.dumps({"marks": KILLER.marks, "modules": sorted(KILLER.modules)}))
            os._exit(0)
        except BaseException as error:  # noqa: BLE001 - the parent is told
            print(repr(error), file=sys.stderr, flush=True)  # noqa: T201
            os._exit(1)

    def restart(self, killed: dict[str, Mark], names: Sequence[str]) -> None:
        """Run what was killed once more, all of it in one process that is not watched."""
        report = self.root / f"{names[0]}.restarts"
        pid = os.fork()
        if not pid:
            for name in names:
                try:
                    self.runs[name].run(self.root / name, f"http://127.0.0.1:{self.port}/{name}", 1)
                except BaseException as error:  # noqa: BLE001 - the parent is told
                    print(repr(error), file=sys.stderr, flush=True)  # noqa: T201
                else:
                    with report.open("a") as file:
                        file.write(f"{name}\n")
            os._exit(0)
        code = ended(pid)
        done = report.read_text().split() if report.exists() else []
        self.faults += [
            f"{name}: did not start again after the boundary {killed[name]} ({code})"
            for name in names
            if name not in done
        ]

    def warm_up(self, scenario: Scenario) -> None:
        """Run it here once: what it computes only once is computed before anything is forked."""
        folder = self.root / f"warm-{scenario.name}"
        folder.mkdir()
        scenario.prepare(folder)
        scenario.run(folder, f"http://127.0.0.1:{self.port}/{folder.name}", 0)

    def judge(self, requests: dict[str, list[Request]]) -> None:
        for name, scenario in self.runs.items():
            found = scenario.faults(requests.get(name, []), self.root / name)
            self.faults += [f"{name}: {fault}" for fault in found]


def reference(trial: Trial, scenario: Scenario) -> dict[str, Any]:
    """The marks of its boundaries, and the modules on the way to one, of a run that comes to its end."""
    report = trial.root / f"{scenario.name}.json"
    if ended(trial.forked(trial.begin(scenario), 0, report=report)):
        trial.faults.append(f"{scenario.name}: does not run to its end")
        return {"marks": [], "modules": []}
    outcome: dict[str, Any] = json.loads(report.read_text())
    return outcome


def boundaries(trial: Trial, scenario: Scenario, part: int, parts: int) -> dict[str, Any]:
    """Hit each once, or every `parts`th one from number `part` on."""
    marks = reference(trial, scenario)["marks"][part::parts]
    killed = {}
    for events, calls in marks:
        name, mark = trial.begin(scenario), (events, calls)
        code = ended(trial.forked(name, 0, fatal=mark))
        if code == -signal.SIGKILL:
            killed[name] = mark
        else:
            trial.faults.append(f"{name}: ended with {code} before the boundary {mark}")
    trial.killed += len(killed)
    names = list(killed)
    for first in range(0, len(names), TOGETHER):
        trial.restart(killed, names[first : first + TOGETHER])
    return {"boundaries": len(marks)}


def modules(trial: Trial, scenarios: Sequence[Scenario]) -> dict[str, Any]:
    """Which modules are on the way to a boundary."""
    return {"modules": sorted({name for one in scenarios for name in reference(trial, one)["modules"]})}


def at_random(trial: Trial, scenarios: Sequence[Scenario]) -> dict[str, Any]:
    """Each run is killed up to three times; a worker that was quicker than its killer counts for nothing."""
    chance = random.Random(7)
    while trial.killed < KILLS and not trial.faults:
        name = trial.begin(scenarios[len(trial.runs) % len(scenarios)])
        for restarts in range(3):
            pid = trial.forked(name, restarts)
            time.sleep(chance.uniform(0.0, 0.08))
            os.kill(pid, signal.SIGKILL)
            trial.killed += ended(pid) == -signal.SIGKILL
        if ended(trial.forked(name, 3)):
            trial.faults.append(f"{name}: did not start again")
    return {"runs": len(trial.runs)}


def ended(pid: int) -> int:
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])


def receive(log: Path) -> None:
    """Log on the disk, then answer, until nobody holds our standard input any more."""

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            body = self.rfile.read(int(self.headers["Content-Length"]))
            try:
                event = json.loads(body)
            except ValueError:
                return  # its sender died within it
            with log.open("ab") as file:
                file.write(json.dumps({"path": self.path, "event": event}).encode() + b"\n")
            self.send_response(204)
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    def end() -> None:
        sys.stdin.read()
        os._exit(0)

    threading.Thread(target=end, daemon=True).start()
    server = HTTPServer(("127.0.0.1", 0), Handler)
    print(server.server_port, flush=True)  # noqa: T201 - the parent reads it
    server.serve_forever()


@contextmanager
def receiver(log: Path) -> Iterator[int]:
    """A receiver in a process of its own, while the block runs; its port."""
    log.touch()
    process = subprocess.Popen([sys.executable, __file__, str(log)], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdout is not None
    try:
        yield int(process.stdout.readline())
    finally:
        process.kill()
        process.wait()


def received(log: Path) -> dict[str, list[Request]]:
    """What it was sent, by run."""
    found: dict[str, list[Request]] = {}
    for line in log.read_text().splitlines():
        document = json.loads(line)
        _, run, *rest = document["path"].split("/")
        found.setdefault(run, []).append(Request("/".join(rest), document["event"]))
    return found


def main(scenarios: Sequence[Scenario], words: Sequence[str]) -> None:
    """`FOLDER random`, `FOLDER modules` or `FOLDER SCENARIO [PART PARTS]`, which is hit at its boundaries.

    Prints one JSON line.
    """
    root, how = Path(words[0]), words[1]
    with receiver(root / "received.jsonl") as port:
        trial = Trial(root, port)
        for one in scenarios:
            trial.warm_up(one)
        gc.collect()
        gc.freeze()  # or each of the forked copies every page that its garbage collector looks at
        if how == "modules":
            outcome = modules(trial, scenarios)
        elif how == "random":
            outcome = at_random(trial, scenarios)
        else:
            part, parts = map(int, words[2:] or (0, 1))
            outcome = boundaries(trial, next(one for one in scenarios if one.name == how), part, parts)
    if not trial.faults:
        trial.judge(received(root / "received.jsonl"))
    print(json.dumps({**outcome, "killed": trial.killed, "faults": trial.faults}))  # noqa: T201 - the parent reads it


if __name__ == "__main__":
    receive(Path(sys.argv[1]))
