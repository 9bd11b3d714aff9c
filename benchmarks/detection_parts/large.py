"""Large fleets without a fault, for many hours: small ones side by side and one after the other.

A false page is so rare that small fleets take days of CPU to show how rare; of a large one a GPU-day costs a fraction.
So that it is no kinder, everything is drawn as in small fleets: jobs and their sizes by the same functions, troubles
for each few machines and each hundred minutes by the same function. Jobs end after 40 minutes to 10 hours and others
take their place, which makes starts and ends about twice as frequent as in the small ones.
"""

from __future__ import annotations

from dataclasses import replace
from random import Random
from typing import TYPE_CHECKING, Final

from detection_parts.drawing import Drawn, troubles_of
from detection_parts.drawn_jobs import devices_in, happens, job_of, log_uniform, scale_of, slots_of, truths

from warpgauge.exporters.synthetic.scenario import SCENARIO_SCHEMA, FleetPlan, JobPlan, Scenario, TroublePlan

if TYPE_CHECKING:
    from collections.abc import Iterator

    from detection_parts.drawn_jobs import Slot

__all__ = ["MOST_DEVICES", "draw_large"]

PERIOD_SECONDS: Final = 6000.0  # as long as a small fleet is watched
CELL_NODES: Final = (3, 4, 6)  # as large as one is
RACK_NODES: Final = 4
SHORTEST_SECONDS: Final = 2400.0  # of a job
LONGEST_SECONDS: Final = 36_000.0
SCRAPES: Final = (30.0, 60.0)  # large fleets are scraped less often
WIDTHS: Final = (4, 8, 8)  # devices of a machine: of the devices of small fleets two thirds are in wide ones
MOST_DEVICES: Final = 1024  # as many as 256 machines of four have


def draw_large(seed: int, devices: int, hours: float) -> Drawn:
    """A fleet of about so many devices for so long; another size is another draw."""
    random = Random(f"detection:{seed}:{devices}:{hours:g}")
    duration = hours * 3600.0
    width = random.choice(WIDTHS)
    nodes = -(-devices // width)
    slots = slots_of(random, nodes, width)
    jobs = tuple(_jobs(random, slots, duration))
    scenario = Scenario(
        schema=SCENARIO_SCHEMA,
        name=f"large-{seed}",
        seed=seed,
        duration_seconds=duration,
        scrape_seconds=random.choice(SCRAPES),
        fleet=FleetPlan(
            nodes=nodes,
            devices_per_node=width,
            racks=-(-nodes // RACK_NODES),
            boards=_boards(random, slots, nodes),
            inlet_celsius=random.uniform(16.0, 32.0),
        ),
        jobs=jobs,
        troubles=tuple(_troubles(random, nodes, duration)),
    )
    return Drawn(scenario=scenario, true_of_jobs=frozenset(truths(jobs)))


def _boards(random: Random, slots: list[Slot], nodes: int) -> list[str]:
    """A model for each machine; those that a job spans have the same."""
    boards = [""] * nodes
    for slot in slots:
        model = random.choice(("h100", "h100", "h200", "a100"))
        for node in slot.nodes:
            boards[node] = boards[node] or model
    return boards


def _jobs(random: Random, slots: list[Slot], duration: float) -> Iterator[JobPlan]:
    """One job after the other in each slot."""
    number = 0
    for slot in slots:
        locked = random.uniform(0.45, 0.95) if happens(random, 0.2) else 1.0  # by who runs the machine, for all
        start = random.uniform(600.0, 3000.0) if happens(random, 0.15) else 0.0
        while start < duration:
            end = start + log_uniform(random, SHORTEST_SECONDS, LONGEST_SECONDS)
            job = job_of(random, number, slot, PERIOD_SECONDS)
            if job is not None:
                job = replace(job, start_seconds=start, end_seconds=end, locked_clock_ratio=locked)
                yield _scaled(random, job) if job.kind == "serving" else job
            number += 1
            start = end + random.uniform(60.0, 3000.0)


def _scaled(random: Random, job: JobPlan) -> JobPlan:
    """A server that is scaled as often in each hundred minutes as those of small fleets are."""
    devices = sum(devices_in(text) for text in job.devices)
    scale: list[list[float]] = []
    start = job.start_seconds
    while start < job.end_seconds:
        drawn = scale_of(random, devices, PERIOD_SECONDS)
        scale += drawn[:1] if not scale else []  # what it begins with
        scale += [[start + seconds, wanted] for seconds, wanted in drawn[1:]]
        start += PERIOD_SECONDS
    return replace(job, scale=scale)


def _troubles(random: Random, nodes: int, duration: float) -> Iterator[TroublePlan]:
    """Those of small fleets, for each few machines and each hundred minutes anew; a clock that was off is set right."""
    first = 0
    while first < nodes:
        size = min(random.choice(CELL_NODES), nodes - first)
        start = 0.0
        while start < duration:
            for trouble in troubles_of(random, size, PERIOD_SECONDS):
                here = range(size) if trouble.node < 0 else (trouble.node,)
                begin = {"start_seconds": start + trouble.start_seconds}
                if trouble.kind != "exporter_restart":
                    begin["duration_seconds"] = PERIOD_SECONDS
                yield from (replace(trouble, node=first + node, **begin) for node in here)
            start += PERIOD_SECONDS
        first += size
