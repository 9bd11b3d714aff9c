"""Scenarios drawn from a seed: fleets, jobs, faults and troubles from ranges wider than any threshold.

Nothing is imported of the analyzer, and no range was chosen by looking at a threshold of it: where the model itself
makes a statement true (a job that spends a fifth of its steps communicating *is* bound by communication), the drawn
scenario says so, and a finding that says the same is not false.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from math import exp, log
from random import Random
from typing import Final

from warpgauge.exporters.synthetic.scenario import (
    CAUSES,
    SCENARIO_SCHEMA,
    FaultPlan,
    FleetPlan,
    JobPlan,
    Scenario,
    Strikes,
    TroublePlan,
)

__all__ = ["SOUND_EVERY", "Drawn", "draw", "is_sound"]

SOUND_EVERY: Final = 10
SOUND_OF_TEN: Final = 3  # 60 of 200 seeds are without any fault
TRUE_SHARE: Final = 0.05  # of a step: from here on it is true to say that the step waits for this
SMALL_KERNELS: Final = 0.5  # of the SMs: kernels that leave most of the device unused are too small for it
WIDE_NODES: Final = 4  # there is room for a third fault
FEWEST_RANKS: Final = 4  # of a job or pipeline stage: of two or three peers nobody can tell which one is off
SELDOM_FIT: Final = ("slow_loader", "slow_network", "slow_stage", "slow_stage", "slow_host")  # few slots have the place
XIDS: Final = (48, 62, 64, 74, 79, 95, 119, 120)
SLOWING: Final = ("slow_clock", "slow_kernels")
LONG_SCRAPE: Final = 30.0  # large fleets are scraped less often
LONG: Final = ("memory_leak", "abandoned")
_FREE: Final = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A scenario and what is true of it beside its faults: (kind, job)."""

    scenario: Scenario
    true_of_jobs: frozenset[tuple[str, str]]


@dataclass(slots=True)
class _Slot:
    """A piece of the fleet that one job or nobody holds."""

    devices: list[str]
    nodes: list[int]
    job: JobPlan | None = None


def is_sound(seed: int) -> bool:
    """Whether a seed's fleet is without any fault; its troubles and changes are as nasty as any."""
    return seed % SOUND_EVERY < SOUND_OF_TEN


def draw(seed: int) -> Drawn:
    """The scenario of a seed."""
    random = Random(f"detection:{seed}")
    scrape = random.choice((15.0, 30.0, 30.0, 60.0))
    nodes, width = random.choice((2, 3, 4) if scrape < LONG_SCRAPE else (3, 4, 6)), random.choice((4, 8))
    duration = random.choice((5400.0, 6000.0, 6600.0))
    slots = _slots(random, nodes, width)
    for number, slot in enumerate(slots):
        slot.job = _job(random, number, slot, duration)
    scenario = Scenario(
        schema=SCENARIO_SCHEMA,
        name=f"seed-{seed}",
        seed=seed,
        duration_seconds=duration,
        scrape_seconds=scrape,
        fleet=FleetPlan(
            nodes=nodes,
            devices_per_node=width,
            racks=random.choice((1, 2)),
            boards=[random.choice(("h100", "h100", "h200", "a100"))] * nodes,
            inlet_celsius=random.uniform(16.0, 32.0),
        ),
        jobs=tuple(slot.job for slot in slots if slot.job),
        troubles=tuple(_troubles(random, nodes, duration)),
    )
    faults = () if is_sound(seed) else tuple(_faults(random, slots, duration, nodes))
    jobs = tuple(_roomy(job, faults) for job in scenario.jobs)
    scenario = replace(scenario, jobs=jobs, faults=faults)
    return Drawn(scenario=scenario, true_of_jobs=frozenset(_truths(jobs)))


def _happens(random: Random, chance: float) -> bool:
    return random.random() < chance


def _log_uniform(random: Random, low: float, high: float) -> float:
    return exp(random.uniform(log(low), log(high)))


# ---- who holds what


def _slots(random: Random, nodes: int, width: int) -> list[_Slot]:
    slots: list[_Slot] = []
    at = 0
    while at < nodes:
        if width < 2 * FEWEST_RANKS or _happens(random, 0.6):
            taken = list(range(at, min(nodes, at + random.choice((1, 1, 2, 2, 3, 4)))))
            slots.append(_Slot([f"{node}:0-{width - 1}" for node in taken], taken))
            at += len(taken)
        else:
            half = width // 2
            slots.append(_Slot([f"{at}:0-{half - 1}"], [at]))
            slots.append(_Slot([f"{at}:{half}-{width - 1}"], [at]))
            at += 1
    return slots


