"""Four ranks in lockstep on this machine, and a real fault after a while: what the live analyzer says about it.

    python lockstep.py --fault hog --onset 20 --duration 20 --seconds 60

Faults: `hog` (a program beside the last rank, on its core), `loader` (its storage takes 60 ms longer per batch),
`shard` (each step one rank, by lot, gets five times the rows), `link` (what it sends arrives 60 ms later). Needs no
GPU, and nothing but the standard library and warpgauge; where torch is installed gradients go through gloo (never with
`link`, with `--orders` only if `--backend gloo` asks for it). JSON lines on standard output say when a fault began and
ended and, each second and rank, how the steps went.
"""

from __future__ import annotations

import argparse
import contextlib
import json
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from exchange import Hub, Relay, has_torch
from rank import WIDTH, rows_in

if TYPE_CHECKING:
    from collections.abc import Iterator

HERE: Final = Path(__file__).parent
RANKS: Final = 4
VICTIM: Final = RANKS - 1
WORK_SECONDS: Final = 0.020  # on a CPU per step
SLOW_SECONDS: Final = 0.060  # that a slow loader or link takes longer
FAULTS: Final = ("hog", "loader", "shard", "link")


def say(**words: Any) -> None:  # noqa: ANN401 - JSON
    """A JSON line."""
    print(json.dumps(words), flush=True)


def cores() -> tuple[int, int]:
    """The core of the victim, which it has for itself, and that of the others."""
    usable = sorted(os.sched_getaffinity(0))
    return usable[-1], usable[0]


@dataclass(slots=True)
class Job:
    """The ranks of the job, and the fault that is switched on and off."""

    name: str
    backend: str
    agent_socket: str | None
    victim_core: int
    processes: list[subprocess.Popen[str]] = field(default_factory=list)
    link_seconds: float = 0.0
    hog: subprocess.Popen[bytes] | None = None

    def start(self) -> None:
        """Start all ranks, the victim on a core of its own."""
        rows = rows_in(WORK_SECONDS)
        if self.backend == "gloo":
            hub_port = victim_port = free_port()
        else:
            hub_port = Hub(RANKS, WIDTH).port
            victim_port = Relay(hub_port, lambda: self.link_seconds, time.sleep).port
        _, shared = cores()
        for rank in range(RANKS):
            is_victim = rank == VICTIM
            command = [
                *(sys.executable, str(HERE / "rank.py"), f"--rank={rank}", f"--ranks={RANKS}", f"--rows={rows}"),
                *(f"--turn={0 if is_victim else rank}", f"--port={victim_port if is_victim else hub_port}"),
                *(f"--backend={self.backend}", f"--job={self.name}"),
                *((f"--socket={self.agent_socket}",) if self.agent_socket else ()),
            ]
            process = subprocess.Popen(  # noqa: S603 - our own file
                command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
            )
            os.sched_setaffinity(process.pid, {self.victim_core if is_victim else shared})
            self.processes.append(process)
            threading.Thread(target=pass_on, args=(process,), daemon=True).start()

    def order(self, rank: int, **orders: float | bool) -> None:
        """Tell a rank something."""
        stdin = self.processes[rank].stdin
        if stdin is not None:
            stdin.write(json.dumps(orders) + "\n")
            stdin.flush()

    def can_have(self, kind: str) -> bool:
        """Whether this fault can be made: gloo's own connections pass through no relay."""
        return kind != "link" or self.backend == "socket"

    @contextlib.contextmanager
    def fault(self, kind: str) -> Iterator[int | None]:
        """The fault, for as long as the block lasts; gives the pid of the hog."""
        if kind == "hog":
            self.hog = subprocess.Popen(  # noqa: S603 - our own file
                [sys.executable, str(HERE / "hog.py")], start_new_session=True
            )
            share_alike(self.hog.pid)
            os.sched_setaffinity(self.hog.pid, {self.victim_core})
        self._switch(kind, is_on=True)
        try:
            yield self.hog.pid if self.hog else None
        finally:
            self._switch(kind, is_on=False)
            self._end_hog()

    def _switch(self, kind: str, *, is_on: bool) -> None:
        if kind == "link":
            self.link_seconds = SLOW_SECONDS if is_on else 0.0
        elif kind == "loader":
            self.order(VICTIM, loader_seconds=SLOW_SECONDS if is_on else 0.0)
        elif kind == "shard":
            for rank in range(RANKS):
                self.order(rank, uneven=is_on)

    def _end_hog(self) -> None:
        if self.hog is not None:
            self.hog.kill()
            self.hog.wait()
            self.hog = None

    def stop(self) -> None:
        """End all ranks; they go when their standard input closes."""
        self._end_hog()
        for process in self.processes:
            process.kill()
            process.wait()


