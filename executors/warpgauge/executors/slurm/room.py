"""Whether a job would find room elsewhere right away: a gang is never ended in hope."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.core.slurm import Allocation, SlurmJob, SlurmNode

__all__ = ["nodes_with_room"]


def nodes_with_room(job: SlurmJob, avoid: str, nodes: Sequence[SlurmNode], jobs: Sequence[SlurmJob]) -> list[str]:
    """Nodes other than `avoid` on which the job's largest part fits, once it has left those that it holds now.

    A node must take work, be in the job's partition, have its features and have the CPUs, memory and devices free of
    other jobs. Nodes that the job excludes already are unknown here and counted in; of features only `a` and `a&b` are
    understood, for any other expression no node will do.
    """
    part = _largest(job)
    features = frozenset(job.features.split("&")) - {""}
    taken: dict[str, list[Allocation]] = {}
    for other in jobs:
        if other.id != job.id:
            for held in other.held:
                taken.setdefault(held.node, []).append(held)
    return [
        node.name
        for node in nodes
        if node.name != avoid
        and node.why_not is None
        and job.partition in node.partitions
        and features <= node.features
        and _fits(part, node, taken.get(node.name, []))
    ]


def _largest(job: SlurmJob) -> tuple[int, int, int]:
    """CPUs, memory and devices of one node that would do for any part of the job."""
    asked = job.asked
    held = [(one.cpus, one.memory_mib, len(one.gpus)) for one in job.held]
    parts = held or [(asked.cpus, asked.memory_mib, asked.gpu_count or 0)]
    return max(part[0] for part in parts), max(part[1] for part in parts), max(part[2] for part in parts)


def _fits(part: tuple[int, int, int], node: SlurmNode, taken: Sequence[Allocation]) -> bool:
    cpus, memory_mib, gpus = part
    return (
        cpus <= node.cpus - sum(one.cpus for one in taken)
        and memory_mib <= node.memory_mib - sum(one.memory_mib for one in taken)
        and gpus <= node.gpu_count - sum(len(one.gpus) for one in taken)
    )
