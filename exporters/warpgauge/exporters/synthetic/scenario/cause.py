"""What a cause is: what it strikes, how its size is measured, and when it is large enough to be asked for."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

    from warpgauge.core.finding import FindingKind
    from warpgauge.exporters.synthetic.gpu import Gpu
    from warpgauge.exporters.synthetic.host import Host
    from warpgauge.exporters.synthetic.workload import Workload

__all__ = ["Cause", "Strikes", "Target"]


class Strikes(StrEnum):
    """What sort of thing a cause strikes."""

    DEVICE = "device"
    JOB = "job"
    NODE = "node"
    SERVER = "server"
    STAGE = "stage"


@dataclass(slots=True, kw_only=True)
class Target:
    """What a fault strikes in the model; a part that the cause has no use for is empty."""

    gpus: Sequence[Gpu] = ()
    host: Host | None = None
    job: Workload | None = None
    ranks: Sequence[int] = ()  # of the job
    peers: Sequence[Gpu] = ()  # the job's other devices
    is_silent: bool = False  # a cause of the telemetry: nothing is heard of it
    baseline: dict[str, float] = field(default_factory=dict)  # what was there before


@dataclass(frozen=True, slots=True, kw_only=True)
class Cause:
    """One row of the table. `strike(target, size, seconds since the onset)`; a size of None takes the fault away."""

    kind: FindingKind
    strikes: Strikes
    measure: str
    sizes: tuple[float, float]
    usual: float
    least: float
    strike: Callable[[Target, float | None, float], None]
    consequences: tuple[FindingKind, ...] = ()
    needs: tuple[str, ...] = ()  # kinds of job
    is_larger_worse: bool = True
    slows: bool = False  # whether the size is the slowdown of what it strikes
    felt: Callable[[Target], float] | None = None
    """What is felt of it just now, where the size alone does not tell; on average it must be at least `least_felt`."""
    least_felt: float = 0.0
    asked: str = ""
    """In words what is asked of it beside its size."""

    def is_due(self, size: float) -> bool:
        """Whether a fault of that size must be found."""
        return size >= self.least if self.is_larger_worse else size <= self.least
