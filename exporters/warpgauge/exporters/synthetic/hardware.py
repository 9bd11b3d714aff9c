"""Faults of the hardware that the fleet model can have beside the demo's four: causes on one device each.

They are drawn from a seed of their own, so that a fleet with them is otherwise the fleet without them.
"""

from __future__ import annotations

from dataclasses import dataclass
from random import Random
from typing import TYPE_CHECKING, Final

from warpgauge.core.finding import FindingKind
from warpgauge.exporters.synthetic.job import TrainingJob

if TYPE_CHECKING:
    from collections.abc import Sequence

    from warpgauge.exporters.synthetic.gpu import Gpu
    from warpgauge.exporters.synthetic.workload import Workload

__all__ = ["HARDWARE_FAULTS", "HardwareFault", "place_hardware_faults"]

HARDWARE_FAULTS: Final = (
    FindingKind.ECC_DEGRADATION.value,
    FindingKind.ROW_REMAP.value,
    FindingKind.PCIE_DOWNTRAINED.value,
    FindingKind.HARDWARE_THROTTLE.value,
    FindingKind.MEMORY_LEAK.value,
)
"""Names of the faults, which are the kinds of finding they should lead to."""

_GIB: Final = 1024.0**3
_EARLIEST_SECONDS, _LATEST_SECONDS, _GRID_SECONDS = 10 * 60, 20 * 60, 10
_LEAK_SECONDS: Final = 55 * 60  # a leak must go on for a while to be one

_MEASURES: Final = {
    FindingKind.ECC_DEGRADATION: "corrected memory errors per second of a cell that decays",
    FindingKind.ROW_REMAP: "memory rows that broke for good",
    FindingKind.PCIE_DOWNTRAINED: "PCIe lanes that still make contact",
    FindingKind.HARDWARE_THROTTLE: "share of time in which the server's power supply asks for less",
    FindingKind.MEMORY_LEAK: "GiB per hour that the application keeps",
}


@dataclass(frozen=True, slots=True, kw_only=True)
class HardwareFault:
    """One cause on the device of one rank, since `start`; `size` counts in what `measure` says."""

    kind: str
    start: float
    size: float
    measure: str
    job: Workload
    rank: int | None

    def apply(self, now: float) -> None:
        """Set the cause for the interval that ends at `now`; before the start nothing is changed."""
        if now <= self.start or self.rank is None:
            return
        _strike(self.job.seats[self.rank].gpu, FindingKind(self.kind), self.size, now - self.start)


def _strike(gpu: Gpu, kind: FindingKind, size: float, seconds: float) -> None:
    if kind is FindingKind.ECC_DEGRADATION:
        gpu.decay_errors_per_second = size
    elif kind is FindingKind.ROW_REMAP:
        gpu.broken_rows = round(size)
    elif kind is FindingKind.PCIE_DOWNTRAINED:
        gpu.pcie_lanes = round(size)
    elif kind is FindingKind.HARDWARE_THROTTLE:
        gpu.is_braked = seconds % 60.0 < 60.0 * size
    else:
        gpu.leaked_bytes = size * _GIB * seconds / 3600.0


def place_hardware_faults(seed: int, start: float, jobs: Sequence[Workload]) -> dict[str, HardwareFault]:
    """Every fault at the place the seed gives it, each on a rank of its own."""
    random = Random(f"{seed}:hardware")
    seats = [(job, rank) for job in jobs if isinstance(job, TrainingJob) for rank in range(len(job.seats))]
    places = random.sample(seats, len(HARDWARE_FAULTS))
    sizes = (random.uniform(0.05, 0.5), 1.0, float(random.choice((4, 8))), random.uniform(0.4, 0.9), 4.0)
    begins = [start - random.randrange(_EARLIEST_SECONDS, _LATEST_SECONDS, _GRID_SECONDS) for _ in HARDWARE_FAULTS]
    begins[-1] = start - _LEAK_SECONDS
    return {
        kind: HardwareFault(
            kind=kind, start=begin, size=round(size, 3), measure=_MEASURES[FindingKind(kind)], job=job, rank=rank
        )
        for kind, begin, size, (job, rank) in zip(HARDWARE_FAULTS, begins, sizes, places, strict=True)
    }
