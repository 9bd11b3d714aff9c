"""A real Slurm cluster for tests: four nodes with four GPUs each, all on 127.0.0.1, in a temporary folder.

Everything is Slurm's own but the GPUs, which are empty files that Slurm counts and hands out. It runs as whoever runs
the tests, with a munge of its own (key, socket), and each daemon is stopped by its pid.
"""

from __future__ import annotations

import contextlib
import getpass
import os
import subprocess
import time
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import pytest

from tests.real_servers import STOP_SECONDS, free_port, wait_until
from tools import real_components
from warpgauge.core.errors import WarpgaugeError
from warpgauge.core.slurm import Slurm

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from pathlib import Path

    from warpgauge.core.slurm import SlurmJob

NODES = tuple(f"gpu-n{number}" for number in range(4))
GPUS_OF_A_NODE = 4

CONFIGURATION = """\
ClusterName=trial
SlurmctldHost=localhost(127.0.0.1)
SlurmctldPort={port}
AuthType=auth/munge
CryptoType=crypto/munge
AuthInfo=socket={home}/run/munge.sock
SlurmUser={user}
SlurmdUser={user}
StateSaveLocation={home}/state
SlurmdSpoolDir={home}/spool/%n
SlurmctldPidFile={home}/run/slurmctld.pid
SlurmdPidFile={home}/run/slurmd.%n.pid
SlurmctldLogFile={home}/log/slurmctld.log
SlurmdLogFile={home}/log/slurmd.%n.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SwitchType=switch/none
SchedulerType=sched/backfill
SchedulerParameters=sched_interval=2,bf_interval=2
SelectType=select/cons_tres
SelectTypeParameters=CR_Core_Memory
DefMemPerCPU=64
ReturnToService=2
GresTypes=gpu
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
JobRequeue=1
KillWait=5
SlurmdParameters=config_overrides
CommunicationParameters=NoInAddrAny,NoCtldInAddrAny
PropagateResourceLimits=NONE
{nodes}
PartitionName=gpu Nodes=ALL Default=YES MaxTime=INFINITE State=UP
"""
NODE = "NodeName={name} NodeHostname=localhost NodeAddr=127.0.0.1 Port={port} CPUs=8 RealMemory=2000 Gres=gpu:a100:4"


