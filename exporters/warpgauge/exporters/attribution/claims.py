"""Which workload has which device: what drivers, files, kubelet and Slurm say, put together without saying it twice."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Final

from warpgauge.exporters.attribution.speaking import as_spoken
from warpgauge.exporters.attribution.workload import Claim, Holder

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from warpgauge.core.device import Device
    from warpgauge.exporters.attribution.census import Census
    from warpgauge.exporters.attribution.pod_resources import PodDevice
    from warpgauge.exporters.attribution.slurm_files import FileClaim
    from warpgauge.exporters.attribution.speaking import Spoken
    from warpgauge.exporters.attribution.workload import Workload

__all__ = ["Held", "by_allocation", "by_file", "by_pid", "by_pod", "settled"]

_MOST_HOLDERS: Final = 256  # processes of one device that are looked up
_GOOGLE: Final = "google.com/"  # whose device plugin names chips by their number


@dataclass(frozen=True, slots=True)
class Held:
    """A device and who has it open."""

    device: Device
    holders: tuple[Holder, ...] | None = None  # None: its driver does not list them
    instances: Mapping[str, str] = field(default_factory=dict)  # of a partitioned device: id by UUID


def by_pid(
    held: Iterable[Held], files: Mapping[str, set[int]], census: Census, spoken: Mapping[int, Spoken]
) -> Iterable[Claim]:
    """What the processes are that have a device open, and the job they report steps of.

    `files` are pids by PCI address where no driver lists them.
    """
    for one in held:
        holders = one.holders
        if holders is None:
            holders = tuple(Holder(pid) for pid in sorted(files.get(one.device.pci_bus_id.lower(), ())))
        for holder in holders[:_MOST_HOLDERS]:
            resident = census.find(holder.pid)
            if resident is not None:
                workload = as_spoken(resident.workload, spoken.get(holder.pid))
                yield Claim(one.device.uuid, holder.instance_id, workload)


def by_pod(held: Iterable[Held], given: Iterable[PodDevice]) -> Iterable[Claim]:
    """What the kubelet gave to containers, of the devices that are known here."""
    names = {}
    for one in held:
        device = one.device
        names[device.uuid] = names[device.pci_bus_id.lower()] = (device.uuid, "")
        names |= {uuid: (device.uuid, instance) for uuid, instance in one.instances.items()}
        if device.vendor == "google":
            names[f"{_GOOGLE}{device.index}"] = (device.uuid, "")
    for pod in given:
        prefix = _GOOGLE if pod.resource.startswith(_GOOGLE) else ""
        place = names.get(f"{prefix}{pod.device_id}") or names.get(pod.device_id.lower())
        if place is not None and pod.device_id:
            uuid, instance = place
            yield Claim(uuid, pod.instance_id or instance, pod.workload)


def by_file(held: Iterable[Held], said: Iterable[FileClaim]) -> Iterable[Claim]:
    """What Slurm's prologs wrote down, about NVIDIA's devices."""
    names = {}
    for one in held:
        if one.device.vendor == "nvidia":
            names[str(one.device.index)] = names[one.device.uuid] = one.device.uuid
    for name, instance, workload in said:
        if name in names:
            yield Claim(names[name], instance, workload)


def by_allocation(held: Iterable[Held], files: Mapping[str, str], census: Census) -> Iterable[Claim]:
    """What Slurm gave to jobs, whether they use it or not: it counts GPUs by their device files."""
    numbers = {}
    for one in held:
        if one.device.vendor == "nvidia":
            file = next((path for path, address in files.items() if address == one.device.pci_bus_id.lower()), "")
            number = file.removeprefix("/dev/nvidia")
            numbers[int(number) if number.isdecimal() else one.device.index] = one.device.uuid
    for workload, allocated in census.allocations():
        yield from (Claim(numbers[number], "", workload) for number in allocated if number in numbers)


def settled(claims: Iterable[Claim]) -> list[Claim]:
    """Each once: of two sources that mean the same workload, the one that says more."""
    found: dict[tuple[str, str], list[Claim]] = {}
    for claim in claims:
        found.setdefault((claim.uuid, claim.instance_id), []).append(claim)
    groups = [_with_pods(group) for group in found.values()]
    return sorted(
        {claim for group in groups for claim in group if not any(_says_more(one, claim) for one in group)},
        key=lambda claim: (claim.uuid, claim.instance_id, claim.workload.labels),
    )


def _with_pods(group: list[Claim]) -> list[Claim]:
    """What a process in a pod says, under the names that the kubelet gave, where it is plain which pod that is."""
    named = {claim.workload for claim in group if claim.workload.pod and claim.workload.container}
    return [replace(claim, workload=_in_pod(claim.workload, named)) for claim in group]


def _in_pod(workload: Workload, named: set[Workload]) -> Workload:
    if workload.scheduler != "kubernetes" or workload in named:
        return workload
    fitting = [pod for pod in named if (workload.namespace, workload.pod) in {("", ""), (pod.namespace, pod.pod)}]
    if len(fitting) != 1:
        return workload
    return replace(fitting[0], job_id=workload.job_id, rank=workload.rank)


def _says_more(one: Claim, other: Claim) -> bool:
    if one.workload == other.workload:
        return False
    is_nameless = other.workload.scheduler == "kubernetes" and not other.workload.pod
    is_named = one.workload.scheduler == "kubernetes" and bool(one.workload.pod)
    return one.workload.covers(other.workload) or (is_nameless and is_named)
