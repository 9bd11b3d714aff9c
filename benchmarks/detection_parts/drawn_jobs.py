"""Who holds what in a drawn fleet: jobs of all sorts, from ranges wider than any threshold."""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, log
from typing import TYPE_CHECKING, Final

from warpgauge.exporters.synthetic.scenario import JobPlan

if TYPE_CHECKING:
    from random import Random

    from warpgauge.exporters.synthetic.scenario import FaultPlan

__all__ = ["FREE", "Slot", "devices_in", "happens", "job_of", "log_uniform", "roomy", "scale_of", "slots_of", "truths"]

TRUE_SHARE: Final = 0.05  # of a step: from here on it is true to say that the step waits for this
SMALL_KERNELS: Final = 0.5  # of the SMs: kernels that leave most of the device unused are too small for it
FEWEST_RANKS: Final = 4  # of a job or pipeline stage: of two or three peers nobody can tell which one is off
FREE: Final = ""


@dataclass(slots=True)
class Slot:
    """A piece of the fleet that one job or nobody holds."""

    devices: list[str]
    nodes: list[int]
    job: JobPlan | None = None


def happens(random: Random, chance: float) -> bool:
    """True as often as the chance says."""
    return random.random() < chance


def log_uniform(random: Random, low: float, high: float) -> float:
    """As likely between 1 and 2 as between 2 and 4."""
    return exp(random.uniform(log(low), log(high)))


# ---- who holds what


def slots_of(random: Random, nodes: int, width: int) -> list[Slot]:
    """A fleet cut into what jobs get: half a machine to four of them."""
    slots: list[Slot] = []
    at = 0
    while at < nodes:
        if width < 2 * FEWEST_RANKS or happens(random, 0.6):
            taken = list(range(at, min(nodes, at + random.choice((1, 1, 2, 2, 3, 4)))))
            slots.append(Slot([f"{node}:0-{width - 1}" for node in taken], taken))
            at += len(taken)
        else:
            half = width // 2
            slots.append(Slot([f"{at}:0-{half - 1}"], [at]))
            slots.append(Slot([f"{at}:{half}-{width - 1}"], [at]))
            at += 1
    return slots


def job_of(random: Random, number: int, slot: Slot, duration: float) -> JobPlan | None:
    """A job for a slot, or nobody; the first of a fleet trains."""
    kind = "training" if number == 0 else random.choice(("training",) * 6 + ("notebook", "serving", "serving", FREE))
    if kind == FREE:
        return None
    start, end = _shift(random, duration)
    common = {
        "id": f"job-{number}",
        "kind": kind,
        "devices": slot.devices,
        "start_seconds": start,
        "end_seconds": end,
        "scheduler": random.choice(("slurm", "kubernetes")),
        "locked_clock_ratio": random.uniform(0.45, 0.95) if happens(random, 0.2) else 1.0,
        "memory_ratio": random.uniform(0.15, 0.97),
        "host_bytes": log_uniform(random, 2e9, 80e9),
        "kernel": {
            "sm": random.uniform(0.35, 0.96),
            "tensor": random.uniform(0.02, 0.6),
            "dram": random.uniform(0.1, 0.75),
            "occupancy": random.uniform(0.05, 0.6),
            "power": random.uniform(0.35, 1.1),
            "memory_bound": random.uniform(0.05, 0.7),
        },
    }
    if kind != "training":
        devices = sum(devices_in(text) for text in slot.devices)
        return JobPlan(**common, scale=scale_of(random, devices, duration) if kind == "serving" else [])
    return JobPlan(**common, **_steps(random, sum(devices_in(text) for text in slot.devices)))


def _shift(random: Random, duration: float) -> tuple[float, float]:
    """Most jobs are there all the time; some start or end while we watch."""
    start = random.uniform(600.0, 3000.0) if happens(random, 0.15) else 0.0
    end = duration - random.uniform(300.0, 1500.0) if happens(random, 0.15) else 86_400.0
    return start, end


def devices_in(text: str) -> int:
    """How many devices "NODE:FIRST-LAST" names."""
    first, _, last = text.partition(":")[2].partition("-")
    return int(last) - int(first) + 1


def scale_of(random: Random, devices: int, duration: float) -> list[list[float]]:
    """When a server gets more or fewer of its devices, [seconds, devices]; often never."""
    if happens(random, 0.4):
        return []
    times = sorted(random.uniform(300.0, duration) for _ in range(random.randrange(1, 5)))
    return [[0, max(1, devices // 2)], *([time, random.randint(1, devices)] for time in times)]


def _steps(random: Random, ranks: int) -> dict[str, object]:
    compute = log_uniform(random, 0.4, 8.0)
    step = compute * 1.1
    stages = random.choice(
        [1, 1, 1, *(count for count in (2, 2, 4) if ranks % count == 0 and ranks // count >= FEWEST_RANKS)]
    )
    has_evaluation = happens(random, 0.5)
    return {
        "compute_seconds": compute,
        "communication_seconds": compute * log_uniform(random, 0.01, 0.25),
        "other_seconds": compute * log_uniform(random, 0.002, 0.08),
        "stages": stages,
        "stage_ratios": [random.uniform(0.96, 1.04) for _ in range(stages)],
        "loader_workers": random.choice((1, 2, 4)),
        "loader_fill": random.uniform(0.1, 0.9),
        "batch_bytes": log_uniform(random, 1e5, 1e8),
        "loader_is_local": happens(random, 0.3),
        "link_bytes": log_uniform(random, 1e8, 1e11) * compute,
        "network_bytes": log_uniform(random, 1e7, 1e10) * compute,
        "checkpoint_steps": max(2, round(random.uniform(300.0, 3600.0) / step)),
        "checkpoint_seconds": log_uniform(random, 2.0, 60.0),
        "checkpoint_bytes": log_uniform(random, 1e8, 2e10),
        "evaluation_steps": max(2, round(random.uniform(600.0, 2400.0) / step)) if has_evaluation else 0,
        "evaluation_seconds": log_uniform(random, 15.0, 240.0),
        "reports_steps": happens(random, 0.85),
    }


def truths(jobs: tuple[JobPlan, ...]) -> list[tuple[str, str]]:
    """What is true of jobs by their plan."""
    found = []
    for job in jobs:
        if job.kernel and job.kernel["sm"] < SMALL_KERNELS:
            found.append(("launch_bound", job.id))
        if job.kind != "training":
            continue
        step = job.compute_seconds + job.communication_seconds + job.other_seconds
        if job.communication_seconds >= TRUE_SHARE * step:
            found += [("network_bound", job.id), ("interconnect_bound", job.id)]
        if job.other_seconds >= TRUE_SHARE * step:
            found.append(("host_bound", job.id))
    return found


def roomy(job: JobPlan, faults: tuple[FaultPlan, ...]) -> JobPlan:
    """Memory for a leak to grow into."""
    if any(fault.cause == "memory_leak" for fault in faults):
        return replace(job, memory_ratio=min(job.memory_ratio, 0.55))
    return job
