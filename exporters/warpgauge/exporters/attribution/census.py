"""Every process of this machine and the workload it is part of, kept up by looking at new processes only."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from warpgauge.exporters.attribution.containers import container_of
from warpgauge.exporters.attribution.slurm import allocated_indices, slurm_workload
from warpgauge.exporters.attribution.workload import Workload
from warpgauge.exporters.attribution.yarn import yarn_workload

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from warpgauge.exporters.attribution.procfs import ProcessFacts, ProcFs

__all__ = ["Census", "Resident", "workload_of"]

_LOOKS: Final = 2
"""How often a process is looked at: at first it may still be what it was forked from, in its parent's cgroup."""


@dataclass(slots=True)
class Resident:
    """One process and the workload that it is part of."""

    started: int
    workload: Workload  # scheduler none for a process that somebody simply started
    allocated: tuple[int, ...] = ()  # GPUs of this node that Slurm gave to its job, by number
    looks: int = 1


@dataclass(slots=True)
class Census:
    """Who lives here. `look` is the expensive part; `bury` only asks for those that stand for a workload."""

    proc: ProcFs
    pods: Mapping[str, str] = field(default_factory=dict)  # namespace of each pod on this node, as of now
    _residents: dict[int, Resident] = field(default_factory=dict)
    _witnesses: dict[Workload, int] = field(default_factory=dict)  # a pid that proves that a workload lives
    _members: dict[Workload, set[int]] = field(default_factory=dict)

    @property
    def workloads(self) -> Iterable[Workload]:
        """Those that a scheduler or a container runtime started, each once."""
        return self._witnesses.keys()

    def look(self) -> None:
        """Meet processes that are new, meet young ones again, and forget those that ended."""
        alive = self.proc.pids()
        for pid in self._residents.keys() - alive:
            self._forget(pid)
        for pid in alive:
            known = self._residents.get(pid)
            if known is None or known.looks < _LOOKS:
                self._meet(pid, looks=known.looks + 1 if known else 1)

    def bury(self) -> bool:
        """Forget processes that stood for a workload and ended; whether a workload ended with one."""
        before = len(self._witnesses)
        for workload in list(self._witnesses):
            while workload in self._witnesses and not self.is_alive(self._witnesses[workload]):
                self._forget(self._witnesses[workload])  # which names another witness, if there is one
        return len(self._witnesses) < before

    def is_alive(self, pid: int) -> bool:
        """Whether a process that was met still runs, and is no later one with its number."""
        resident = self._residents.get(pid)
        return resident is not None and self.proc.started(pid) == resident.started

    def find(self, pid: int) -> Resident | None:
        """The process with this pid now, None if there is none or it is hidden from us."""
        if self.is_alive(pid):
            return self._residents[pid]
        self._forget(pid)
        self._meet(pid, looks=1)
        return self._residents.get(pid)

    def allocations(self) -> Iterable[tuple[Workload, tuple[int, ...]]]:
        """Which workload was given which GPUs by Slurm, whether it uses them or not."""
        for workload, pid in self._witnesses.items():
            resident = self._residents.get(pid)
            if resident is not None and resident.allocated:
                yield workload, resident.allocated

    def _meet(self, pid: int, *, looks: int) -> None:
        self._forget(pid)
        facts = self.proc.facts(pid)
        if facts is None:
            return
        workload, allocated = workload_of(facts, self.pods), allocated_indices(facts)
        resident = Resident(facts.started, workload, allocated, looks)
        self._residents[pid] = resident
        if resident.workload.scheduler != "none":
            self._members.setdefault(resident.workload, set()).add(pid)
            self._witnesses.setdefault(resident.workload, pid)

    def _forget(self, pid: int) -> None:
        resident = self._residents.pop(pid, None)
        if resident is None or resident.workload not in self._members:
            return
        members = self._members[resident.workload]
        members.discard(pid)
        if not members:
            del self._members[resident.workload]
            self._witnesses.pop(resident.workload, None)
        elif self._witnesses.get(resident.workload) == pid:
            self._witnesses[resident.workload] = next(iter(members))


def workload_of(process: ProcessFacts, pods: Mapping[str, str] | None = None) -> Workload:
    """Whose process it is: Slurm's or YARN's before a container's, because a job may run in one; else its user's.

    `pods` are the pods on this node and their namespaces: a process in a pod is believed the name it has from there
    only, since it could choose its HOSTNAME.
    """
    job = slurm_workload(process) or yarn_workload(process)
    if job is not None:
        return job
    container = container_of(process.cgroup)
    if container is None:
        return Workload(scheduler="none", user=process.user)
    if container.pod_uid is None:
        return Workload(scheduler="docker", container=container.short_id)
    pod = process.environment.get("HOSTNAME", "")
    namespace = (pods or {}).get(pod)
    if namespace is None:
        return Workload(scheduler="kubernetes", container=container.short_id)
    return Workload(scheduler="kubernetes", namespace=namespace, pod=pod)
