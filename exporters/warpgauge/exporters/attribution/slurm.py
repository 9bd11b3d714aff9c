"""A process in a Slurm job: its job, rank and GPUs, from its cgroup and its environment."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, Final

from warpgauge.exporters.attribution.workload import Workload

if TYPE_CHECKING:
    from warpgauge.exporters.attribution.procfs import ProcessFacts

__all__ = ["allocated_indices", "slurm_job_id", "slurm_workload"]

# Slurm with its cgroup plugin: /slurm/uid_1000/job_77/step_0/task_1 (v1),
# /system.slice/slurmstepd.scope/job_77/step_0/user/task_1 (v2).
_CGROUP: Final = re.compile(r"slurm[^\n]*/job_(?P<job>\d{1,20})(?:/step_(?P<step>[a-z0-9]{1,20}))?[^\n]*", re.ASCII)
_NUMBER: Final = re.compile(r"\d{1,20}", re.ASCII)
_RANGE: Final = re.compile(r"(\d{1,3})(?:-(\d{1,3}))?", re.ASCII)
_NOT_RANKED: Final = frozenset(
    {"batch", "extern", "interactive"}
)  # steps whose SLURM_PROCID is no rank of the job's work


def slurm_workload(process: ProcessFacts) -> Workload | None:
    """Its job, None if it is in none; the cgroup counts more than the environment, which a process can choose."""
    job_id = slurm_job_id(process)
    if job_id is None:
        return None
    return Workload(scheduler="slurm", job_id=job_id, rank=_rank(process), user=process.user)


def slurm_job_id(process: ProcessFacts) -> str | None:
    """The number of the job that a process is in."""
    match = _CGROUP.search(process.cgroup)
    return match["job"] if match else _number(process, "SLURM_JOB_ID")


def allocated_indices(process: ProcessFacts) -> tuple[int, ...]:
    """Numbers of the GPUs on this node that Slurm gave to the job, used or not."""
    text = process.environment.get("SLURM_STEP_GPUS") or process.environment.get("SLURM_JOB_GPUS") or ""
    found: set[int] = set()
    for part in text.split(","):
        match = _RANGE.fullmatch(part)
        if match is None:
            return ()
        found.update(range(int(match[1]), int(match[2] or match[1]) + 1))
    return tuple(sorted(found))


def _rank(process: ProcessFacts) -> str:
    """The rank in the job: what a launcher within Slurm's task (torchrun) says goes before the task's own number."""
    match = _CGROUP.search(process.cgroup)
    if match is not None and match["step"] in _NOT_RANKED and "RANK" not in process.environment:
        return ""
    return _number(process, "RANK") or _number(process, "SLURM_PROCID") or ""


def _number(process: ProcessFacts, name: str) -> str | None:
    value = process.environment.get(name, "")
    return value if _NUMBER.fullmatch(value) else None
