"""A real Slurm job on the page of a real agent: there soon after it began, gone soon after it was killed."""

from __future__ import annotations

import getpass
import os
import signal
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from tests.real_servers import read_text, wait_until
from warpgauge.core.catalog import host
from warpgauge.core.exposition import labels_of, parse

if TYPE_CHECKING:
    from tests.real_servers import Servers
    from tests.slurm_cluster import SlurmCluster

pytestmark = [pytest.mark.real, pytest.mark.slow]

SECONDS = 10.0
OTHERS = ("--no-collector.host", "--no-collector.nvml", "--no-collector.training")


def agent(servers: Servers, name: str) -> str:
    command = [sys.executable, "-m", "warpgauge", "agent", *OTHERS]
    return servers.start(name, lambda port, _: [*command, f"--web.listen-address=127.0.0.1:{port}"], ready="/-/ready")


def shown(page: str, job: int) -> set[tuple[str, str]]:
    """Rank and user of every series of a job."""
    lines = parse(read_text(f"{page}/metrics"), place="page")
    about = [labels_of(line.labels) for line in lines if line.name == host.WORKLOAD_INFO.name]
    return {(one["rank"], one["user"]) for one in about if one["scheduler"] == "slurm" and one["job_id"] == str(job)}


def pids_of(job: int) -> list[int]:
    """Every process of a job, its launchers included."""
    found, wanted = [], f"SLURM_JOB_ID={job}".encode()
    for folder in Path("/proc").iterdir():
        if folder.name.isdecimal():
            try:
                if wanted in (folder / "environ").read_bytes().split(b"\0"):
                    found.append(int(folder.name))
            except OSError:
                continue
    return found


def test_a_job_has_id_user_and_ranks_within_ten_seconds_and_ends_with_its_processes(
    slurm_cluster: SlurmCluster, servers: Servers
):
    page = agent(servers, "agent")
    job = slurm_cluster.submit("--ntasks=2", script="exec srun sleep 600")
    slurm_cluster.running(job)
    began = time.monotonic()
    ranks = {("0", getpass.getuser()), ("1", getpass.getuser())}
    wait_until(lambda: shown(page, job) == ranks, what="the job is on the page", seconds=SECONDS)
    there = time.monotonic()
    for pid in pids_of(job):
        os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not shown(page, job), what="the job is off the page", seconds=SECONDS)
    print(f"there after {there - began:.1f} s, gone after {time.monotonic() - there:.1f} s")  # noqa: T201 - the claim
    assert not shown(agent(servers, "agent-anew"), job)
