"""Where things stand in the frame: the scope of a device, of a rank and of a job, and who the peers of a device are."""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

import numpy as np

from warpgauge.core.finding import Scope

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.entities import DeviceEntity, Job, JobKey
    from warpgauge.analyzer.frame.table import Ints

__all__ = [
    "device_scope",
    "is_simulated",
    "job_scope",
    "model_numbers",
    "nodes_of_devices",
    "nodes_of_jobs",
    "only",
    "rank_of_device",
    "whole_job_scope",
]


def only(names: Sequence[str]) -> str | None:
    """The one name that all share, None if they differ or none is known."""
    different = set(names)
    return different.pop() or None if len(different) == 1 else None


def device_scope(frame: Frame, row: int) -> Scope:
    """A device with the job that holds it and the rank that runs on it, as far as known."""
    known: dict[int, Scope] = frame.once("device scopes", dict, (frame.job_version, frame.devices.changes))
    scope = known.get(row)
    if scope is None:
        scope = known[row] = _device_scope(frame, row)
    return scope


def _device_scope(frame: Frame, row: int) -> Scope:
    device: DeviceEntity = frame.devices.entities[row]
    job = frame.device_job[row]
    return Scope(
        cluster=device.cluster,
        node=device.node or None,
        uuid=device.uuid,
        instance_id=device.instance_id or None,
        job_id=job[1] if job else None,
        rank=rank_of_device(frame, row),
    )


def model_numbers(frame: Frame) -> Ints:
    """[device], a number for each model, in order of first sight."""

    def build() -> Ints:
        numbers: dict[str, int] = {}
        return np.array([numbers.setdefault(one.model, len(numbers)) for one in frame.devices.entities], dtype=np.int64)

    return frame.once("model numbers", build, frame.devices.changes)


def rank_of_device(frame: Frame, row: int) -> int | None:
    """Number of the rank that runs on a device, None if none reports or several do."""
    key = frame.device_job[row]
    if key is None or key not in frame.jobs:
        return None
    numbers = frame.of_job(key, "ranks by device", lambda: _ranks_by_device(frame, frame.jobs[key]))
    of_device = numbers.get(frame.devices.entities[row].uuid, ())
    return of_device[0] if len(of_device) == 1 else None


def _ranks_by_device(frame: Frame, job: Job) -> dict[str | None, list[int]]:
    ranks = frame.ranks.entities
    found: dict[str | None, list[int]] = {}
    for row in job.ranks:
        if ranks[row].rank >= 0:
            found.setdefault(ranks[row].uuid, []).append(ranks[row].rank)
    return found


def whole_job_scope(frame: Frame, job: Job) -> Scope:
    """A job, with the node and the device where all that it has, ranks too, is on one.

    A node's ranks may be known before its devices: then what is known of the devices alone would name another node.
    """
    key, ranks = (job.cluster, job.job_id), frame.ranks.entities
    of_devices = job_scope(frame, key, job.devices)
    node = only([*nodes_of_jobs(frame)[key]]) if of_devices.node else None
    of_ranks = {ranks[row].uuid for row in job.ranks} - {None}
    return replace(of_devices, node=node, uuid=of_devices.uuid if node and of_ranks <= {of_devices.uuid} else None)


def job_scope(frame: Frame, key: JobKey, devices: Sequence[int]) -> Scope:
    """A job for some of its devices, with the node and the device where these are one."""
    known = frame.devices.entities
    entities = [known[row] for row in devices]
    return Scope(
        cluster=key[0],
        node=only([device.node for device in entities]),
        uuid=only([device.uuid for device in entities]),
        job_id=key[1],
    )


def nodes_of_jobs(frame: Frame) -> dict[JobKey, frozenset[str]]:
    """The nodes of each job's devices and ranks, as far as they are known."""

    def build(_: JobKey, job: Job) -> frozenset[str]:
        devices, ranks = frame.devices.entities, frame.ranks.entities
        nodes = {devices[row].node for row in job.devices} | {ranks[row].node for row in job.ranks}
        return frozenset(nodes - {""})

    return frame.of_jobs("job nodes", build)


def nodes_of_devices(frame: Frame, job: Job) -> frozenset[str]:
    """The nodes of a job's devices, "" among them if one is unknown."""
    entities = frame.devices.entities
    key = (job.cluster, job.job_id)
    return frame.of_job(key, "device nodes", lambda: frozenset(entities[row].node for row in job.devices))


def is_simulated(frame: Frame, job: Job) -> bool:
    """Whether any part of the job is simulated."""
    devices, ranks = frame.devices.entities, frame.ranks.entities

    def build() -> bool:
        return any(devices[row].simulated for row in job.devices) or any(ranks[row].simulated for row in job.ranks)

    return frame.of_job((job.cluster, job.job_id), "is simulated", build)
