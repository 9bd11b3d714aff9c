"""Whose work each device does, and which jobs, pods and containers run on this machine.

New processes are looked at every few seconds; in between, only those that stand for a workload are asked whether they
still live, so that a workload's series end within a second of it. What belongs to no device is `host_workload_info`.
"""

from __future__ import annotations

import sys
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import Tier, device, host
from warpgauge.core.clock import Clock, SystemClock
from warpgauge.core.sample import ReadError, Sample
from warpgauge.exporters.attribution import claims
from warpgauge.exporters.attribution.census import Census
from warpgauge.exporters.attribution.device_files import files_by_pci_address, holders_of_files
from warpgauge.exporters.attribution.docker_engine import DockerEngine, DockerError
from warpgauge.exporters.attribution.holder_usage import HolderUsage
from warpgauge.exporters.attribution.owners import Pods
from warpgauge.exporters.attribution.pod_resources import SOCKET, PodDevice, PodResources, PodResourcesError
from warpgauge.exporters.attribution.procfs import ProcFs, user_name
from warpgauge.exporters.attribution.slurm_files import GPUSTAT, gpustat_claims, mapping_claims
from warpgauge.exporters.attribution.speaking import as_spoken

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence

    from warpgauge.core.device import Device
    from warpgauge.exporters.attribution.claims import Held
    from warpgauge.exporters.attribution.slurm_files import FileClaim
    from warpgauge.exporters.attribution.speaking import Spoken
    from warpgauge.exporters.attribution.workload import Claim, Workload

__all__ = ["AttributionCollector"]

_LOOK_SECONDS: Final = 5.0
_MOST_CLAIMS: Final = 1024
_MOST_WORKLOADS: Final = 512


