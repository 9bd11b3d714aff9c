"""One node with a bit of everything: each vendor's double behind the real collector, the real host, and their faults.

Pids are of a fixture tree like /proc in which everything but the processes is this machine's own; the Slurm job is
known by the cgroup path and the environment that slurmstepd gives, the pod by a kubelet's double.
"""

from __future__ import annotations

import asyncio
import os
import sys
import threading
from contextlib import ExitStack, asynccontextmanager
from dataclasses import dataclass, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from tests.fakes import kubelet, tpu_runtime
from tests.fakes.infiniband import FakeSys
from tests.fakes.nvml_c import set_faults
from tests.fakes.procfs import FakeProc
from tests.fakes.running_agent import DEADLINE_SECONDS, TICK_SECONDS, Running, _program, python_fake
from tests.pace import pace
from warpgauge.core.config import Config
from warpgauge.core.exposition import Format
from warpgauge.exporters.agent import Agent
from warpgauge.exporters.collectors import COLLECTORS

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

    from warpgauge.exporters.link import Program

CHILD = Path(__file__).with_name("other_child.py")
PAGE = Path(__file__).parents[1] / "fixtures/serving/vllm-0.11.txt"
CHIPS = [f"0000:00:0{place}.0" for place in range(4, 8)]
PATIENCE_SECONDS = 4.0  # so that a machine that stands still for two seconds makes no child of ours look hung
VENDORS = {"nvidia": 2, "amd": 2, "google": 4, "intel": 1}
COLLECTORS_ON = ("nvml", "amd", "tpu", "gaudi", "host", "infiniband", "training", "attribution", "serving")
FIRST_PID, TPU_PID = 1000, 2000  # the first that the NVML double lists on each GPU, and one that has a TPU open
FIRST_GPU, SECOND_GPU = (f"GPU-0000000{n}-0000-4000-8000-00000000000{n}" for n in range(2))
SLURM_CGROUP = "0::/system.slice/slurmstepd.scope/job_77/step_0/user/task_3\n"
GAUDI_TABLE = """\
index, uuid, bus_id, name, driver_version, temperature.aip [C], utilization.aip [%], memory.total [MiB],\
 memory.used [MiB], memory.free [MiB], power.draw [W], ecc.errors.corrected.volatile.total,\
 ecc.errors.uncorrected.volatile.total
0, 01P0-HL2080A0-15, 0000:19:00.0, HL-225, 1.21.0-e8b, 31 C, 87 %, 98304 MiB, 672 MiB, 97632 MiB, 95 W, 2, 0
"""
HL_SMI = """\
#!/bin/sh
# A double of hl-smi: prints the table beside it, with the fault that the file beside it names.
case "$(cat "$0.fault")" in
    hang) exec sleep 60 ;;
    crash) kill -SEGV $$ ;;
    garbage) printf 'no,\\001table\\n1,2\\n' ;;
    gone) head -n 1 "$0.table" ;;
    *) cat "$0.table" ;;
esac
"""


class Server:
    """An inference server's page; `fault` is what it suffers from."""

    def __init__(self) -> None:
        self.fault = ""
        self.freed = threading.Event()

    def url(self, stack: ExitStack) -> str:
        """Serve until the stack unwinds."""
        page = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                page.answer(self)

            def log_message(self, *_: object) -> None:
                """Nobody reads it."""

        server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        server.daemon_threads = True
        threading.Thread(target=server.serve_forever, args=(0.05,), daemon=True).start()
        stack.callback(server.server_close)
        stack.callback(server.shutdown)
        stack.callback(self.freed.set)
        return f"http://127.0.0.1:{server.server_port}/metrics"

    def answer(self, request: BaseHTTPRequestHandler) -> None:
        if self.fault == "hang":
            self.freed.wait(60)
        if self.fault == "crash":  # dies in the middle of its answer
            request.wfile.write(b"HTTP/1.0 200 OK\r\nContent-Length: 5000\r\n\r\nvllm:")
            return
        request.send_response(404 if self.fault == "gone" else 200)
        request.end_headers()
        request.wfile.write(b"\xff\x00{{{ 1\n" if self.fault == "garbage" else PAGE.read_bytes())


class Plumbing:
    """A file that can be made to hang, vanish or lie, and is itself again afterwards."""

    def __init__(self, path: Path) -> None:
        self.path, self.kept = path, path.with_name(f"{path.name}.kept")

    def break_(self, fault: str) -> None:
        self.path.rename(self.kept)
        if fault == "hang":
            os.mkfifo(self.path)  # who opens it to read waits for somebody who writes
        elif fault == "crash":
            self.path.mkdir()  # every reading of it is an error
        elif fault == "garbage":
            self.path.write_bytes(b"\xff\x00 nonsense 1e999\n" * 3)

    def mend(self) -> None:
        if self.path.is_dir():
            self.path.rmdir()
        elif self.path.is_fifo():
            pipe = os.open(self.path, os.O_RDWR | os.O_NONBLOCK)  # frees whoever waits
            self.path.unlink()
            os.close(pipe)
        else:
            self.path.unlink(missing_ok=True)
        self.kept.rename(self.path)


