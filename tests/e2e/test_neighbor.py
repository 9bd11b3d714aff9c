"""Two real jobs, one of which takes the CPUs beside a rank of the other: the live analyzer blames it, and parts them.

Their processes say in their environment which Slurm job they are of. One is the lockstep job; the other hashes, on the
CPU that a rank of the first has for itself. A second node, so that there is somewhere to go, is another agent. Both
agents have devices of the C fake, since a site without any is not planned for. What the analyzer waits for is cut
from minutes to seconds (tests/slurm/hurried.py).
"""

from __future__ import annotations

import contextlib
import json
import os
import subprocess
import sys
import threading
import time
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

from tests.fakes.nvml_c import build_stub, stub_environment
from tests.real_servers import get_json

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from tests.real_servers import Servers

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="this system cannot pin a process to a CPU"),
    pytest.mark.skipif((os.cpu_count() or 1) < 2, reason="the disturbed rank needs a CPU of its own: here is one"),
    pytest.mark.skipif(os.geteuid() != 0, reason="which job each process here is of, only root may see"),
]

ROOT = Path(__file__).resolve().parents[2]
LOCKSTEP = ROOT / "examples" / "lockstep" / "lockstep.py"
HURRIED = ROOT / "tests" / "slurm" / "hurried.py"
DISTURBED, DISTURBER = "9101", "9202"
RANKS = 4
CALM_SECONDS = 16.0
WITHIN_SECONDS = 30.0
FAIR_PRESSURE = 0.5  # time in which tasks waited for a CPU already; with nothing else on the machine it is 0.2
SETTINGS = {
    "WARPGAUGE_ANALYZER_INTERVAL_SECONDS": "1",
    "WARPGAUGE_ANALYZER_AGENT_SCRAPE_INTERVAL_SECONDS": "1",
    "WARPGAUGE_ACTING_SCHEDULER": "slurm",
}


class _Quiet(SimpleHTTPRequestHandler):
    def log_message(self, *_: object) -> None:
        pass


def agent(servers: Servers, node: str, *flags: str, environ: dict[str, str]) -> dict[str, Any]:
    """Start the agent of a node; its entry in the service discovery."""
    command = [sys.executable, "-m", "warpgauge", "agent", *flags]
    base = servers.start(
        f"agent-{node}",
        lambda port, _: [*command, f"--web.listen-address=127.0.0.1:{port}"],
        ready="/-/ready",
        environ=environ,
    )
    return {"targets": [base.removeprefix("http://")], "labels": {"node": node}}


@contextlib.contextmanager
def on_cpus(cpus: set[int]) -> Iterator[None]:
    """What starts meanwhile runs on these CPUs only."""
    usable = os.sched_getaffinity(0)
    os.sched_setaffinity(0, cpus)
    try:
        yield
    finally:
        os.sched_setaffinity(0, usable)


@pytest.fixture
def analyzer(servers: Servers, tmp_path: Path) -> Iterator[str]:
    """Base URL of an analyzer over two nodes; all of it runs on the CPU that the disturbed rank does not."""
    here = {min(os.sched_getaffinity(0))}
    fake = stub_environment(build_stub(tmp_path / "fake"), gpus=2)
    with on_cpus(here):
        near = agent(servers, "near", environ=fake | {"WARPGAUGE_AGENT_TRAINING_SOCKET": f"{tmp_path}/near.sock"})
        apart = ("--no-collector.host", "--no-collector.training", "--no-collector.attribution")
        far = agent(servers, "far", *apart, environ=fake)
    (tmp_path / "sd.json").write_text(json.dumps([near, far]))
    with ThreadingHTTPServer(("127.0.0.1", 0), partial(_Quiet, directory=str(tmp_path))) as pages:
        thread = threading.Thread(target=pages.serve_forever)
        thread.start()
        found = f"--discovery=http://127.0.0.1:{pages.server_port}/sd.json"
        command = [sys.executable, HURRIED, "analyzer", "--cluster=trial", found, f"--data-directory={tmp_path}/data"]
        try:
            with on_cpus(here):
                base = servers.start(
                    "analyzer",
                    lambda port, _: [*command, f"--web.listen-address=127.0.0.1:{port}"],
                    ready="/-/healthy",
                    environ=SETTINGS,
                )
            yield base
        finally:
            pages.shutdown()
            thread.join()