def share_alike(pid: int) -> None:
    """Let another session have the CPU on the same terms as ours, where the kernel groups tasks by session.

    The hog stands for somebody else's work, so it is a session of its own; in ours it would take the CPU time of all
    ranks, those on the other core included.
    """
    with contextlib.suppress(OSError):
        nice = Path("/proc/self/autogroup").read_text(encoding="ascii").split()[-1]
        Path(f"/proc/{pid}/autogroup").write_text(nice, encoding="ascii")


def pass_on(process: subprocess.Popen[str]) -> None:
    """Each line of a rank as our own."""
    for line in process.stdout or ():
        sys.stdout.write(line)
        sys.stdout.flush()


def free_port() -> int:
    """A port that nobody listens on now."""
    with socket.create_server(("127.0.0.1", 0)) as probe:
        port: int = probe.getsockname()[1]
        return port


@contextlib.contextmanager
def told(job: Job, kind: str) -> Iterator[None]:
    """A fault that says when it began and ended."""
    with job.fault(kind) as pid:
        say(event="onset", fault=kind, pid=pid, time=time.time())
        yield
    say(event="end", fault=kind, time=time.time())


def run(job: Job, arguments: argparse.Namespace) -> None:
    """Train, with the fault in the middle."""
    time.sleep(arguments.onset)
    if arguments.fault:
        with told(job, arguments.fault):
            time.sleep(arguments.duration)
    time.sleep(max(arguments.seconds - arguments.onset - arguments.duration, 0))


def obey(job: Job) -> None:
    """Train with the faults that standard input names, a line each; an empty line ends one."""
    with contextlib.ExitStack() as present:
        for line in sys.stdin:
            present.close()
            fault = line.strip()
            if fault in FAULTS and job.can_have(fault):
                present.enter_context(told(job, fault))
            elif fault:
                say(event="refused", fault=fault, time=time.time())


def backend_for(arguments: argparse.Namespace) -> str:
    """The way asked for; where none is, gloo if torch is there and no link will have to be slow."""
    if arguments.backend != "auto":
        return str(arguments.backend)
    can_be_slow = arguments.fault == "link" or arguments.orders
    return "gloo" if has_torch() and not can_be_slow else "socket"


def main() -> None:
    """Read the arguments, run the job, leave nothing running."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--fault", choices=FAULTS)
    parser.add_argument("--onset", type=float, default=20.0, help="seconds until the fault begins")
    parser.add_argument("--duration", type=float, default=20.0, help="seconds that it lasts")
    parser.add_argument("--seconds", type=float, default=60.0, help="how long to train in all")
    parser.add_argument("--orders", action="store_true", help="take faults from standard input, until it closes")
    parser.add_argument("--job", default="lockstep")
    parser.add_argument("--backend", choices=("auto", "gloo", "socket"), default="auto")
    parser.add_argument("--socket", help="where the agent listens, if not at its usual place")
    arguments = parser.parse_args()
    if not hasattr(os, "sched_setaffinity"):
        parser.error("this system cannot pin a process to a CPU")
    job = Job(arguments.job, backend_for(arguments), arguments.socket, victim_core=cores()[0])
    if arguments.fault and not job.can_have(arguments.fault):
        parser.error(f"gloo has no link that could be delayed: --fault {arguments.fault} needs --backend socket")
    try:
        job.start()
        say(event="started", job=job.name, backend=job.backend, ranks=RANKS, victim=VICTIM, time=time.time())
        if arguments.orders:
            obey(job)
        else:
            run(job, arguments)
    except KeyboardInterrupt:
        pass
    finally:
        job.stop()


if __name__ == "__main__":
    main()
