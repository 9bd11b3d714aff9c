"""Scenarios drawn from a seed: fleets, jobs, faults and troubles from ranges wider than any threshold.

Nothing is imported of the analyzer, and no range was chosen by looking at a threshold of it: where the model itself
makes a statement true (a job that spends a fifth of its steps communicating *is* bound by communication), the drawn
scenario says so, and a finding that says the same is not false.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from random import Random
from typing import TYPE_CHECKING, Final

from detection_parts.drawn_jobs import FREE, Slot, devices_in, happens, job_of, log_uniform, roomy, slots_of, truths

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

if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["SOUND_EVERY", "Drawn", "draw", "is_sound", "troubles_of"]

SOUND_EVERY: Final = 10
SOUND_OF_TEN: Final = 3  # 60 of 200 seeds are without any fault
WIDE_NODES: Final = 4  # there is room for a third fault
SELDOM_FIT: Final = ("slow_loader", "slow_network", "slow_stage", "slow_stage", "slow_host")  # few slots have the place
ADDED: Final = ("overload", "long_contexts", "device_sharer", "noisy_riser", "fouling_heat_sink", "bad_cable")
"""Causes that came later: each is drawn from a stream of its own, so that all before it of a seed stays what it was."""

XIDS: Final = (48, 62, 64, 74, 79, 95, 119, 120)
SLOWING: Final = ("slow_clock", "slow_kernels")
LONG_SCRAPE: Final = 30.0  # large fleets are scraped less often
LONG: Final = ("memory_leak", "abandoned")
LATE: Final = ("noisy_riser", "fouling_heat_sink", "bad_cable")
LATE_SECONDS: Final = 2100.0  # what is unlike its past must have one


@dataclass(frozen=True, slots=True, kw_only=True)
class Drawn:
    """A scenario and what is true of it beside its faults: (kind, job)."""

    scenario: Scenario
    true_of_jobs: frozenset[tuple[str, str]]


def is_sound(seed: int) -> bool:
    """Whether a seed's fleet is without any fault; its troubles and changes are as nasty as any."""
    return seed % SOUND_EVERY < SOUND_OF_TEN


def draw(seed: int, *, only_added: bool = False) -> Drawn:
    """The scenario of a seed; with `only_added` its fleet with faults of the sorts that came later alone."""
    random = Random(f"detection:{seed}")
    scrape = random.choice((15.0, 30.0, 30.0, 60.0))
    nodes, width = random.choice((2, 3, 4) if scrape < LONG_SCRAPE else (3, 4, 6)), random.choice((4, 8))
    duration = random.choice((5400.0, 6000.0, 6600.0))
    slots = slots_of(random, nodes, width)
    for number, slot in enumerate(slots):
        slot.job = job_of(random, number, slot, duration)
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
        troubles=tuple(troubles_of(random, nodes, duration)),
    )
    faults: tuple[FaultPlan, ...] = ()
    if not is_sound(seed):
        faults = () if only_added else tuple(_faults(random, slots, duration, nodes))
        faults += tuple(_added(seed, slots, faults, duration))
    jobs = tuple(roomy(job, faults) for job in scenario.jobs)
    scenario = replace(scenario, jobs=jobs, faults=faults)
    return Drawn(scenario=scenario, true_of_jobs=frozenset(truths(jobs)))


# ---- what goes wrong


def troubles_of(random: Random, nodes: int, duration: float) -> list[TroublePlan]:
    """What troubles the telemetry of a few machines for so long."""
    found = []
    if happens(random, 0.7):
        found.append(TroublePlan(kind="missing_scrapes", share=log_uniform(random, 0.002, 0.15)))
    if happens(random, 0.4):
        skew = random.uniform(-10.0, 10.0)
        found.append(TroublePlan(kind="clock_skew", node=random.randrange(nodes), skew_seconds=skew))
    for _ in range(random.choice((0, 1, 1, 2))):
        start = random.uniform(300.0, duration)
        found.append(TroublePlan(kind="exporter_restart", node=random.randrange(nodes), start_seconds=start))
    return found


def _faults(random: Random, slots: list[Slot], duration: float, nodes: int) -> list[FaultPlan]:
    """Two or three faults at places that have nothing to do with each other."""
    found: list[FaultPlan] = []
    taken: set[int] = set()  # machines
    causes = [*(name for name in CAUSES if name not in ADDED), *SLOWING, *SLOWING, *SELDOM_FIT]
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


def _added(seed: int, slots: list[Slot], faults: tuple[FaultPlan, ...], duration: float) -> Iterator[FaultPlan]:
    """One fault of each sort that came later, as far as there is a place that no other fault has to do with."""
    taken = {node for fault in faults for node in _machines(fault, slots)}
    first, second, *others = ADDED  # servers are rare: both causes that strike them have a turn
    for cause in (first, second, *others) if seed % 2 else (second, first, *others):
        random = Random(f"detection:{cause}:{seed}")
        for slot in random.sample(slots, len(slots)):
            fault, held = _fault(random, cause, slot, slots, duration)
            if fault is not None and not held & taken:
                taken |= held
                yield fault
                break


