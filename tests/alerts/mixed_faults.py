"""What goes wrong on nodes with other vendors' devices, fabrics, jobs and queues; sound until `fall_ill`.

`mixed` has AMD, TPU and InfiniBand ports and pushes to a receiver; `jobs` trains on a GPU. `late` nodes come up ill:
one agent that may not read the kernel log and starts with a queue that nobody has taken for long, one whose TPU runtime
answers nobody.
"""

from __future__ import annotations

import contextlib
import http.server
import os
import socket
import subprocess
import sys
import threading
import time
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from tests.alerts.firing_node import Node, child
from tests.fakes import tpu_runtime
from tests.fakes.infiniband import COUNTERS, FakeSys
from tests.fakes.nvml_script import set_faults
from tests.fakes.procfs import FakeProc
from tests.real_servers import free_port
from warpgauge.core.clock import ManualClock
from warpgauge.core.config import Config
from warpgauge.core.queue import DurableQueue
from warpgauge.core.retry import Backoff
from warpgauge.exporters.training import StepTimer

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

__all__ = ["Mixed"]

HERE: Final = Path(__file__).parent
OTHER_CHILD: Final = HERE.parents[0] / "fakes/other_child.py"
FAULTY_CHILD: Final = HERE / "faulty_child.py"
CHIPS: Final = [f"0000:00:0{place}.0" for place in range(4, 8)]
STUCK_CHIP: Final = 1  # it has a program in its queue
SLURM: Final = "0::/system.slice/slurmstepd.scope/job_{}/step_0/user/task_0\n"
HOLDER, HELD_JOB, TRAINED_JOB = 1000, "77", "lockstep"  # the first pid that the NVML double lists
SHORT_JOB: Final = "short"  # of its two ranks one never begins
RANKS: Final = 3
STEP_SECONDS: Final = 0.25
OLD_SECONDS: Final = 3600.0
HEALTHY: Final = "set all utilization 95"
HALL: Final = "hall"  # a cluster of its own: there it is too hot, and what the double calls a board is there once only


def _hot(gpu: str) -> tuple[str, ...]:
    """Idle boards whose clocks heat holds down half of the time."""
    since = time.monotonic()
    return ("set all utilization 1", f"grow {gpu} CLOCKS_EVENT_REASON_HW_THERM_SLOWDOWN 500000000 {since}")


class Receiver(http.server.BaseHTTPRequestHandler):
    """Takes what is pushed, with the status that its server has."""

    def do_POST(self) -> None:
        self.rfile.read(int(self.headers["Content-Length"]))
        self.send_response(self.server.status)
        self.send_header("Content-Length", "0")
        self.end_headers()

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@contextlib.contextmanager
def receiver(status: int) -> Iterator[http.server.ThreadingHTTPServer]:
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver) as server:
        server.daemon_threads = True
        server.status = status
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield server
        server.shutdown()
        thread.join()


