"""A small site around the real Slurm cluster: an agent for each node, an analyzer, an executor, and a sick node.

All nodes are one machine, so each agent is told its node by the service discovery and has a socket of its own for the
steps of the ranks there. A sick node stops and wakes a process that runs on it, as throttling would: its ranks know
nothing of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import dataclass
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

from tests.real_servers import STOP_SECONDS, free_port, get_json
from tests.slurm_cluster import NODES

if TYPE_CHECKING:
    from collections.abc import Iterator

    from tests.real_servers import Servers
    from tests.slurm_cluster import SlurmCluster

FOLDER = Path(__file__).parent
LOCKSTEP = FOLDER / "lockstep.py"
RUN_SECONDS, STOPPED_SECONDS = 0.02, 0.1
SETTINGS = {
    "WARPGAUGE_ANALYZER_MODE": "approve",
    "WARPGAUGE_ANALYZER_INTERVAL_SECONDS": "2",
    "WARPGAUGE_ANALYZER_AGENT_SCRAPE_INTERVAL_SECONDS": "1",
    "WARPGAUGE_ACTING_SCHEDULER": "slurm",
}


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


@dataclass
class Site:
    """`analyzer` is its base URL."""

    cluster: SlurmCluster
    home: Path
    analyzer: str = ""

    @property
    def data(self) -> Path:
        """The analyzer's data directory."""
        return self.home / "data"

    def findings(self, job: int) -> list[dict[str, Any]]:
        """What is wrong with a job now."""
        found = get_json(f"{self.analyzer}/api/v1/findings")["findings"]
        return [one for one in found if "ended" not in one and one["scope"].get("job_id") == str(job)]

    def recommendations(self) -> list[dict[str, Any]]:
        """What is recommended now, without the envelopes."""
        return [one["data"] for one in get_json(f"{self.analyzer}/api/v1/recommendations")["recommendations"]]

    def audited(self, what: str, recommendation: str) -> list[dict[str, Any]]:
        """Acks or verifications of a recommendation, as the analyzer wrote them down."""
        lines = [json.loads(line) for line in (self.data / "audit.jsonl").read_text().splitlines()]
        about = [line["about"] for line in lines if line["what"] == what]
        return [one for one in about if one.get("recommendationId") == recommendation]

    def phases(self, recommendation: str) -> list[str]:
        """How far executors said they had come."""
        return [one["phase"] for one in self.audited("ack", recommendation)]

    def submit(self, *words: str) -> int:
        """A lockstep job whose ranks find the socket of their node."""
        step = f'export WARPGAUGE_TRAINING_SOCKET={self.home}/$SLURMD_NODENAME.sock; exec {sys.executable} "$@"'
        return self.cluster.submit(*words, script=f"exec srun sh -c '{step}' sh {LOCKSTEP} {free_port()}")

    def order(self, verb: str, *words: str) -> str:
        """One of the verbs that speak to the analyzer; what it printed."""
        door = (f"--analyzer={self.analyzer}", f"--token-file={self.data / 'operator.token'}")
        command = [sys.executable, "-m", "warpgauge", verb, *words, *door]
        done = subprocess.run(command, capture_output=True, text=True, check=False, timeout=60, cwd=self.home)
        assert done.returncode == 0, done.stderr
        return done.stdout

    @contextlib.contextmanager
    def executor(self, *flags: str) -> Iterator[None]:
        """`warpgauge executor --core slurm` while the block runs, with a journal for each set of flags."""
        state = self.home / f"executor{''.join(flags)}"
        command = [
            sys.executable, "-m", "warpgauge", "executor", "--core=slurm", f"--analyzer={self.analyzer}",
            f"--token-file={self.data / 'operator.token'}", f"--state-directory={state}", *flags,
        ]  # fmt: skip
        with (self.home / f"{state.name}.log").open("wb") as log:
            process = subprocess.Popen(command, stdout=log, stderr=log, env=self.cluster.environ, cwd=self.home)
        try:
            yield
            assert process.poll() is None, (self.home / f"{state.name}.log").read_text()
        finally:
            process.terminate()
            process.wait(STOP_SECONDS * 4)


@contextlib.contextmanager
def site(cluster: SlurmCluster, servers: Servers, home: Path) -> Iterator[Site]:
    """Agents and the analyzer, as long as the block runs."""
    made = Site(cluster, home)
    made.data.mkdir(parents=True)
    groups = [{"targets": [_agent(servers, home, node)], "labels": {"node": node}} for node in NODES]
    (home / "sd.json").write_text(json.dumps(groups))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(home))) as pages:
        thread = threading.Thread(target=pages.serve_forever)
        thread.start()
        try:
            made.analyzer = _analyzer(servers, made, f"http://127.0.0.1:{pages.server_port}/sd.json")
            yield made
        finally:
            pages.shutdown()
            thread.join()


def _analyzer(servers: Servers, made: Site, discovery: str) -> str:
    command = [sys.executable, FOLDER / "hurried.py", "analyzer", "--cluster=trial", f"--discovery={discovery}"]
    return servers.start(
        "analyzer",
        lambda port, _: [*command, f"--data-directory={made.data}", f"--web.listen-address=127.0.0.1:{port}"],
        ready="/-/healthy",
        environ=SETTINGS,
    )


def _agent(servers: Servers, home: Path, node: str) -> str:
    """Start the agent of a node; HOST:PORT of its page."""
    command = [sys.executable, "-m", "warpgauge", "agent", "--no-collector.host", "--no-collector.nvml"]
    base = servers.start(
        f"agent-{node}",
        lambda port, _: [*command, f"--web.listen-address=127.0.0.1:{port}"],
        ready="/-/ready",
        environ={"WARPGAUGE_AGENT_TRAINING_SOCKET": str(home / f"{node}.sock")},
    )
    return base.removeprefix("http://")


@contextlib.contextmanager
def sick(node: str, job: int) -> Iterator[None]:
    """While the block runs, the first rank of a job on a node gets five sixths of its time taken away."""
    over = threading.Event()

    def throttle() -> None:
        while not over.wait(RUN_SECONDS):
            for pid in _first_ranks(node, job):
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGSTOP)
                    time.sleep(STOPPED_SECONDS)
                    os.kill(pid, signal.SIGCONT)

    thread = threading.Thread(target=throttle)
    thread.start()
    try:
        yield
    finally:
        over.set()
        thread.join()


def _first_ranks(node: str, job: int) -> list[int]:
    """Pids of lockstep processes that Slurm started as a job's first task on a node."""
    wanted = {f"SLURMD_NODENAME={node}".encode(), f"SLURM_JOB_ID={job}".encode(), b"SLURM_LOCALID=0"}
    numbers = [entry.name for entry in os.scandir("/proc") if entry.name.isdecimal()]
    return [int(number) for number in numbers if _is_lockstep(Path("/proc", number), wanted)]


def _is_lockstep(process: Path, wanted: set[bytes]) -> bool:
    try:
        if str(LOCKSTEP).encode() not in (process / "cmdline").read_bytes().split(b"\0")[1:2]:
            return False
        return wanted <= set((process / "environ").read_bytes().split(b"\0"))
    except OSError:
        return False
