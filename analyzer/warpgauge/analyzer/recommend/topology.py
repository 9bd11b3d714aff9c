"""What the recommender has to know of the fleet: who schedules a job, how many nodes there are, what is free."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from warpgauge.core.catalog import device

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.analyzer.frame import Frame

__all__ = ["Topology", "topology_of"]

_PLATFORMS = frozenset({"kubernetes", "slurm", "yarn", "docker"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Topology:
    """Keys start with the cluster."""

    nodes: Mapping[str, int]  # of a cluster
    platforms: Mapping[tuple[str, str], str]  # (cluster, job_id) -> kubernetes, slurm, yarn or docker
    models: Mapping[tuple[str, str], str]  # (cluster, uuid) -> model
    spares: Mapping[tuple[str, str], int]  # (cluster, model) -> devices that answer and that no job holds
    window_seconds: float  # the longest time that a finding's impact can cover

    def spare_for(self, cluster: str, uuid: str) -> int:
        """How many devices could take the place of this one."""
        model = self.models.get((cluster, uuid), "")
        return self.spares.get((cluster, model), 0) if model else 0


def topology_of(frame: Frame) -> Topology:
    """Read it off the frame."""
    places = {(entity.cluster, entity.node) for entity in frame.nodes.entities}
    places |= {(entity.cluster, entity.node) for entity in frame.devices.entities}
    nodes: dict[str, int] = {}
    for cluster, _ in places:
        nodes[cluster] = nodes.get(cluster, 0) + 1
    is_ok = frame.latest(device.DEVICE_STATE, "ok") == 1
    spares: dict[tuple[str, str], int] = {}
    for entity, job, answers in zip(frame.devices.entities, frame.device_job, is_ok, strict=True):
        if job is None and answers:
            spares[(entity.cluster, entity.model)] = spares.get((entity.cluster, entity.model), 0) + 1
    return Topology(
        nodes=nodes,
        platforms={key: job.scheduler for key, job in frame.jobs.items() if job.scheduler in _PLATFORMS},
        models={(entity.cluster, entity.uuid): entity.model for entity in frame.devices.entities},
        spares=spares,
        window_seconds=frame.columns * frame.step_seconds,
    )
