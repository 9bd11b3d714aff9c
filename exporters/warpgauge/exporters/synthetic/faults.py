"""The four faults of the demo. A fault changes one cause in the model; every signal follows from the laws.

All four are drawn from the seed whether they are wanted or not, so leaving one out moves none of the others.
"""

from __future__ import annotations

from dataclasses import dataclass
from math import exp, pi, sin
from random import Random
from typing import TYPE_CHECKING, Final

from warpgauge.core.finding import FindingKind
from warpgauge.exporters.synthetic.job import TrainingJob
from warpgauge.exporters.synthetic.sessions import Notebook, Server

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.exporters.synthetic.workload import Workload

__all__ = ["FAULTS", "Fault", "draw_starts", "place_faults"]

FAULTS: Final = (
    FindingKind.STRAGGLER.value,
    FindingKind.THERMAL_LIMITED.value,
    FindingKind.IDLE_ALLOCATED.value,
    FindingKind.INPUT_BOUND.value,
)
"""Names of the faults, which are the kinds of finding they should lead to."""

_EARLIEST_SECONDS, _LATEST_SECONDS, _GRID_SECONDS = 35 * 60, 50 * 60, 10
_COOLING_RAMP_SECONDS: Final = 90.0  # a pump or fan that fails takes a while
_HUNTING: Final = ((0.16, 43.0), (0.06, 17.0))  # its speed hunts: amplitude, period in seconds


@dataclass(frozen=True, slots=True, kw_only=True)
class Fault:
    """One cause: where, since when, how large. `size` counts in what `measure` says."""

    kind: str
    start: float
    size: float
    measure: str
    job: Workload
    rank: int | None = None  # the one seat it strikes; None strikes the job as a whole

    def apply(self, now: float) -> None:
        """Change the cause for the interval that ends at `now`; before the start nothing is changed."""
        if now <= self.start:
            return
        match self.job, self.rank:
            case TrainingJob() as job, None:
                job.batch_cost_ratio = self.size
            case (Notebook() | Server()) as session, None:
                session.is_abandoned = True
            case job, int(rank):
                self._strike(job, rank, now - self.start)

    def _strike(self, job: Workload, rank: int, seconds: float) -> None:
        gpu = job.seats[rank].gpu
        if self.kind == FindingKind.STRAGGLER:
            gpu.clock_ceiling = self.size
        else:
            hunting = sum(high * sin(2.0 * pi * seconds / period) for high, period in _HUNTING)
            gpu.cooling_ratio = 1.0 + (self.size - 1.0) * (1.0 - exp(-seconds / _COOLING_RAMP_SECONDS)) * (
                1.0 + hunting
            )


def draw_starts(seed: int, start: float) -> dict[str, float]:
    """When each fault begins: 35-50 min before `start`."""
    random = Random(f"{seed}:starts")
    steps = range(_EARLIEST_SECONDS, _LATEST_SECONDS + 1, _GRID_SECONDS)
    return {kind: start - random.choice(steps) for kind in FAULTS}


def place_faults(seed: int, starts: dict[str, float], jobs: Sequence[Workload]) -> dict[str, Fault]:
    """Every fault at the place the seed gives it: three different training jobs and one session."""
    random = Random(f"{seed}:faults")
    lockstep = [job for job in jobs if isinstance(job, TrainingJob)]
    slow, hot, starved = random.sample(lockstep, 3)
    idle = random.choice([job for job in jobs if not isinstance(job, TrainingJob)])
    wait_ratio = random.uniform(0.33, 0.46)
    drawn = (
        (random.uniform(0.56, 0.64), "highest SM clock that firmware grants, relative to the board's", slow),
        (random.uniform(2.6, 3.0), "thermal resistance of the cooler, relative to a sound one", hot),
        (float(len(idle.seats)), "devices held without any work", idle),
        (1.0 / (starved.loader_fill * (1.0 - wait_ratio)), "CPU time per batch, relative to the plan", starved),
    )
    ranks = (random.randrange(len(slow.seats)), random.randrange(len(hot.seats)), None, None)
    return {
        kind: Fault(kind=kind, start=starts[kind], size=round(size, 3), measure=measure, job=job, rank=rank)
        for kind, (size, measure, job), rank in zip(FAULTS, drawn, ranks, strict=True)
    }
