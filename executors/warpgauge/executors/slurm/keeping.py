"""Partitions that are left alone: neither their nodes nor their jobs are touched, whatever is recommended."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.core.errors import InputError
from warpgauge.core.recommendation import TargetType
from warpgauge.core.slurm import SlurmError
from warpgauge.executors.protocol import ExecutionError

if TYPE_CHECKING:
    from collections.abc import Collection, Iterator

    from warpgauge.core.ack import NativeRef
    from warpgauge.core.recommendation import Recommendation, RecommendationKind
    from warpgauge.core.slurm import Slurm
    from warpgauge.executors.protocol import Executor, Intent, Order

__all__ = ["KeepingPartitions"]

_UNREACHABLE: Final = "slurmUnreachable"


class KeepingPartitions:
    """Another executor for Slurm, asked only about what is in none of these partitions."""

    def __init__(self, inner: Executor, slurm: Slurm, partitions: Collection[str]) -> None:
        self._inner = inner
        self._slurm = slurm
        self._partitions = frozenset(partitions)

    @property
    def name(self) -> str:
        """As of the other one."""
        return self._inner.name

    @property
    def platform(self) -> str | None:
        """As of the other one."""
        return self._inner.platform

    @property
    def kinds(self) -> frozenset[RecommendationKind]:
        """As of the other one."""
        return self._inner.kinds

    @property
    def takes_simulated(self) -> bool:
        """As of the other one."""
        return self._inner.takes_simulated

    def objection(self, order: Order) -> str | None:
        """That it is in a partition that is left alone, or what the other one has against it.

        What was done before a partition was named is taken back all the same.
        """
        kept = None if order.is_undo else next(self._kept(order.advice), None)
        return kept or self._inner.objection(order)

    def intents(self, order: Order) -> tuple[Intent, ...]:
        """As of the other one."""
        return self._inner.intents(order)

    def found(self, order: Order) -> tuple[NativeRef, ...] | None:
        """As of the other one."""
        return self._inner.found(order)

    def execute(self, order: Order) -> tuple[NativeRef, ...]:
        """As of the other one."""
        return self._inner.execute(order)

    def _kept(self, advice: Recommendation) -> Iterator[str]:
        nodes = {target.name if target.type is TargetType.NODE else target.node for target in advice.target}
        jobs = {target.name for target in advice.target if target.type is TargetType.WORKLOAD}
        try:
            held = {node.name: self._partitions & set(node.partitions) for node in self._slurm.nodes()}
            queued = (
                {str(job.id): self._partitions & set(job.partition.split(",")) for job in self._slurm.jobs()}
                if jobs
                else {}
            )
        except (SlurmError, InputError) as error:
            raise ExecutionError(_UNREACHABLE, str(error), may_succeed_later=True) from error
        for what, names, known in (("node", nodes, held), ("job", jobs, queued)):
            for name in sorted(filter(None, names)):
                if partitions := known.get(name):
                    where = f"in partition {min(partitions)}, which is left alone (acting.keep_partitions)"
                    yield f"{what} {name} is {where}"