def _job(random: Random, number: int, slot: _Slot, duration: float) -> JobPlan | None:
    kind = "training" if number == 0 else random.choice(("training",) * 6 + ("notebook", "serving", "serving", _FREE))
    if kind == _FREE:
        return None
    start, end = _shift(random, duration)
    common = {
        "id": f"job-{number}",
        "kind": kind,
        "devices": slot.devices,
        "start_seconds": start,
        "end_seconds": end,
        "scheduler": random.choice(("slurm", "kubernetes")),
        "locked_clock_ratio": random.uniform(0.45, 0.95) if _happens(random, 0.2) else 1.0,
        "memory_ratio": random.uniform(0.15, 0.97),
        "host_bytes": _log_uniform(random, 2e9, 80e9),
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
        devices = sum(_width(text) for text in slot.devices)
        return JobPlan(**common, scale=_scale(random, devices, duration) if kind == "serving" else [])
    return JobPlan(**common, **_steps(random, sum(_width(text) for text in slot.devices)))


def _shift(random: Random, duration: float) -> tuple[float, float]:
    """Most jobs are there all the time; some start or end while we watch."""
    start = random.uniform(600.0, 3000.0) if _happens(random, 0.15) else 0.0
    end = duration - random.uniform(300.0, 1500.0) if _happens(random, 0.15) else 86_400.0
    return start, end


def _width(text: str) -> int:
    first, _, last = text.partition(":")[2].partition("-")
    return int(last) - int(first) + 1


def _scale(random: Random, devices: int, duration: float) -> list[list[float]]:
    if _happens(random, 0.4):
        return []
    times = sorted(random.uniform(300.0, duration) for _ in range(random.randrange(1, 5)))
    return [[0, max(1, devices // 2)], *([time, random.randint(1, devices)] for time in times)]


def _steps(random: Random, ranks: int) -> dict[str, object]:
    compute = _log_uniform(random, 0.4, 8.0)
    step = compute * 1.1
    stages = random.choice(
        [1, 1, 1, *(count for count in (2, 2, 4) if ranks % count == 0 and ranks // count >= FEWEST_RANKS)]
    )
    has_evaluation = _happens(random, 0.5)
    return {
        "compute_seconds": compute,
        "communication_seconds": compute * _log_uniform(random, 0.01, 0.25),
        "other_seconds": compute * _log_uniform(random, 0.002, 0.08),
        "stages": stages,
        "stage_ratios": [random.uniform(0.96, 1.04) for _ in range(stages)],
        "loader_workers": random.choice((1, 2, 4)),
        "loader_fill": random.uniform(0.1, 0.9),
        "batch_bytes": _log_uniform(random, 1e5, 1e8),
        "loader_is_local": _happens(random, 0.3),
        "link_bytes": _log_uniform(random, 1e8, 1e11) * compute,
        "network_bytes": _log_uniform(random, 1e7, 1e10) * compute,
        "checkpoint_steps": max(2, round(random.uniform(300.0, 3600.0) / step)),
        "checkpoint_seconds": _log_uniform(random, 2.0, 60.0),
        "checkpoint_bytes": _log_uniform(random, 1e8, 2e10),
        "evaluation_steps": max(2, round(random.uniform(600.0, 2400.0) / step)) if has_evaluation else 0,
        "evaluation_seconds": _log_uniform(random, 15.0, 240.0),
        "reports_steps": _happens(random, 0.85),
    }


def _truths(jobs: tuple[JobPlan, ...]) -> list[tuple[str, str]]:
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


# ---- what goes wrong


def _troubles(random: Random, nodes: int, duration: float) -> list[TroublePlan]:
    found = []
    if _happens(random, 0.7):
        found.append(TroublePlan(kind="missing_scrapes", share=_log_uniform(random, 0.002, 0.15)))
    if _happens(random, 0.4):
        skew = random.uniform(-10.0, 10.0)
        found.append(TroublePlan(kind="clock_skew", node=random.randrange(nodes), skew_seconds=skew))
    for _ in range(random.choice((0, 1, 1, 2))):
        start = random.uniform(300.0, duration)
        found.append(TroublePlan(kind="exporter_restart", node=random.randrange(nodes), start_seconds=start))
    return found


def _faults(random: Random, slots: list[_Slot], duration: float, nodes: int) -> list[FaultPlan]:
    """Two or three faults at places that have nothing to do with each other."""
    found: list[FaultPlan] = []
    taken: set[int] = set()  # machines
    causes = [*CAUSES, *SLOWING, *SLOWING, *SELDOM_FIT]
    for _ in range(40):
        if len(found) == (3 if nodes >= WIDE_NODES else 2):
            break
        cause = random.choice(causes)
        for slot in random.sample(slots, len(slots)):
            fault, held = _fault(random, cause, slot, slots, duration)
            if fault is not None and not held & taken:
                found.append(fault)
                taken |= held
                break
    return found


def _fault(
    random: Random, name: str, slot: _Slot, slots: list[_Slot], duration: float
) -> tuple[FaultPlan | None, set[int]]:
    cause = CAUSES[name]
    held = {node for one in slots if set(one.nodes) & set(slot.nodes) for node in one.nodes}
    place = _place(random, name, slot)
    onset = random.uniform(300.0, 1200.0) if name in LONG else random.uniform(900.0, duration - 2400.0)
    if place is None or (slot.job and not _is_there(slot.job, onset, duration)):
        return None, set()
    lasts = random.uniform(1200.0, 2400.0) if _happens(random, 0.3) and name not in LONG else 0.0
    return (
        FaultPlan(cause=name, start_seconds=onset, duration_seconds=lasts, size=_size(random, name), **place),
        held if cause.strikes is not Strikes.NODE else {*held, place["node"]},
    )


def _is_there(job: JobPlan, onset: float, duration: float) -> bool:
    """Whether the job is there well before the onset and to the end."""
    return job.start_seconds <= max(0.0, onset - 1500.0) and job.end_seconds >= duration


def _place(random: Random, name: str, slot: _Slot) -> dict[str, object] | None:
    """Where the cause strikes in a slot; None where it could not, or would show nowhere."""
    cause, job = CAUSES[name], slot.job
    if not _may_strike(name, slot):
        return None
    if cause.strikes is Strikes.NODE:
        return {"node": random.choice(slot.nodes)}
    if job and cause.strikes is Strikes.JOB:
        return {"job": job.id}
    if job and cause.strikes is Strikes.STAGE:
        return {"job": job.id, "stage": random.randrange(job.stages)}
    if job and cause.needs:
        return {"job": job.id, "rank": random.randrange(sum(_width(text) for text in slot.devices))}
    text = random.choice(slot.devices)
    node, _, span = text.partition(":")
    first, _, last = span.partition("-")
    return {"device": f"{node}:{random.randint(int(first), int(last))}"}


def _may_strike(name: str, slot: _Slot) -> bool:
    """Whether a slot has what the cause strikes, and anything that tells of it.

    A slow rank that reports no step is seen by its clock alone, a link that nobody uses by nothing, a slow machine
    against other machines of its job, unless it is a whole stage: then it might as well be the stage.
    """
    cause, job = CAUSES[name], slot.job
    kind = job.kind if job else _FREE
    wanted = cause.needs or _WANTED.get(name, ())
    if wanted and kind not in wanted:
        return False
    if job is None:
        return cause.strikes in {Strikes.NODE, Strikes.DEVICE}
    tells = job.reports_steps or name not in _TOLD_BY_STEPS
    fits = {Strikes.JOB: not job.scale, Strikes.STAGE: job.stages > 1}.get(cause.strikes, True)
    return tells and fits and (name != "slow_host" or (len(slot.nodes) > 1 and job.stages == 1))


_WANTED: Final = {
    "stuck_kernel": ("notebook", "serving", _FREE),
    "pcie_contact": ("training",),
    "power_brake": ("training",),  # of a device that does nothing nothing is taken
    "slow_host": ("training",),
}
_TOLD_BY_STEPS: Final = frozenset(
    {"silent_collective", *(name for name, cause in CAUSES.items() if cause.slows)} - {"slow_clock"}
)


_SIZES: Final = {
    "failing_cooler": (1.3, 4.0),
    "power_brake": (0.03, 1.0),
    "decaying_memory": (0.002, 2.0),
    "broken_row": (1.0, 4.0),
    "memory_leak": (0.5, 20.0),
    "bad_link": (0.002, 2.0),
    "cpu_hog": (0.2, 3.0),
    "memory_hog": (0.008, 0.3),
    "stuck_kernel": (0.004, 0.2),
}


def _size(random: Random, name: str) -> float:
    if name == "xid":
        return float(random.choice(XIDS))
    if name == "pcie_contact":
        return float(random.choice((1, 2, 4, 8)))
    if CAUSES[name].slows:
        return _log_uniform(random, 1.05, 3.0)
    return _log_uniform(random, *_SIZES[name]) if name in _SIZES else CAUSES[name].usual


def _roomy(job: JobPlan, faults: tuple[FaultPlan, ...]) -> JobPlan:
    """Memory for a leak to grow into."""
    if any(fault.cause == "memory_leak" for fault in faults):
        return replace(job, memory_ratio=min(job.memory_ratio, 0.55))
    return job
