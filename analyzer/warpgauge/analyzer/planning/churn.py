"""A cluster in steady use: pods come and go at random until nothing is left of how it was filled."""

from __future__ import annotations

import random
from dataclasses import replace
from typing import TYPE_CHECKING

from warpgauge.analyzer.planning.occupancy import Occupancy
from warpgauge.analyzer.planning.policies import placer_for
from warpgauge.analyzer.planning.pool import MILLI

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.analyzer.planning.pool import Node, Pod

__all__ = ["churned"]


def churned(  # noqa: PLR0913 - what makes two states of a cluster differ
    nodes: Sequence[Node], pods: Sequence[Pod], policy: str, *, load_ratio: float, departures: int, seed: int
) -> Occupancy:
    """What runs after so many departures at a steady load: `load_ratio` of the GPUs asked for, 0-1.

    Whenever the load is below, a random pod of the list arrives (under a new name, as one that runs may arrive again);
    each departure is of a random running pod. One that finds no room is turned away. The list must ask for GPUs.
    """
    rng = random.Random(seed)  # noqa: S311 - arrivals need no cryptography
    occupancy = Occupancy(nodes)
    placer = placer_for(policy, occupancy.cluster, pods, seed=seed)
    goal = load_ratio * MILLI * sum(node.gpu_count for node in nodes)
    running: list[str] = []
    used = number = turned_away = 0
    while departures > 0 and turned_away < len(pods):
        if used >= goal:
            name = _leave(running, rng)
            used -= occupancy.pods[name].request.total_gpu_milli
            placer.touch(occupancy.stop(name).node)
            departures -= 1
            continue
        number += 1
        pod = _renamed(rng.choice(pods), number)
        seat = placer.best(pod.request)
        turned_away = turned_away + 1 if seat is None else 0
        if seat is not None:
            occupancy.start(pod, seat)
            placer.touch(seat.node)
            running.append(pod.name)
            used += pod.request.total_gpu_milli
    return occupancy


def _leave(running: list[str], rng: random.Random) -> str:
    place = rng.randrange(len(running))
    running[place], running[-1] = running[-1], running[place]
    return running.pop()


def _renamed(pod: Pod, number: int) -> Pod:
    return replace(pod, name=f"{pod.name}.{number}")
