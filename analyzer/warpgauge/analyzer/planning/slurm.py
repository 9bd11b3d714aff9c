"""A Slurm cluster in the planner's words: nodes, jobs as pods, accounts as tenants, partitions as zones.

A job on several nodes is a gang with one pod per node, `ID/NODE` where it runs and `ID/0` onward where it waits. A
node that takes no work (down, drained, reserved, ...) is left out with what runs there. Only whole devices are read:
a cluster that shares GPUs (gres/shard, gres/mps) shows them as free.
"""

from __future__ import annotations

from dataclasses import replace
from itertools import combinations
from typing import TYPE_CHECKING, Final

from warpgauge.analyzer.planning.live import LeftOut, LivePool
from warpgauge.analyzer.planning.openb import Workload
from warpgauge.analyzer.planning.pool import MILLI, Node, Place, Pod, Request
from warpgauge.core.errors import ConfigError, InputError

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence

    from warpgauge.core.slurm import Allocation, Slurm, SlurmJob, SlurmNode

__all__ = ["MOST_TASKS", "pool_of", "read_pool"]

MOST_TASKS: Final = 1000  # of a waiting array that are planned for; they are alike, and the rest follows them
_ATTEMPTS: Final = 3
_RUNNING: Final = "RUNNING"
_WAITING: Final = "PENDING"
_FOR_ROOM: Final = frozenset({"None", "Resources", "Priority"})  # reasons that a place would end


def read_pool(slurm: Slurm, *, partition: str | None = None) -> LivePool:
    """The cluster now.

    Nodes and jobs come from two calls: a job that started or ended between them is noticed, and both are read again.

    Raises:
        SlurmError: Slurm does not answer.
        InputError: it answers something else, or three readings in a row did not fit together.
        ConfigError: there is no such partition, or partitions share nodes and none was named.

    """
    for _ in range(_ATTEMPTS):
        before, nodes, after = slurm.jobs(), slurm.nodes(), slurm.jobs()
        if _holdings(before) == _holdings(after):
            return pool_of(nodes, after, partition=partition)
    msg = f"squeue: jobs started or ended during each of {_ATTEMPTS} readings; try again"
    raise InputError(msg)


def pool_of(nodes: Sequence[SlurmNode], jobs: Sequence[SlurmJob], *, partition: str | None = None) -> LivePool:
    """The pool that these nodes and jobs make, of one partition or of all; errors as for `read_pool`."""
    waiting = [job for job in jobs if job.state == _WAITING and partition in {None, job.partition}]
    if partition is not None:
        _refuse_unknown(nodes, partition)
        nodes = [node for node in nodes if partition in node.partitions]
    zones = _zones(nodes, {job.partition for job in waiting})
    left_out = [LeftOut(what=f"node {node.name}", why=why) for node in nodes if (why := node.why_not) is not None]
    in_force = {node.name: _node(node, zones[node.name]) for node in nodes if node.why_not is None}
    running = [pair for job in jobs if job.held for pair in _running(job, in_force, {job.partition for job in waiting})]
    pods = [pod for pod, _ in running]
    for job in waiting:
        if (why := _why_not_planned(job)) is not None:
            left_out.append(LeftOut(what=f"job {job.id}", why=why))
        else:
            pods += _waiting(job)
    return LivePool(
        nodes=tuple(in_force.values()),
        workload=Workload(pods=tuple(pods), seats={pod.name: seat for pod, seat in running}),
        left_out=tuple(left_out),
    )


def _holdings(jobs: Iterable[SlurmJob]) -> set[tuple[object, ...]]:
    """What must not change between two readings."""
    return {(job.id, job.restarts, job.state, job.held) for job in jobs if job.held or job.state == _RUNNING}


def _refuse_unknown(nodes: Sequence[SlurmNode], partition: str) -> None:
    known = sorted({name for node in nodes for name in node.partitions})
    if partition not in known:
        msg = f"no node is in partition {partition!r}; there are {', '.join(known)}"
        raise ConfigError(msg)


