"""Who sent a step message: the process behind a pid, and the Slurm job it runs in."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Final, NamedTuple

__all__ = ["Sender", "Senders"]

# Slurm with its cgroup plugin: /slurm/uid_1000/job_77/step_0 (v1), /system.slice/slurmstepd.scope/job_77/step_0 (v2).
_SLURM_CGROUP: Final = re.compile(rb"slurm[^\n]*/job_(\d+)(?:/|\n|$)")
_SLURM_VARIABLE: Final = b"SLURM_JOB_ID="  # the only variable that is looked at
_JOB_ID: Final = re.compile(r"[0-9]{1,20}")
_START_TICKS: Final = 19  # words after the command in /proc/PID/stat (man 5 proc, field 22)


class Sender(NamedTuple):
    """One process for as long as it lives: the start time tells it from a later one with the same pid."""

    pid: int
    started: int | None  # ticks since boot; None where the process is hidden from us
    slurm_job_id: str | None  # None: it runs in no Slurm job, or we may not look


class Senders:
    """Looks processes up under /proc."""

    def __init__(self, proc_root: str | Path = "/proc") -> None:
        self._proc_root = Path(proc_root)

    def find(self, pid: int) -> Sender:
        """The process that has this pid now; its cgroup counts more than its environment, which it can choose."""
        return Sender(pid, self._started(pid), self._job_of_cgroup(pid) or self._job_of_environment(pid))

    def is_alive(self, sender: Sender) -> bool:
        """Whether that very process still runs; a hidden one counts as alive, its silence tells."""
        return sender.started is None or self._started(sender.pid) == sender.started

    def _started(self, pid: int) -> int | None:
        words = self._bytes(pid, "stat").rpartition(b")")[2].split()
        return int(words[_START_TICKS]) if len(words) > _START_TICKS and words[_START_TICKS].isdigit() else None

    def _job_of_cgroup(self, pid: int) -> str | None:
        match = _SLURM_CGROUP.search(self._bytes(pid, "cgroup"))
        return match[1].decode() if match else None

    def _job_of_environment(self, pid: int) -> str | None:
        for variable in self._bytes(pid, "environ").split(b"\0"):
            if variable.startswith(_SLURM_VARIABLE):
                value = variable.removeprefix(_SLURM_VARIABLE).decode("ascii", "replace")
                return value if _JOB_ID.fullmatch(value) else None
        return None

    def _bytes(self, pid: int, name: str) -> bytes:
        try:
            return (self._proc_root / str(pid) / name).read_bytes()
        except OSError:
            return b""
