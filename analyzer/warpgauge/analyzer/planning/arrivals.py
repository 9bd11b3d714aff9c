"""The published way to load a cluster with a trace: all its pods in random order, then random ones of them again.

Weng et al., USENIX ATC 2023, section 6: arrivals go on until the requests reach a given multiple of the GPUs, and no
pod ever leaves. The times in the trace are a sample of arrivals and no load: a replay keeps under 1 % of GPUs busy.
"""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from warpgauge.analyzer.planning.pool import MILLI

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from warpgauge.analyzer.planning.placer import Placer
    from warpgauge.analyzer.planning.pool import Node, Pod

__all__ = ["arrivals", "place_all"]


def arrivals(pods: Sequence[Pod], nodes: Iterable[Node], *, seed: int, load_ratio: float = 1.3) -> list[Pod]:
    """Pods in the order of arrival, asking for up to `load_ratio` times the nodes' GPUs; none without GPU pods."""
    room = load_ratio * MILLI * sum(node.gpu_count for node in nodes)
    asked = sum(pod.request.total_gpu_milli for pod in pods)
    if not asked:
        return []
    rng = random.Random(seed)  # noqa: S311 - the order of arrival needs no cryptography
    order = list(pods)
    rng.shuffle(order)
    while asked > room:  # as the published one: random pods are left out
        asked -= order.pop(rng.randrange(len(order))).request.total_gpu_milli
    while asked + (pod := rng.choice(pods)).request.total_gpu_milli <= room:
        asked += pod.request.total_gpu_milli
        order.append(pod)
    return order


def place_all(placer: Placer, pods: Iterable[Pod]) -> list[Pod]:
    """Place pods in order; those that found no room, none of which is tried again."""
    waiting = []
    for pod in pods:
        seat = placer.best(pod.request)
        if seat is None:
            waiting.append(pod)
        else:
            placer.place(pod.request, seat)
    return waiting
