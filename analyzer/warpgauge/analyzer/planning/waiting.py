"""Who of the waiting gets a place: jobs in fair order, a gang wholly or not at all, and why the rest waits on."""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np

from warpgauge.analyzer.planning.fairness import Resources, poorest
from warpgauge.analyzer.planning.pool import MILLI

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from warpgauge.analyzer.planning.cluster import Cluster, Seat
    from warpgauge.analyzer.planning.occupancy import Occupancy
    from warpgauge.analyzer.planning.placer import Placer
    from warpgauge.analyzer.planning.pool import Pod, Request

__all__ = ["Job", "Outcome", "jobs_of", "place_waiting", "why_waiting"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Job:
    """Pods that run together or not at all: a gang, or one pod."""

    name: str
    tenant: str
    pods: tuple[Pod, ...]


@dataclass(frozen=True, slots=True, kw_only=True)
class Outcome:
    """Pods that were given a seat, and jobs that wait on with the reason."""

    placed: tuple[tuple[Pod, Seat], ...]
    waiting: tuple[tuple[Job, str], ...]


def jobs_of(pods: Iterable[Pod]) -> list[Job]:
    """Pods as jobs, in the order of each job's first pod. Gangs of different tenants are different gangs."""
    groups: dict[tuple[str, str, str], list[Pod]] = {}
    for pod in pods:
        key = (pod.tenant, "gang", pod.gang) if pod.gang else (pod.tenant, "pod", pod.name)
        groups.setdefault(key, []).append(pod)
    return [Job(name=key[2], tenant=key[0], pods=tuple(group)) for key, group in groups.items()]


def place_waiting(
    occupancy: Occupancy,
    placer: Placer,
    jobs: Sequence[Job],
    *,
    past: Mapping[str, Resources] | None = None,
    weights: Mapping[str, float] | None = None,
) -> Outcome:
    """Give places by dominant-resource fairness, each tenant's jobs in their order; the occupancy is changed.

    `past` is each tenant's decayed use; what its pods hold now is added. `weights` are the tenants' entitlements.
    """
    queues = _queues(jobs)
    capacity = Resources.of_nodes(occupancy.cluster.nodes)
    held = _held(occupancy, past or {})
    placed: list[tuple[Pod, Seat]] = []
    waiting = []
    while queues:
        tenant = poorest(list(queues), held, capacity, weights or {})
        job = queues[tenant].popleft()
        if not queues[tenant]:
            del queues[tenant]
        seats = _try(occupancy, placer, job)
        if seats is None:
            waiting.append((job, why_waiting(occupancy.cluster, job)))
        else:
            placed += seats
            held[tenant] = held.get(tenant, Resources()) + Resources.of_pods(job.pods)
    return Outcome(placed=tuple(placed), waiting=tuple(waiting))


def _queues(jobs: Sequence[Job]) -> dict[str, deque[Job]]:
    queues: dict[str, deque[Job]] = {}
    for job in jobs:
        queues.setdefault(job.tenant, deque()).append(job)
    return queues


def _held(occupancy: Occupancy, past: Mapping[str, Resources]) -> dict[str, Resources]:
    held = dict(past)
    for pod in occupancy.pods.values():
        held[pod.tenant] = held.get(pod.tenant, Resources()) + Resources.asked(pod.request)
    return held


def _try(occupancy: Occupancy, placer: Placer, job: Job) -> list[tuple[Pod, Seat]] | None:
    """Seats for all pods of a job, largest first; None and no change if one has none."""
    seats: list[tuple[Pod, Seat]] = []
    for pod in sorted(job.pods, key=lambda one: (-one.request.total_gpu_milli, -one.request.cpu_milli, one.name)):
        seat = placer.best(pod.request)
        if seat is None:
            for started, taken in seats:
                occupancy.stop(started.name)
                placer.touch(taken.node)
            return None
        occupancy.start(pod, seat)
        placer.touch(seat.node)
        seats.append((pod, seat))
    return seats


def why_waiting(cluster: Cluster, job: Job) -> str:
    """What keeps a job from a place, in words: by the pod that fewest nodes have room for."""
    reasons = [_why(cluster, pod.request) for pod in job.pods]
    _, worst = min(reasons)
    return worst if len(job.pods) == 1 else f"its {len(job.pods)} pods do not all fit at once; {worst}"


def _why(cluster: Cluster, request: Request) -> tuple[int, str]:
    allowed = np.array([request.allows(node) for node in cluster.nodes], dtype=bool)
    able = allowed & np.array(
        [
            node.gpu_count >= request.gpu_count
            and node.cpu_milli >= request.cpu_milli
            and node.memory_mib >= request.memory_mib
            for node in cluster.nodes
        ],
        dtype=bool,
    )
    if not able.any():
        return 0, f"no node of the pool could ever hold {_words(request)}"
    has_gpus = (cluster.gpu_left >= request.gpu_milli).sum(axis=1) >= request.gpu_count
    has_rest = (cluster.cpu_left >= request.cpu_milli) & (cluster.memory_left >= request.memory_mib)
    fits = int((able & has_gpus & has_rest).sum())
    text = (
        f"{_words(request)}: of {int(able.sum())} such nodes {int((able & has_gpus).sum())} have the devices free, "
        f"{int((able & has_rest).sum())} the CPU and memory, {fits} both"
    )
    return fits + 1, text


def _words(request: Request) -> str:
    if request.gpu_count == 0:
        gpus = "no GPU"
    elif request.gpu_milli < MILLI:
        gpus = f"{request.gpu_milli / MILLI:g} GPU"
    else:
        gpus = f"{request.gpu_count} GPU{'s' if request.gpu_count > 1 else ''}"
    kind = f" ({'|'.join(sorted(request.models))})" if request.models else ""
    return f"{gpus}{kind}, {request.cpu_milli / 1000:g} cores, {request.memory_mib / 1024:.4g} GiB"
