"""Sorts of fault that came later, through model and analyzer: named where they are large, and not where small."""

from __future__ import annotations

import asyncio
import sys
from dataclasses import replace
from pathlib import Path

import pytest

sys.path.insert(0, str(Path(__file__).parents[2] / "benchmarks"))

from detection_parts.matching import INFORMATION, match
from detection_parts.playing import Outcome, watched
from detection_parts.recording import record

from warpgauge.exporters.synthetic.scenario import SCENARIO_SCHEMA, FaultPlan, FleetPlan, JobPlan, Scenario


def played(jobs: list[JobPlan], faults: list[FaultPlan], *, nodes: int, seconds: float, scrape: float) -> Outcome:
    """What the analyzer said of a small fleet."""
    scenario = Scenario(
        schema=SCENARIO_SCHEMA,
        duration_seconds=seconds,
        scrape_seconds=scrape,
        fleet=FleetPlan(nodes=nodes, devices_per_node=4),
        jobs=tuple(jobs),
        faults=tuple(faults),
    )
    return asyncio.run(watched(record(scenario), scenario))


@pytest.mark.slow
def test_what_people_bring_is_paged_by_its_name_where_it_is_large_enough_and_not_at_all_below():
    server, ranks = JobPlan(id="chat", kind="serving"), JobPlan(id="llm", checkpoint_steps=100_000)
    struck = [
        (server, "overload", 1.2),
        (server, "overload", 0.8),
        (server, "long_contexts", 3.0),
        (server, "long_contexts", 1.1),
        (ranks, "device_sharer", 0.15),
        (ranks, "device_sharer", 0.04),
    ]
    jobs = [replace(job, id=f"{job.id}-{node}", nodes=[node]) for node, (job, _, _) in enumerate(struck)]
    faults = [
        FaultPlan(cause=cause, job=job.id, rank=2, start_seconds=600.0, size=size)
        for job, (_, cause, size) in zip(jobs, struck, strict=True)
    ]
    told = played(jobs, faults, nodes=len(struck), seconds=1200.0, scrape=30.0)
    large = [("queue_bound", "sim-node-0"), ("kv_cache_bound", "sim-node-2"), ("noisy_neighbor", "sim-node-4")]
    assert sorted((one.kind, one.scope["node"]) for one in told.pages) == sorted(large)
    assert [fault["must_be_found"] for fault in told.truth["faults"]] == [True, False] * 3


@pytest.mark.slow
def test_what_only_the_own_past_tells_is_information_where_it_is_large_enough_and_never_a_page():
    jobs = [JobPlan(id="llm", nodes=[0, 1, 2], checkpoint_steps=100_000)]
    places = [
        ("noisy_riser", {"device": "0:1"}, 3.0),
        ("noisy_riser", {"device": "0:3"}, 0.2),
        ("fouling_heat_sink", {"device": "1:1"}, 1.5),
        ("fouling_heat_sink", {"device": "1:3"}, 0.1),
        ("bad_cable", {"node": 0}, 0.2),
        ("bad_cable", {"node": 2}, 3.0),
    ]
    faults = [FaultPlan(cause=cause, start_seconds=2400.0, size=size, **place) for cause, place, size in places]
    told = played(jobs, faults, nodes=3, seconds=4200.0, scrape=60.0)
    hints = [one for one in told.hints if one.kind in INFORMATION]
    informed = match(told, hints, informs=True)
    assert told.pages == []
    assert [bool(found.page) for found in informed.found] == [True, False, True, False, False, True]
    assert informed.false == ()
    assert match(told, told.pages).found == ()