class AttributionCollector:
    """Names the workloads of this machine; needs root or CAP_SYS_PTRACE to see other users' environments."""

    name = "attribution"
    isolated = False

    def __init__(  # noqa: PLR0913 - each is a part of the world that a test hands in
        self,
        *,
        held: Callable[[], Sequence[Held]] = tuple,
        spoken: Callable[[], Mapping[int, Spoken]] = dict,
        pods: Pods | None = None,
        proc_root: str | Path = "/proc",
        sys_root: str | Path = "/sys",
        pod_resources: str | Path = SOCKET,
        docker: str | Path = "",
        most_processes: int = 0,
        job_mapping: str | Path = "",
        gpustat: str | Path = GPUSTAT,
        name_of: Callable[[int], str] = user_name,
        look_seconds: float = _LOOK_SECONDS,
        clock: Clock | None = None,
        system: str = sys.platform,
    ) -> None:
        """Take the world in: where schedulers publish (empty for nowhere), and what others of the agent know.

        New processes are looked at every `look_seconds`; `most_processes` of those that have a device open get series.

        `held` gives the devices and who has them open, `spoken` the processes that report training steps; `pods` is
        told the pods of this node.
        """
        self._held = held
        self._spoken = spoken
        self._told_pods = pods or Pods()
        self._roots = Path(proc_root), Path(sys_root)
        self._kubelet = PodResources(pod_resources) if pod_resources else None
        self._docker = DockerEngine(docker) if docker else None
        self._names: dict[str, str] = {}  # of containers, by the short form of their ids
        self._most_processes = most_processes
        self._job_mapping = Path(job_mapping) if job_mapping else None
        self._gpustat = Path(gpustat) if gpustat else None
        self._name_of = name_of
        self._look_seconds = look_seconds
        self._clock = clock or SystemClock()
        self._system = system
        self._census = Census(ProcFs(proc_root, name_of))
        self._usage = HolderUsage(self._census.proc, most_processes)
        self._looked: float | None = None
        self._seen: tuple[Sequence[Held], Mapping[int, Spoken]] = ((), {})  # what the last answer was made from
        self._pods: list[PodDevice] = []
        self._said: list[FileClaim] = []
        self._files: dict[str, str] = {}
        self._open: dict[str, set[int]] = {}
        self._holders: list[int] = []  # processes that had a device open and were alive when last looked at
        self._answer: tuple[list[Sample], list[ReadError]] = ([], [])
        self._errors: list[ReadError] = []

    def check(self) -> str | None:
        """None on Linux: cgroups, environments and device files are in its /proc."""
        return None if self._system == "linux" else "workloads are attributed on Linux only"

    def devices(self) -> Sequence[Device]:
        """None of its own."""
        return ()

    def read(self, tier: Tier, device: Device | None = None) -> tuple[list[Sample], list[ReadError]]:  # noqa: ARG002 - the protocol's shape
        """Every workload, each second; made anew only when something changed."""
        if tier is Tier.NORMAL and self._most_processes:
            return self._usage.samples(self._holders), []
        if tier is not Tier.FAST:
            return [], []
        held, spoken = self._held(), self._spoken()
        is_due = self._looked is None or self._clock.monotonic() - self._looked >= self._look_seconds
        if is_due:
            self._looked = self._clock.monotonic()
            self._look(held)
        if self._has_lost_somebody() or is_due or (held, spoken) != self._seen:
            self._seen = (held, spoken)
            self._answer = self._attributed(held, spoken)
            return self._answer[0], [*self._answer[1], *(self._errors if is_due else ())]
        return self._answer[0], []

    def close(self) -> None:
        """Hang up on the kubelet."""
        if self._kubelet is not None:
            self._kubelet.close()

    def _has_lost_somebody(self) -> bool:
        """Whether a workload ended, or a process that had a device open; asks for a handful of processes only."""
        return self._census.bury() or any(not self._census.is_alive(pid) for pid in self._holders)

    def _look(self, held: Sequence[Held]) -> None:
        self._errors = []
        self._pods = self._asked_kubelet()
        self._ask_docker()
        self._census.pods = {one.workload.pod: one.workload.namespace for one in self._pods}
        self._told_pods.tell(self._census.pods)
        self._census.look()
        self._said = [*(mapping_claims(self._job_mapping) if self._job_mapping else ())]
        self._said += gpustat_claims(self._gpustat, self._name_of) if self._gpustat else ()
        self._files = files_by_pci_address(*self._roots) if held else {}
        unlisted = {one.device.pci_bus_id.lower() for one in held if one.holders is None}
        files = {path: address for path, address in self._files.items() if address in unlisted}
        self._open = holders_of_files(self._census.proc, files)

    def _asked_kubelet(self) -> list[PodDevice]:
        if self._kubelet is None or not self._kubelet.is_here:
            return []
        try:
            return self._kubelet.devices()
        except PodResourcesError as error:
            self._errors.append(ReadError("kubelet", str(error)))
            return []

    def _ask_docker(self) -> None:
        """Names that were known stay while the engine does not answer: a container keeps its own."""
        if self._docker is None:
            return
        try:
            self._names = self._docker.names()
        except DockerError as error:
            self._errors.append(ReadError("docker", str(error)))

    def _named(self, workload: Workload) -> Workload:
        """A container outside Kubernetes by its name, where the engine told it."""
        name = self._names.get(workload.container) if workload.scheduler == "docker" else None
        return replace(workload, container=name) if name else workload

    def _reporting(self, spoken: Mapping[int, Spoken]) -> Iterable[Workload]:
        """Jobs that report steps, with the scheduler and the user of the process that does."""
        for pid, said in spoken.items():
            resident = self._census.find(pid)
            if resident is not None:
                yield as_spoken(resident.workload, said)

    def _attributed(self, held: Sequence[Held], spoken: Mapping[int, Spoken]) -> tuple[list[Sample], list[ReadError]]:
        found: list[Claim] = claims.settled(
            [
                *claims.by_pid(held, self._open, self._census, spoken),
                *claims.by_pod(held, self._pods),
                *claims.by_file(held, self._said),
                *claims.by_allocation(held, self._files, self._census),
            ]
        )
        pids = {holder.pid for one in held for holder in one.holders or ()}.union(*self._open.values())
        self._holders = [pid for pid in pids if self._census.is_alive(pid)]
        running = _distinct([*self._census.workloads, *self._reporting(spoken)])
        errors = [
            ReadError("over_limit", f"{len(all_)} {what}, of which {most} are named")
            for what, all_, most in (("claims", found, _MOST_CLAIMS), ("workloads", running, _MOST_WORKLOADS))
            if len(all_) > most
        ]
        return [
            *(_device_sample(replace(one, workload=self._named(one.workload))) for one in found[:_MOST_CLAIMS]),
            *(Sample(host.WORKLOAD_INFO, self._named(one).labels, 1.0) for one in running[:_MOST_WORKLOADS]),
        ], errors


def _device_sample(claim: Claim) -> Sample:
    return Sample(device.WORKLOAD_INFO, (claim.uuid, claim.instance_id, *claim.workload.labels), 1.0)


def _distinct(workloads: Iterable[Workload]) -> list[Workload]:
    """Without those of which another one says all and more: a job's launcher beside its ranks."""
    groups: dict[tuple[str, str, str], list[Workload]] = {}
    for one in dict.fromkeys(workloads):
        groups.setdefault((one.scheduler, one.pod, one.container or one.job_id), []).append(one)
    kept = [
        one
        for group in groups.values()
        for one in group
        if not (one.rank == "" and any(other != one and other.covers(one) for other in group))
    ]
    return sorted(kept, key=lambda workload: workload.labels)