def _zones(nodes: Sequence[SlurmNode], waiting: set[str]) -> dict[str, str]:
    """Each node's zone: the partition in which jobs wait for it, else the partitions it is in.

    A node has one zone only, so of partitions that share nodes whoever asks names one.
    """
    members = {one: {node.name for node in nodes if one in node.partitions} for one in sorted(waiting)}
    for one, other in combinations(members, 2):
        if shared := members[one] & members[other]:
            msg = f"partitions {one} and {other} share nodes ({min(shared)}): name one with --partition"
            raise ConfigError(msg)
    return {
        node.name: next((one for one in node.partitions if one in waiting), "+".join(sorted(node.partitions)))
        for node in nodes
    }


def _node(node: SlurmNode, zone: str) -> Node:
    return Node(
        name=node.name,
        cpu_milli=MILLI * node.cpus,
        memory_mib=node.memory_mib,
        gpu_count=node.gpu_count,
        model=node.model,
        zone=zone,
    )


def _running(
    job: SlurmJob, nodes: Mapping[str, Node], waiting: set[str]
) -> list[tuple[Pod, tuple[str, tuple[int, ...]]]]:
    """The pods of a job that holds something, with their seats, as far as they are on nodes of the pool.

    What a requeue would throw away is unknown: Slurm does not hear of checkpoints. A job that is partly elsewhere is
    not movable, nor one that Slurm could not start again by itself, nor a guest in another partition's zone.
    """
    inside = [held for held in job.held if held.node in nodes]
    may_move = (
        (job.state, job.is_batch, job.is_requeueable) == (_RUNNING, True, True)
        and len(inside) == len(job.held)
        and all(nodes[held.node].zone == job.partition or nodes[held.node].zone not in waiting for held in inside)
    )
    is_gang = len(job.held) > 1
    return [
        (
            Pod(
                name=f"{job.id}/{held.node}" if is_gang else str(job.id),
                request=_held(held, job.asked.model, nodes[held.node]),
                is_movable=may_move,
                tenant=job.tenant,
                gang=str(job.id) if is_gang else "",
            ),
            (held.node, held.gpus),
        )
        for held in inside
    ]


def _held(held: Allocation, model: str, node: Node) -> Request:
    return Request(
        cpu_milli=MILLI * held.cpus,
        memory_mib=held.memory_mib,
        gpu_count=len(held.gpus),
        gpu_milli=MILLI if held.gpus else 0,
        models=frozenset({model} & {node.model} - {""}),
        place=Place(zones=frozenset({node.zone or ""})),
    )


def _why_not_planned(job: SlurmJob) -> str | None:
    """What keeps a pending job out of the plan, None if a place is all that it waits for."""
    if job.reason not in _FOR_ROOM:
        return f"pending for {job.reason}, not for room"
    if job.asked.by_name:
        return "asks for or excludes nodes by name or feature, which a plan does not know"
    if job.asked.gpu_count is None:
        return "does not say how many GPUs of one node it needs"
    return None


def _waiting(job: SlurmJob) -> list[Pod]:
    """The pods of a waiting job; each task of an array waits by itself."""
    asked = job.asked
    request = Request(
        cpu_milli=MILLI * asked.cpus,
        memory_mib=asked.memory_mib,
        gpu_count=asked.gpu_count or 0,
        gpu_milli=MILLI if asked.gpu_count else 0,
        models=frozenset({asked.model} - {""}),
        place=Place(zones=frozenset({job.partition})),
    )
    one = Pod(name="", request=request, tenant=job.tenant)
    names = [f"{job.id}_{task}" for task in _tasks(job.tasks)] if job.tasks else [str(job.id)]
    if asked.nodes == 1:
        return [replace(one, name=name) for name in names]
    return [replace(one, name=f"{name}/{number}", gang=name) for name in names for number in range(asked.nodes)]


def _tasks(text: str) -> list[int]:
    """The first `MOST_TASKS` numbers of `1-5,9,20-40:5%2`; none where it is cut short or something else."""
    tasks: list[int] = []
    for part in text.partition("%")[0].split(","):
        span, _, step = part.partition(":")
        first, _, last = span.partition("-")
        words = (first, last or first, step or "1")
        if not all(word.isascii() and word.isdecimal() and len(word) <= len(str(2**32)) for word in words):
            continue
        start, end, stride = map(int, words)
        tasks += range(start, end + 1, max(stride, 1))[: MOST_TASKS - len(tasks)]
    return tasks