@dataclass
class Mixed:
    """The nodes and their sources."""

    folder: Path
    stack: contextlib.ExitStack
    is_ill: bool = False
    _stop: threading.Event = field(default_factory=threading.Event)

    def __post_init__(self) -> None:
        self.folder.mkdir()
        self.runtime = self.stack.enter_context(tpu_runtime.serving(tpu_runtime.FakeRuntime()))
        self.runtime.metrics = tpu_runtime.busy(len(CHIPS))
        self.receiver = self.stack.enter_context(receiver(200))
        self.deaf = self.stack.enter_context(receiver(503))
        self.ports = self._sys("mixed")
        self.sound = [self._mixed(), self._jobs(), self._flapping()]
        self.late = [self._blind(), self._silent()]

    def begin(self) -> None:
        """Let jobs train and ports count."""
        for rank in range(RANKS):
            self._live(lambda rank=rank: self._train(rank))
        self._start_job(HELD_JOB, 1, self.folder / "hangs")
        self._live(self._count)
        self._live(self._flap)
        self._live(self._babble)
        self.stack.callback(self._stop.set)  # before they are waited for

    def fall_ill(self) -> None:
        """Everything at once."""
        self.is_ill = True
        set_faults(self.folder / "amd", "hot 1")
        idle = dict.fromkeys(range(len(CHIPS)), 0.5) | {STUCK_CHIP: 400.0}
        self.runtime.metrics |= {"tpu.runtime.tensorcore.idle_duration.seconds": tpu_runtime.gauges(idle)}
        self.receiver.status = 400
        set_faults(self.folder / "jobs", *_hot("all"))
        (self.folder / "hangs").touch()
        self._start_job(SHORT_JOB, 2, self.folder / "never")
        down, slow = (self.ports.root / f"class/infiniband/mlx5_{number}/ports/1" for number in (1, 2))
        (down / "state").write_text("1: DOWN\n")
        (slow / "rate").write_text("100 Gb/sec (4X EDR)\n")

    # ---- nodes

    def _mixed(self) -> Node:
        set_faults(self.folder / "amd")
        return Node(
            "mixed",
            ("amd", "tpu", "infiniband"),
            "accel_violation_ratio{",
            cluster=HALL,
            programs={
                "amd": child(HERE / "faulty_amd.py", self.folder / "amd"),
                "tpu": child(OTHER_CHILD, "tpu", self.folder / "none", self.ports.root, self.runtime.address),
            },
            settings={"sys_root": str(self.ports.root)},
            sections=self._pushing("mixed", self.receiver),
        )

    def _jobs(self) -> Node:
        set_faults(self.folder / "jobs", HEALTHY)
        return Node(
            "jobs",
            ("nvml", "training", "attribution"),
            "accel_workload_info{",
            cluster=HALL,
            script=self.folder / "jobs",
            programs={"nvml": child(FAULTY_CHILD, self.folder / "jobs", "h100")},
            settings={
                "proc_root": str(self._proc("jobs", HOLDER, SLURM_JOB_ID=HELD_JOB, SLURM_PROCID="0")),
                "training_socket": str(self.folder / "steps.sock"),
                "gpustat_directory": "",
                "pod_resources_socket": str(self.folder / "none"),
                "docker_socket": str(self.folder / "none"),
            },
        )

    def _flapping(self) -> Node:
        set_faults(self.folder / "flapping", HEALTHY)
        quick = Backoff(first_seconds=0.3, factor=1.0, max_seconds=0.3)
        program = child(FAULTY_CHILD, self.folder / "flapping", "h100", "h100", retries=quick)
        return Node("flapping", ("nvml",), "accel_power_watts{", programs={"nvml": program}, cluster=HALL)

    def _blind(self) -> Node:
        set_faults(self.folder / "blind", HEALTHY, "crawl all 2.5")
        sections = self._pushing("blind", self.deaf)
        folder = self.folder / "blind-data/push"
        folder.mkdir(parents=True)
        queue = DurableQueue(
            folder / "remote_write.db",
            max_bytes=1 << 20,
            max_age_seconds=10 * OLD_SECONDS,
            clock=ManualClock(time.time() - OLD_SECONDS),
        )
        queue.append(b"a batch of an hour ago")
        queue.close()
        return Node(
            "blind",
            ("nvml",),
            "accel_power_watts{",
            programs={"nvml": child(FAULTY_CHILD, self.folder / "blind", "h100")},
            settings={"kernel_log": str(self.folder / "none")},
            sections=sections,
        )

    def _silent(self) -> Node:
        fake = self._sys("silent")
        proc = self._proc("silent", HOLDER)
        FakeProc(proc).opens(HOLDER, "/dev/vfio/11")
        nobody = f"127.0.0.1:{free_port()}"
        return Node(
            "silent",
            ("tpu",),
            "accel_runtime_up{",
            programs={"tpu": child(OTHER_CHILD, "tpu", self.folder / "none", fake.root, nobody, proc)},
            settings={"sys_root": str(fake.root)},
        )

    def _sys(self, name: str) -> FakeSys:
        fake = FakeSys(self.folder / f"{name}-sys")
        for number in range(3):
            fake.port(f"mlx5_{number}")
        tpu_runtime.plug_in(fake.root, CHIPS)
        return fake

    def _proc(self, name: str, pid: int, **environment: str) -> Path:
        fake = FakeProc(self.folder / f"{name}-proc")
        fake.root.mkdir()
        for path in Path("/proc").iterdir():
            if not path.name.isdecimal():
                (fake.root / path.name).symlink_to(path)
        fake.start(pid, cgroup=SLURM.format(HELD_JOB), **environment)
        return fake.root

    def _pushing(self, name: str, to: http.server.ThreadingHTTPServer) -> dict[str, object]:
        config = Config()
        return {
            "remote_write": replace(config.remote_write, url=f"http://127.0.0.1:{to.server_port}/write"),
            "push": replace(config.push, interval_seconds=1.0),
            "analyzer": replace(config.analyzer, data_directory=str(self.folder / f"{name}-data")),
        }

    # ---- what goes on there

    def _live(self, work: Callable[[], None]) -> None:
        def run() -> None:
            while not self._stop.is_set():
                work()

        thread = threading.Thread(target=run, daemon=True)
        thread.start()
        self.stack.callback(thread.join, 5.0)

    def _train(self, rank: int) -> None:
        """Steps of one rank, ended with the run: input, compute, and waiting for the slowest."""
        timer = StepTimer(job_id=TRAINED_JOB, rank=rank, socket_path=str(self.folder / "steps.sock"))
        while not self._stop.is_set():
            waits, computes = (0.4, 0.55 if rank == 0 else 0.05) if self.is_ill else (0.05, 0.5)
            with timer.step():
                with timer.phase("input"):
                    self._stop.wait(waits * STEP_SECONDS)
                with timer.phase("compute"):
                    self._stop.wait(computes * STEP_SECONDS)
                with timer.phase("allreduce"):
                    self._stop.wait((1 - waits - computes) * STEP_SECONDS)
        timer.close()

    def _start_job(self, name: str, ranks: int, hangs: Path) -> None:
        """Rank 0 of a job, a process of its own: one process speaks for one job."""
        command = [sys.executable, HERE / "stepping_job.py", self.folder / "steps.sock", name, str(ranks), hangs]
        job = subprocess.Popen(command)
        self.stack.callback(job.wait)
        self.stack.callback(job.kill)

    def _count(self) -> None:
        """The first port's cable damages symbols."""
        path = self.ports.root / "class/infiniband/mlx5_0/ports/1/counters/symbol_error"
        errors = int(COUNTERS["symbol_error"])
        while not self._stop.wait(0.5):
            errors += 2 * self.is_ill
            new = path.with_suffix(".new")
            new.write_text(f"{errors}\n")
            new.replace(path)

    def _flap(self) -> None:
        """One of two boards goes and comes, the other is hot."""
        if not self.is_ill:
            self._stop.wait(0.5)
            return
        hot = _hot("1")
        while not self._stop.is_set():
            set_faults(self.folder / "flapping", *hot, "lost 0")
            self._stop.wait(3.0)
            set_faults(self.folder / "flapping", *hot)
            self._stop.wait(3.0)

    def _babble(self) -> None:
        """An old step timer, whose messages nobody understands."""
        if not self._stop.wait(1.0) and self.is_ill:
            with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as sender, contextlib.suppress(OSError):
                sender.sendto(b"step 7 took 3 s", os.fspath(self.folder / "steps.sock"))