@contextlib.contextmanager
def job(number: str, *command: str | Path) -> Iterator[subprocess.Popen[str]]:
    """Processes of a job of Slurm's, as long as the block runs."""
    process = subprocess.Popen(
        [sys.executable, *command],
        env={**os.environ, "SLURM_JOB_ID": number},
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        text=True,
        start_new_session=True,
    )
    with contextlib.suppress(OSError):  # the two share alike, and what else runs here shall not decide the test
        Path(f"/proc/{process.pid}/autogroup").write_text("-19")
    try:
        yield process
    finally:
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.communicate(timeout=10)  # a lockstep job ends with its input
        process.kill()
        process.wait()


@contextlib.contextmanager
def lockstep(socket: Path) -> Iterator[None]:
    with job(DISTURBED, LOCKSTEP, "--backend=socket", "--orders", f"--socket={socket}"):
        yield


@contextlib.contextmanager
def hashing(cpus: set[int]) -> Iterator[None]:
    with on_cpus(cpus), job(DISTURBER, LOCKSTEP.with_name("hog.py")) as process:
        try:
            yield
        finally:
            process.kill()


def pressure_seconds() -> float:
    """Time in which some task waited for a CPU, since the machine started; 0 where the kernel does not tell."""
    try:
        return int(Path("/proc/pressure/cpu").read_text().split("total=")[1].split()[0]) / 1e6
    except OSError:
        return 0.0


def pressure_over(seconds: float) -> float:
    waited, began = pressure_seconds(), time.monotonic()
    time.sleep(seconds)
    return (pressure_seconds() - waited) / (time.monotonic() - began)


def blamed(analyzer: str) -> list[dict[str, Any]]:
    """Findings that the first job has a noisy neighbor, now."""
    found = get_json(f"{analyzer}/api/v1/findings")["findings"]
    mine = [one for one in found if "ended" not in one and one["scope"].get("job_id") == DISTURBED]
    return [one for one in mine if one["kind"] == "noisy_neighbor"]


def advised(analyzer: str) -> list[dict[str, Any]]:
    found = get_json(f"{analyzer}/api/v1/recommendations")["recommendations"]
    return [one["data"] for one in found if one["data"]["kind"] == "separate"]


def seen(claim: Callable[[], list[dict[str, Any]]], seconds: float) -> list[dict[str, Any]]:
    """What it gives as soon as that is anything, or nothing after so long."""
    end = time.monotonic() + seconds
    while not (found := claim()) and time.monotonic() < end:
        time.sleep(0.5)
    return found


def test_the_other_job_is_blamed_and_parted_from_the_one_that_it_disturbs(analyzer: str, tmp_path: Path):
    usable = os.sched_getaffinity(0)
    with lockstep(tmp_path / "near.sock"):
        time.sleep(CALM_SECONDS / 2)
        pressure = pressure_over(CALM_SECONDS / 2)
        with hashing({max(usable)}):
            began = time.time()
            findings = seen(lambda: blamed(analyzer), WITHIN_SECONDS)
            took = time.time() - began
            advice = seen(lambda: advised(analyzer), WITHIN_SECONDS) if findings else []
            findings = blamed(analyzer) or findings  # the first look may not have known the processes yet
        sys.stdout.write(
            f"blamed after {took:.1f} s, advised after {time.time() - began:.1f} s, {pressure:.0%} before\n"
        )
        is_over = bool(seen(lambda: [] if blamed(analyzer) else [{}], WITHIN_SECONDS))
    if not (findings and advice and is_over) and pressure > FAIR_PRESSURE:
        pytest.skip(f"this machine is too loaded to judge: tasks waited for a CPU {pressure:.0%} of the time before")
    (finding,), (recommendation,) = findings, advice
    whose = [row["whose"]["job_id"] for row in finding["evidence"] if "whose" in row]
    assert (finding["scope"]["rank"], whose) == (RANKS - 1, [DISTURBER])
    assert f"Job {DISTURBER} takes" in finding["summary"]
    assert recommendation["target"][0]["name"] == DISTURBER
    assert recommendation["helps"][0]["name"] == DISTURBED
    assert is_over