@dataclass
class Node(Running):
    """The agent of that node, and its sources."""

    folder: Path = Path()
    runtime: tpu_runtime.FakeRuntime | None = None
    kubelet: kubelet.FakeKubelet | None = None
    server: Server | None = None
    proc: FakeProc | None = None

    @property
    def page(self) -> str:
        return self.agent.pages.body(Format.TEXT, is_compressed=False).decode()

    def file(self, name: str) -> Plumbing:
        return Plumbing(self.folder / name)


def _sys(root: Path) -> FakeSys:
    """Two InfiniBand ports and four TPU chips; the rest is this machine's own."""
    fake = FakeSys(root)
    for number in range(2):
        place = f"0000:{3 + number}b:00.0"
        fake.port(f"mlx5_{number}", pci=fake.pci("pci0000:3a", place))
    tpu_runtime.plug_in(root, CHIPS)
    for name in ("class/net", "block", "devices/system", "class/thermal", "class/hwmon"):
        if (Path("/sys") / name).exists():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).symlink_to(Path("/sys") / name)
    return fake


def _proc(root: Path) -> FakeProc:
    """A Slurm job's rank on both NVIDIA GPUs and a job on a TPU; the rest is this machine's own."""
    fake = FakeProc(root)
    root.mkdir()
    for path in Path("/proc").iterdir():
        if not path.name.isdecimal():
            (root / path.name).symlink_to(path)
    fake.start(FIRST_PID, cgroup=SLURM_CGROUP, SLURM_JOB_ID="77", SLURM_PROCID="3", SLURM_JOB_GPUS="0")
    fake.start(TPU_PID, cgroup=SLURM_CGROUP.replace("77", "78"), SLURM_JOB_ID="78", SLURM_PROCID="0")
    fake.opens(TPU_PID, "/dev/vfio/11")
    return fake


def _programs(folder: Path, runtime: tpu_runtime.FakeRuntime) -> dict[str, Program]:
    for name in ("amd", "tpu"):
        (folder / name).write_text("")
    smi = folder / "hl-smi"
    smi.write_text(HL_SMI)
    smi.chmod(0o755)
    smi.with_name("hl-smi.table").write_text(GAUDI_TABLE)
    smi.with_name("hl-smi.fault").write_text("")

    def child(*arguments: object) -> Program:
        return _program([sys.executable, str(CHILD), *map(str, arguments)], dict(os.environ))

    children = {
        "nvml": python_fake(folder / "nvml", "h100", "h100"),
        "amd": child("amd", folder / "amd"),
        "tpu": child("tpu", folder / "tpu", folder / "sys", runtime.address),
        "gaudi": child("gaudi", smi),
    }
    return {name: replace(program, deadline_seconds=PATIENCE_SECONDS * pace()) for name, program in children.items()}


@asynccontextmanager
async def mixed_node(folder: Path) -> AsyncIterator[Node]:
    """The node, once all its devices are up."""
    set_faults(folder / "nvml")
    _sys(folder / "sys")
    with ExitStack() as stack:
        runtime = stack.enter_context(tpu_runtime.serving(tpu_runtime.FakeRuntime()))
        runtime.metrics = tpu_runtime.busy(len(CHIPS))
        pods = stack.enter_context(kubelet.serving(folder / "kubelet.sock"))
        pods.give("lab", "train-0", "main", "nvidia.com/gpu", SECOND_GPU)
        server = Server()
        config = Config()
        settings = replace(
            config.agent,
            fast_interval_seconds=TICK_SECONDS,
            normal_interval_seconds=TICK_SECONDS * 2,
            slow_interval_seconds=TICK_SECONDS * 3,
            deadline_seconds=4 * DEADLINE_SECONDS,  # a page of an inference server may take a second
            training_socket=str(folder / "steps.sock"),
            kernel_log="",
            proc_root=str(folder / "proc"),
            sys_root=str(folder / "sys"),
            gpustat_directory="",
            pod_resources_socket=str(folder / "kubelet.sock"),
            serving_urls=(server.url(stack),),
            disabled_collectors=tuple(name for name in COLLECTORS if name not in COLLECTORS_ON),
        )
        proc = _proc(folder / "proc")
        agent = Agent(replace(config, agent=settings), programs=_programs(folder, runtime))
        reading = asyncio.create_task(agent.run())
        node = Node(agent, folder / "nvml", folder=folder, runtime=runtime, kubelet=pods, server=server, proc=proc)
        try:
            yield node
        finally:
            reading.cancel()
            await asyncio.gather(reading, return_exceptions=True)
