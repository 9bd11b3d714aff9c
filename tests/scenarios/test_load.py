"""Causes that people bring: what a server, its devices and a job's rank do under them, and that it passes with them."""

from __future__ import annotations

import pytest

from warpgauge.exporters.synthetic.request_queue import MOST_RUNNING
from warpgauge.exporters.synthetic.scenario import SCENARIO_SCHEMA, FaultPlan, FleetPlan, JobPlan, Scenario, World
from warpgauge.exporters.synthetic.sessions import Server

ONSET = 300.0
SERVER = JobPlan(id="chat", kind="serving", nodes=[0])
RANKS = JobPlan(id="llm", nodes=[1], checkpoint_steps=100_000, kernel={"power": 0.4})  # no limit of power binds


def world(*faults: FaultPlan) -> World:
    return World(
        Scenario(
            schema=SCENARIO_SCHEMA,
            duration_seconds=6000.0,
            fleet=FleetPlan(nodes=2, devices_per_node=4),
            jobs=(SERVER, RANKS),
            faults=faults,
        )
    )


def fault(cause: str, **more) -> FaultPlan:
    return FaultPlan(cause=cause, start_seconds=ONSET, **more)


def server_of(made: World) -> Server:
    (server,) = (job for job in made.jobs if isinstance(job, Server))
    return server


def at(made: World, seconds: float) -> World:
    made.advance(made.scenario.start + seconds)
    return made


def test_more_requests_than_a_server_answers_keep_all_its_devices_busy_and_wait():
    made = at(world(fault("overload", job="chat", size=1.5)), ONSET + 300.0)
    requests = server_of(made).requests
    assert requests.running == MOST_RUNNING
    assert requests.waiting > MOST_RUNNING
    assert min(gpu.engine_active_ratio for gpu in made.nodes[0].gpus) > 0.93


def test_what_waits_when_it_is_over_is_worked_off_and_the_server_is_as_if_it_had_not_been():
    made = at(world(fault("overload", job="chat", size=1.5, duration_seconds=300.0)), ONSET + 340.0)
    sound = at(world(), ONSET + 340.0)
    assert server_of(made).requests.waiting > 0
    assert min(gpu.engine_active_ratio for gpu in made.nodes[0].gpus) > 0.9
    later, then = (server_of(at(one, 1500.0)).requests for one in (made, sound))
    assert (later.running, later.cache_used_ratio) == (then.running, then.cache_used_ratio)


def test_long_contexts_fill_the_cache_with_few_requests_that_keep_the_devices_as_busy():
    made = at(world(fault("long_contexts", job="chat", size=4.0)), ONSET + 300.0)
    requests = server_of(made).requests
    assert requests.running < MOST_RUNNING / 3
    assert requests.cache_used_ratio > 0.9
    assert requests.preemptions > 0
    assert made.truth()["faults"][0]["must_be_found"]


def test_contexts_that_are_a_little_longer_need_not_be_found():
    made = at(world(fault("long_contexts", job="chat", size=1.3)), ONSET + 600.0)
    assert not made.truth()["faults"][0]["must_be_found"]


def test_nobody_sends_requests_to_a_server_that_nobody_uses_however_many_would_come():
    made = world(fault("overload", job="chat", size=3.0), fault("abandoned", job="chat"))
    requests = server_of(at(made, ONSET + 300.0)).requests
    assert (requests.running, requests.waiting) == (0, 0)


def test_what_a_server_suffers_is_told_of_the_machine_whose_page_tells_of_it():
    (told,) = world(fault("overload", job="chat")).truth()["faults"]
    assert told["scope"] == {"cluster": "scenario", "node": "sim-node-0", "rack": "rack-0"}
    assert told["culprit"] == "chat"
    assert len(told["uuids"]) == 4


@pytest.mark.parametrize("share", [0.2, 0.5])
def test_a_stranger_on_a_device_takes_its_share_of_the_ranks_time(share):
    made = at(world(fault("device_sharer", job="llm", rank=2, size=share)), ONSET + 60.0)
    before = [list(phases) for phases in made.jobs[1].phase_seconds]
    at(made, ONSET + 400.0)
    compute = [now[1] - then[1] for now, then in zip(made.jobs[1].phase_seconds, before, strict=True)]
    assert compute[2] / compute[1] == pytest.approx(1.0 / (1.0 - share), rel=0.03)


def test_a_stranger_shows_as_a_process_its_memory_and_a_busier_device():
    made = at(world(fault("device_sharer", job="llm", rank=2, size=0.4, duration_seconds=200.0)), ONSET + 190.0)
    shared, sound = (made.nodes[1].gpus[rank] for rank in (2, 1))
    assert (shared.work.processes, sound.work.processes) == (2, 1)
    assert shared.memory_used_bytes - sound.memory_used_bytes == 3 * 2**30
    assert shared.work.compute > sound.work.compute
    at(made, ONSET + 260.0)
    assert shared.work.processes == 1
    assert shared.memory_used_bytes == sound.memory_used_bytes