@dataclass
class SlurmCluster:
    """A running cluster; `environ` is what a client program needs to find it."""

    home: Path
    programs: dict[str, Path]
    environ: dict[str, str] = field(default_factory=dict)
    _running: list[subprocess.Popen[bytes]] = field(default_factory=list)

    @property
    def slurm(self) -> Slurm:
        return Slurm(self.environ)

    def start(self) -> None:
        self._write_files()
        conf = self.home / "slurm.conf"
        self.environ = {**os.environ, "SLURM_CONF": str(conf)}
        run, log = self.home / "run", self.home / "log"
        self._spawn(
            "munged", "--foreground", "--force", f"--socket={run / 'munge.sock'}", f"--key-file={self.home / 'key'}",
            f"--log-file={log / 'munged.log'}", f"--pid-file={run / 'munged.pid'}",
            f"--seed-file={self.home / 'state' / 'seed'}",
        )  # fmt: skip
        wait_until((run / "munge.sock").exists, what="munged listens")
        self._spawn("slurmctld", "-D", "-f", conf)
        for name in NODES:
            self._spawn("slurmd", "-D", "-f", conf, "-N", name)
        wait_until(self._is_idle, what="all nodes are idle")

    def stop(self) -> None:
        """End the jobs, whose processes no daemon would take along, then the daemons."""
        if self._running and self._running[-1].poll() is None:
            with contextlib.suppress(AssertionError, WarpgaugeError, pytest.fail.Exception):
                self.reset()
        for process in reversed(self._running):
            process.terminate()
        for process in self._running:
            try:
                process.wait(STOP_SECONDS)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def reset(self) -> None:
        """No job and no reservation, and every node idle and of weight 1."""
        for line in self.run("scontrol", "-o", "show", "reservation").splitlines():
            if line.startswith("ReservationName="):
                self.run("scontrol", "delete", line.split()[0])
        for node in self.slurm.nodes():
            if node.weight != 1:
                self.run("scontrol", "update", f"nodename={node.name}", "weight=1")
            if node.flags & {"DRAIN", "FAIL"}:
                self.run("scontrol", "update", f"nodename={node.name}", "state=resume")
        if ids := [str(job.id) for job in self.slurm.jobs() if job.state in {"PENDING", "RUNNING", "COMPLETING"}]:
            self.run("scancel", *ids)
        wait_until(self._is_idle, what="all nodes are idle again")

    def run(self, program: str, *words: str | Path, cwd: Path | None = None) -> str:
        """One call of a client program; what it printed."""
        done = subprocess.run(
            [self.programs[program], *words],
            capture_output=True, text=True, check=False, timeout=30, env=self.environ, cwd=cwd or self.home,
        )  # fmt: skip
        assert done.returncode == 0, done.stderr
        return done.stdout

    def submit(self, *words: str, script: str = "sleep 600") -> int:
        """`sbatch WORDS` of a shell script; the job's id."""
        path = self.home / f"job-{time.monotonic_ns()}.sh"
        path.write_text(f"#!/bin/sh\n{script}\n")
        return int(self.run("sbatch", "--parsable", f"--output={self.home}/log/job-%j.out", *words, path))

    def job(self, job_id: int) -> SlurmJob:
        found = self.slurm.job(job_id)
        assert found is not None, f"Slurm forgot job {job_id}"
        return found

    def running(self, job_id: int, *, seconds: float = 20.0) -> SlurmJob:
        """The job once it runs."""
        wait_until(
            lambda: self.job(job_id).state == "RUNNING" and self.job(job_id).held,
            what=f"job {job_id} runs", seconds=seconds,
        )  # fmt: skip
        return self.job(job_id)

    def _spawn(self, program: str, *words: str | Path) -> None:
        with (self.home / "log" / f"{program}-{len(self._running)}.out").open("wb") as log:
            command: Sequence[str | Path] = [self.programs[program], *words]
            self._running.append(
                subprocess.Popen(command, stdout=log, stderr=log, env=self.environ or None, cwd=self.home)
            )

    def _is_idle(self) -> bool:
        ended = [process.args for process in self._running if process.poll() is not None]
        assert not ended, f"{ended[0]} ended; see {self.home / 'log'}"
        states = self.run("sinfo", "-h", "-N", "-o", "%T").split()
        return states == ["idle"] * len(NODES)

    def _write_files(self) -> None:
        for folder in ("state", "run", "log", "dev", *(f"spool/{name}" for name in NODES)):
            (self.home / folder).mkdir(parents=True)
        for number in range(GPUS_OF_A_NODE):
            (self.home / "dev" / f"nvidia{number}").touch()
        key = self.home / "key"
        key.touch(mode=0o600)
        key.write_bytes(os.urandom(64))
        nodes = "\n".join(NODE.format(name=name, port=free_port()) for name in NODES)
        (self.home / "slurm.conf").write_text(
            CONFIGURATION.format(home=self.home, port=free_port(), user=getpass.getuser(), nodes=nodes)
        )
        devices = f"File={self.home}/dev/nvidia[0-{GPUS_OF_A_NODE - 1}]"
        (self.home / "gres.conf").write_text(f"NodeName={NODES[0][:-1]}[0-3] Name=gpu Type=a100 {devices}\n")


@pytest.fixture(scope="session")
def _slurm(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SlurmCluster]:
    try:
        programs = real_components.slurm()
    except real_components.ComponentMissingError as error:
        pytest.skip(str(error))
    cluster = SlurmCluster(tmp_path_factory.mktemp("slurm"), programs)
    try:
        cluster.start()
        yield cluster
    finally:
        cluster.stop()


@pytest.fixture
def slurm_cluster(_slurm: SlurmCluster) -> SlurmCluster:
    """The session's cluster, without jobs and with every node idle."""
    _slurm.reset()
    return _slurm
