"""What the recommender has to know of the fleet: who schedules a job, how many nodes there are, what is free."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from warpgauge.analyzer.detection.places import nodes_of_jobs
from warpgauge.core.catalog import device

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.planning.moves import MovePlan
    from warpgauge.analyzer.recommend.parting import Parting

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
    job_nodes: Mapping[tuple[str, str], frozenset[str]] = field(default_factory=dict)  # (cluster, job_id) -> its nodes
    users: Mapping[tuple[str, str], str] = field(default_factory=dict)  # (cluster, job_id) -> whose it is
    opted_out: frozenset[tuple[str, str]] = frozenset()  # (cluster, node) that is to be left alone
    age_seconds: float | None = None  # of the newest sample; None if nobody can tell
    relief: Mapping[str, MovePlan] = field(default_factory=dict)  # finding id -> the move off a hot node, if it pays
    parting: Mapping[str, Parting] = field(default_factory=dict)  # finding id -> who leaves whom, if there is a place

    def spare_for(self, cluster: str, uuid: str) -> int:
        """How many devices could take the place of this one."""
        model = self.models.get((cluster, uuid), "")
        return self.spares.get((cluster, model), 0) if model else 0


def topology_of(
    frame: Frame,
    *,
    now: float | None = None,
    opted_out: frozenset[tuple[str, str]] = frozenset(),
    scheduler: str = "none",
) -> Topology:
    """Read it off the frame, at a time `now` in seconds since the epoch; `scheduler` is that of jobs nobody names."""
    entities = frame.devices.entities
    is_free = np.isnan(frame.allocated_since) & (frame.latest(device.DEVICE_STATE, "ok") == 1)
    spares = Counter((entities[row].cluster, entities[row].model) for row in np.flatnonzero(is_free))
    return Topology(
        nodes=frame.sites.totals,
        platforms=_platforms(frame, scheduler),
        models=frame.once("models", lambda: _models(frame), frame.devices.changes),
        spares=spares,
        window_seconds=frame.columns * frame.step_seconds,
        job_nodes=nodes_of_jobs(frame),
        users={key: job.user for key, job in frame.jobs.items() if job.user},
        opted_out=opted_out,
        age_seconds=None if now is None else max(0.0, now - frame.newest_sample),
    )


def _platforms(frame: Frame, scheduler: str) -> dict[tuple[str, str], str]:
    named = {
        key: scheduler if job.scheduler == "none" and not job.devices else job.scheduler
        for key, job in frame.jobs.items()
    }
    return {key: name for key, name in named.items() if name in _PLATFORMS}


def _models(frame: Frame) -> dict[tuple[str, str], str]:
    return {(entity.cluster, entity.uuid): entity.model for entity in frame.devices.entities}
