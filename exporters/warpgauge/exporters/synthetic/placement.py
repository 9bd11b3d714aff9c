"""Which job sits on which devices: drawn from the seed, whole nodes at a time."""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING

from warpgauge.core.finding import FindingKind
from warpgauge.exporters.synthetic import roster
from warpgauge.exporters.synthetic.job import TrainingJob
from warpgauge.exporters.synthetic.sessions import Notebook, Server
from warpgauge.exporters.synthetic.workload import Seat

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence

    from warpgauge.exporters.synthetic.gpu import Gpu
    from warpgauge.exporters.synthetic.workload import Workload

__all__ = ["place_jobs"]


def place_jobs(
    seed: int, gpus: Sequence[Sequence[Gpu]], *, begin: float, starts: Mapping[str, float]
) -> tuple[Workload, ...]:
    """Jobs over the devices of each node; every eight nodes hold one roster, nodes beyond the last eight stay free."""
    order = list(range(len(gpus)))
    Random(f"{seed}:placement").shuffle(order)
    jobs: list[Workload] = []
    for block in range(len(order) // roster.BLOCK_NODES):
        numbers = order[block * roster.BLOCK_NODES : (block + 1) * roster.BLOCK_NODES]
        jobs += _place_block(seed, f"-{block + 1}" if block else "", iter(numbers), gpus, begin, starts)
    return tuple(jobs)


def _place_block(  # noqa: PLR0913, PLR0917 - one caller; what a block needs
    seed: int,
    suffix: str,
    numbers: Iterator[int],
    gpus: Sequence[Sequence[Gpu]],
    begin: float,
    starts: Mapping[str, float],
) -> Iterator[Workload]:
    def random(owner: roster.Owner) -> Random:
        return Random(f"{seed}:job:{owner.job_id}")

    def seats(nodes: int, ratio: float = 1.0) -> tuple[Seat, ...]:
        taken = [next(numbers) for _ in range(nodes)]
        return tuple(Seat(node, gpu) for node in taken for gpu in gpus[node][: max(1, int(len(gpus[node]) * ratio))])

    def owned(owner: roster.Owner) -> roster.Owner:
        return replace(owner, job_id=owner.job_id + suffix)

    for plan in roster.TRAINING:
        training = replace(plan, owner=owned(plan.owner))
        yield TrainingJob(training, seats(training.nodes), random(training.owner), begin)
    notebook = replace(roster.NOTEBOOK, owner=owned(roster.NOTEBOOK.owner))
    anchor = starts[FindingKind.IDLE_ALLOCATED]
    yield Notebook(notebook, seats(1, notebook.node_ratio), random(notebook.owner), begin, anchor)
    serving = replace(roster.SERVING, owner=owned(roster.SERVING.owner))
    yield Server(serving, seats(1, serving.node_ratio), random(serving.owner), begin)