def _machines(fault: FaultPlan, slots: list[Slot]) -> set[int]:
    """Machines of all that shares one with what a fault strikes."""
    struck = fault.node if fault.node >= 0 else int(fault.device.partition(":")[0] or -1)
    own = {node for slot in slots if slot.job and slot.job.id == fault.job for node in slot.nodes} or {struck}
    return {node for slot in slots if set(slot.nodes) & own for node in slot.nodes}


def _fault(
    random: Random, name: str, slot: Slot, slots: list[Slot], duration: float
) -> tuple[FaultPlan | None, set[int]]:
    cause = CAUSES[name]
    held = {node for one in slots if set(one.nodes) & set(slot.nodes) for node in one.nodes}
    place = _place(random, name, slot)
    onset = random.uniform(300.0, 1200.0) if name in LONG else random.uniform(900.0, duration - 2400.0)
    if name in LATE:
        onset = random.uniform(LATE_SECONDS, duration - 2400.0)
    if place is None or (slot.job and not _is_there(slot.job, onset, duration)):
        return None, set()
    lasts = random.uniform(1200.0, 2400.0) if happens(random, 0.3) and name not in {*LONG, *LATE} else 0.0
    return (
        FaultPlan(cause=name, start_seconds=onset, duration_seconds=lasts, size=_size(random, name), **place),
        held if cause.strikes is not Strikes.NODE else {*held, place["node"]},
    )


def _is_there(job: JobPlan, onset: float, duration: float) -> bool:
    """Whether the job is there well before the onset and to the end."""
    return job.start_seconds <= max(0.0, onset - 1500.0) and job.end_seconds >= duration


def _place(random: Random, name: str, slot: Slot) -> dict[str, object] | None:
    """Where the cause strikes in a slot; None where it could not, or would show nowhere."""
    cause, job = CAUSES[name], slot.job
    if not _may_strike(name, slot):
        return None
    if cause.strikes is Strikes.NODE:
        return {"node": random.choice(slot.nodes)}
    if job and cause.strikes in {Strikes.JOB, Strikes.SERVER}:
        return {"job": job.id}
    if job and cause.strikes is Strikes.STAGE:
        return {"job": job.id, "stage": random.randrange(job.stages)}
    if job and cause.needs:
        return {"job": job.id, "rank": random.randrange(sum(devices_in(text) for text in slot.devices))}
    text = random.choice(slot.devices)
    node, _, span = text.partition(":")
    first, _, last = span.partition("-")
    return {"device": f"{node}:{random.randint(int(first), int(last))}"}


def _may_strike(name: str, slot: Slot) -> bool:
    """Whether a slot has what the cause strikes, and anything that tells of it.

    A slow rank that reports no step is seen by its clock alone, a link that nobody uses by nothing, a slow machine
    against other machines of its job, unless it is a whole stage: then it might as well be the stage.
    """
    cause, job = CAUSES[name], slot.job
    kind = job.kind if job else FREE
    wanted = cause.needs or _WANTED.get(name, ())
    if wanted and kind not in wanted:
        return False
    if job is None:
        return cause.strikes in {Strikes.NODE, Strikes.DEVICE}
    tells = job.reports_steps or name not in _TOLD_BY_STEPS
    fits = {Strikes.JOB: not job.scale, Strikes.STAGE: job.stages > 1}.get(cause.strikes, True)
    return tells and fits and (name != "slow_host" or (len(slot.nodes) > 1 and job.stages == 1))


_WANTED: Final = {
    "stuck_kernel": ("notebook", "serving", FREE),
    "pcie_contact": ("training",),
    "power_brake": ("training",),  # of a device that does nothing nothing is taken
    "slow_host": ("training",),
    "fouling_heat_sink": ("training",),  # whose load is steady enough to compare temperatures
}
_TOLD_BY_STEPS: Final = frozenset(
    {"silent_collective", "device_sharer", *(name for name, cause in CAUSES.items() if cause.slows)} - {"slow_clock"}
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
    "overload": (0.7, 3.0),
    "long_contexts": (1.1, 5.0),
    "device_sharer": (0.05, 0.6),
    "noisy_riser": (0.1, 300.0),
    "bad_cable": (0.1, 300.0),
    "fouling_heat_sink": (0.1, 3.0),
}


def _size(random: Random, name: str) -> float:
    if name == "xid":
        return float(random.choice(XIDS))
    if name == "pcie_contact":
        return float(random.choice((1, 2, 4, 8)))
    if CAUSES[name].slows:
        return log_uniform(random, 1.05, 3.0)
    return log_uniform(random, *_SIZES[name]) if name in _SIZES else CAUSES[name].usual
