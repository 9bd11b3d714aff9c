"""A watched cluster in the planner's words: its nodes with the devices that answer, and the jobs that hold them.

Only devices are known here, not what CPU and memory anyone asked for: a place that this finds is one that the
scheduling core, and its executor before it acts, must find too. A partitioned device is no whole one and is not
counted; a job on several nodes is a gang of one pod a node.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

import numpy as np

from warpgauge.analyzer.bottlenecks.thermal_limited import LEAST_COVERAGE, read_thermal
from warpgauge.analyzer.detection.places import nodes_of_jobs
from warpgauge.analyzer.health.throttle import braked_ratio
from warpgauge.analyzer.planning.cluster import Seat
from warpgauge.analyzer.planning.occupancy import Occupancy
from warpgauge.analyzer.planning.pool import MILLI, Node, Pod, Request
from warpgauge.core.catalog import device
from warpgauge.core.finding import FindingKind, Level

if TYPE_CHECKING:
    from collections.abc import Collection, Mapping, Sequence

    from warpgauge.analyzer.frame import Frame
    from warpgauge.analyzer.frame.entities import DeviceEntity, JobKey

__all__ = ["SLOWED_NODE", "Watched", "pod_of", "watched_cluster"]

SLOWED_NODE: Final = frozenset({FindingKind.THERMAL_LIMITED, FindingKind.HARDWARE_THROTTLE})
"""Findings that say so of a device of the node."""

_MIXED: Final = "several models"


@dataclass(frozen=True, slots=True, kw_only=True)
class Watched:
    """What runs where on a cluster, and how long its nodes throttled for heat or power, 0-1, where it was measured."""

    occupancy: Occupancy
    throttled_ratio: Mapping[str, float]
    rack_of: Mapping[str, str]


def pod_of(job: str, node: str) -> str:
    """The pod that a job is on a node."""
    return f"{job}@{node}"


def watched_cluster(frame: Frame, cluster: str, movable: Collection[str]) -> Watched:
    """The cluster as the frame shows it; the jobs named `movable` may be started elsewhere by their core."""
    rows = _rows_by_node(frame, cluster)
    occupancy = Occupancy(_node(frame, name, devices) for name, devices in rows.items())
    holders = np.bincount(
        np.array([row for job in frame.jobs.values() for row in job.devices], dtype=np.int64),
        minlength=len(frame.devices),
    ).tolist()
    holding, nodes_of = frame.device_job, nodes_of_jobs(frame)
    for name, devices in rows.items():
        place = occupancy.cluster.index[name]
        node = occupancy.cluster.nodes[place]
        for job, held in _held(holding, devices).items():
            pod = Pod(
                name=pod_of(job, name),
                request=Request(cpu_milli=0, gpu_count=len(held), gpu_milli=MILLI, models=frozenset({node.model})),
                is_movable=job in movable
                and node.model not in {"", _MIXED}
                and all(holders[devices[at]] == 1 for at in held),
                gang=job if len(nodes_of[cluster, job]) > 1 else "",
            )
            occupancy.start(pod, Seat(place, tuple(held)))
    racks = {name: frame.layout.name(Level.RACK, cluster, name) for name in rows}
    return Watched(
        occupancy=occupancy,
        throttled_ratio=_throttled(frame, rows),
        rack_of={name: rack for name, rack in racks.items() if rack},
    )


def _rows_by_node(frame: Frame, cluster: str) -> dict[str, list[int]]:
    """Per node the rows of its whole devices that answer, or that a job holds whatever their state."""
    answers = frame.latest(device.DEVICE_STATE, "ok") == 1
    is_there = (answers | (frame.device_job_names > 0)).tolist()
    partitioned = {_board(one) for one in frame.devices.entities if one.instance_id}
    rows: dict[str, list[int]] = {}
    for row, one in enumerate(frame.devices.entities):
        if (
            is_there[row]
            and one.cluster == cluster
            and one.node
            and (not partitioned or _board(one) not in partitioned)
        ):
            rows.setdefault(one.node, []).append(row)
    return rows


def _board(one: DeviceEntity) -> tuple[str, str, str]:
    return (one.cluster, one.node, one.uuid)


def _node(frame: Frame, name: str, devices: list[int]) -> Node:
    entities = frame.devices.entities
    models = {entities[row].model for row in devices}
    model = next(iter(models)) if len(models) == 1 else _MIXED
    return Node(name=name, cpu_milli=0, memory_mib=0, gpu_count=len(devices), model=model)


def _held(holding: Sequence[JobKey | None], devices: list[int]) -> dict[str, list[int]]:
    """Per job its devices, as numbers within the node; of several jobs on one device, the one that came last."""
    held: dict[str, list[int]] = {}
    for at, row in enumerate(devices):
        job = holding[row]
        if job is not None:
            held.setdefault(job[1], []).append(at)
    return held


def _throttled(frame: Frame, rows: Mapping[str, list[int]]) -> dict[str, float]:
    """Per node the longest that one of its devices was held down by heat or by a power brake; only if measured."""
    heat, brake = read_thermal(frame), np.nan_to_num(braked_ratio(frame))
    share, is_known = np.maximum(heat.share, brake), heat.covered >= LEAST_COVERAGE
    of_rows, known = share.tolist(), is_known.tolist()
    return {
        name: max(of_rows[row] for row in devices)
        for name, devices in rows.items()
        if all(known[row] for row in devices)
    }
