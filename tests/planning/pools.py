"""Small pools of our own, in the likeness of real ones: few kinds of nodes, shares, whole devices and gangs."""

from __future__ import annotations

import random
from typing import TYPE_CHECKING

from hypothesis import strategies as st

from warpgauge.analyzer.planning.occupancy import Occupancy
from warpgauge.analyzer.planning.policies import placer_for
from warpgauge.analyzer.planning.pool import MILLI, Node, Pod, Request

if TYPE_CHECKING:
    from collections.abc import Sequence


def node(name: str, gpus: int = 8, *, cores: int = 96, model: str = "A", **place) -> Node:
    return Node(name=name, cpu_milli=1000 * cores, memory_mib=4096 * cores, gpu_count=gpus, model=model, **place)


def pod(name: str, gpus: float = 1, *, cores: float = 8, movable: bool = True, models=(), **more) -> Pod:
    """`gpus` below 1 is a share."""
    count = 0 if gpus == 0 else max(1, int(gpus))
    milli = 0 if gpus == 0 else round(MILLI * min(gpus, 1))
    request = Request(
        cpu_milli=round(1000 * cores),
        memory_mib=round(1024 * cores),
        gpu_count=count,
        gpu_milli=milli,
        models=frozenset(models),
    )
    return Pod(name=name, request=request, is_movable=movable, **more)


NODES = st.lists(
    st.sampled_from([(1, 8, "A"), (2, 32, "A"), (2, 104, "B"), (4, 32, "B"), (8, 96, "C"), (0, 16, "")]),
    min_size=1,
    max_size=6,
).map(lambda kinds: [node(f"n{place}", gpus, cores=cores, model=m) for place, (gpus, cores, m) in enumerate(kinds)])
_SHAPES = st.tuples(
    st.sampled_from([0, 0.05, 0.19, 0.32, 0.47, 0.65, 0.81, 1, 1, 2, 4, 8]),
    st.sampled_from([0.5, 3, 8, 12, 31]),
    st.sampled_from([(), (), (), ("A",), ("A", "C")]),
)
PODS = st.lists(_SHAPES, max_size=25).map(
    lambda shapes: [pod(f"p{place}", gpus, cores=cores, models=m) for place, (gpus, cores, m) in enumerate(shapes)]
)


def filled(nodes: Sequence[Node], pods: Sequence[Pod], policy: str = "spread", seed: int = 0) -> Occupancy:
    """An occupancy of all pods that found room, one by one."""
    occupancy = Occupancy(nodes)
    placer = placer_for(policy, occupancy.cluster, pods, seed=seed)
    for one in pods:
        seat = placer.best(one.request)
        if seat is not None:
            occupancy.start(one, seat)
            placer.touch(seat.node)
    return occupancy


def workload(seed: int, size: int) -> list[Pod]:
    """Pods in the proportions of a shared fleet: half whole devices, many shares, some CPU only, few of two GPUs."""
    rng = random.Random(seed)
    kinds = [(1, 11), (1, 12), (1, 4), (0.47, 11), (0.81, 3), (0.32, 4), (0.65, 12), (0, 12), (0, 32), (2, 20)]
    weights = [12, 8, 8, 8, 12, 5, 4, 6, 3, 1]
    chosen = rng.choices(kinds, weights, k=size)
    return [pod(f"w{place}", gpus, cores=cores, movable=place % 3 > 0) for place, (gpus, cores) in enumerate(chosen)]


def state(occupancy: Occupancy) -> tuple[object, ...]:
    """Everything of an occupancy that can be told from outside."""
    cluster = occupancy.cluster
    left = (cluster.cpu_left.tolist(), cluster.memory_left.tolist(), cluster.gpu_left.tolist())
    return left, dict(occupancy.seats), {one.name: one for one in occupancy.pods.values()}


def adds_up(occupancy: Occupancy) -> bool:
    """Whether what is left is exactly what the pods leave, and nothing is below 0."""
    fresh = Occupancy(occupancy.cluster.nodes)
    for name, one in occupancy.pods.items():
        fresh.start(one, occupancy.seat_of(name))
    same = state(fresh) == state(occupancy)
    cluster = occupancy.cluster
    return same and min(cluster.cpu_left.min(), cluster.memory_left.min(), cluster.gpu_left.min()) >= 0
