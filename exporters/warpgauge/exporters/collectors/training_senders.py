"""Who sent a step message: the process behind a pid, and the job of a scheduler it runs in."""

from __future__ import annotations

from typing import TYPE_CHECKING, NamedTuple

from warpgauge.exporters.attribution.procfs import ProcFs
from warpgauge.exporters.attribution.slurm import slurm_job_id
from warpgauge.exporters.attribution.yarn import yarn_application

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["Sender", "Senders"]


class Sender(NamedTuple):
    """One process for as long as it lives: the start time tells it from a later one with the same pid."""

    pid: int
    started: int | None  # ticks since boot; None where the process is hidden from us
    own_job_id: str | None  # of Slurm or YARN; None: it runs in no job of theirs, or we may not look


class Senders:
    """Looks processes up under /proc."""

    def __init__(self, proc_root: str | Path = "/proc") -> None:
        self._proc = ProcFs(proc_root, name_of=str)

    def find(self, pid: int) -> Sender:
        """The process that has this pid now; its cgroup counts more than its environment, which it can choose."""
        facts = self._proc.facts(pid)
        if facts is None:
            return Sender(pid, None, None)
        return Sender(pid, facts.started, slurm_job_id(facts) or yarn_application(facts))

    def is_alive(self, sender: Sender) -> bool:
        """Whether that very process still runs; a hidden one counts as alive, its silence tells."""
        return sender.started is None or self._proc.started(sender.pid) == sender.started
