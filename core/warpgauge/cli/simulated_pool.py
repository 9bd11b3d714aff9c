"""The simulated fleet as a pool for the planner: the jobs that its telemetry shows, and the queue before them."""

from __future__ import annotations

from typing import TYPE_CHECKING

from warpgauge.analyzer.planning.live import LivePool
from warpgauge.analyzer.planning.openb import Workload
from warpgauge.analyzer.planning.pool import MILLI, Node, Pod, Request
from warpgauge.exporters.synthetic import Fleet, roster
from warpgauge.exporters.synthetic.sessions import Server

if TYPE_CHECKING:
    from collections.abc import Iterator

    from warpgauge.exporters.synthetic.node import Node as Machine
    from warpgauge.exporters.synthetic.workload import Workload as Job

__all__ = ["simulated_pool"]

_MIB = 2**20


def simulated_pool(fleet: Fleet) -> LivePool:
    """Where each simulated job runs and what waits; a job takes its devices' share of a node's cores and memory."""
    running = [(pod, seat) for job in fleet.jobs for pod, seat in _running(fleet, job)]
    largest = max(fleet.nodes, key=lambda one: len(one.gpus))
    waiting = [_waiting(one, largest) for one in roster.QUEUE]
    return LivePool(
        nodes=tuple(_node(one) for one in fleet.nodes),
        workload=Workload(
            pods=(*(pod for pod, _ in running), *waiting), seats={pod.name: seat for pod, seat in running}
        ),
        left_out=(),
        is_simulated=True,
    )


def _node(machine: Machine) -> Node:
    host = machine.host
    return Node(
        name=machine.name,
        cpu_milli=MILLI * host.cpu_count,
        memory_mib=int(host.memory_total_bytes / _MIB),
        gpu_count=len(machine.gpus),
        model=machine.gpus[0].board.model if machine.gpus else "",
    )


def _running(fleet: Fleet, job: Job) -> Iterator[tuple[Pod, tuple[str, tuple[int, ...]]]]:
    """One pod a node; those of a job on several nodes are a gang."""
    held: dict[int, list[int]] = {}
    for seat in job.seats:
        held.setdefault(seat.node, []).append(fleet.nodes[seat.node].gpus.index(seat.gpu))
    owner = job.owner
    for number, gpus in held.items():
        machine = fleet.nodes[number]
        yield (
            Pod(
                name=f"{owner.job_id}/{machine.name}" if len(held) > 1 else owner.job_id,
                request=_request(machine, len(gpus)),
                is_movable=not isinstance(job, Server),  # people wait for its answers
                tenant=owner.user,
                gang=owner.job_id if len(held) > 1 else "",
            ),
            (machine.name, tuple(gpus)),
        )


def _waiting(queued: roster.Queued, machine: Machine) -> Pod:
    gpus = max(1, int(len(machine.gpus) * queued.node_ratio))
    return Pod(name=queued.owner.job_id, request=_request(machine, gpus), tenant=queued.owner.user)


def _request(machine: Machine, gpus: int) -> Request:
    node = _node(machine)
    return Request(
        cpu_milli=node.cpu_milli * gpus // max(1, node.gpu_count),
        memory_mib=node.memory_mib * gpus // max(1, node.gpu_count),
        gpu_count=gpus,
        gpu_milli=MILLI,
    )
