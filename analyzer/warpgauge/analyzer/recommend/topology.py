"""What the recommender has to know of the fleet: who schedules a job, how many nodes there are, what is free."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

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
    entities = frame.devices.entities
    is_free = np.isnan(frame.allocated_since) & (frame.latest(device.DEVICE_STATE, "ok") == 1)
    spares = Counter((entities[row].cluster, entities[row].model) for row in np.flatnonzero(is_free))
    return Topology(
        nodes=Counter(cluster for cluster, _ in frame.sites.keys),
        platforms={key: job.scheduler for key, job in frame.jobs.items() if job.scheduler in _PLATFORMS},
        models=frame.once("models", lambda: _models(frame), frame.devices.changes),
        spares=spares,
        window_seconds=frame.columns * frame.step_seconds,
    )


def _models(frame: Frame) -> dict[tuple[str, str], str]:
    return {(entity.cluster, entity.uuid): entity.model for entity in frame.devices.entities}
