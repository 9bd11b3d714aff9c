"""One machine with its devices, and the step in which work becomes load on all of them."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from warpgauge.core.device import DeviceState
from warpgauge.exporters.synthetic.gpu import IDLE
from warpgauge.exporters.synthetic.workload import Demand

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from warpgauge.exporters.synthetic.gpu import Gpu, Work
    from warpgauge.exporters.synthetic.host import Host
    from warpgauge.exporters.synthetic.workload import Workload

__all__ = ["Node", "step_all"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Node:
    """One machine and its devices."""

    name: str
    host: Host
    gpus: tuple[Gpu, ...]


def step_all(nodes: Sequence[Node], jobs: Iterable[Workload], time: float, until: float) -> None:
    """Move machines and jobs from `time` to `until`: the one place where work becomes load."""
    demands = [Demand() for _ in nodes]
    works: dict[str, Work] = {}
    for job in jobs:
        for seat, work in zip(job.seats, job.advance(until, demands), strict=True):
            if work is not IDLE:  # a device that one job has left may work for the next
                works[seat.gpu.uuid] = work
    for node, demand in zip(nodes, demands, strict=True):
        node.host.advance(until - time, demand)
        for gpu in node.gpus:
            gpu.launch_cost_ratio = node.host.starvation_ratio * node.host.slow_ratio
            gpu.advance(until - time, works.get(gpu.uuid, IDLE))
            if gpu.state is DeviceState.OK:
                gpu.answered = until
