from __future__ import annotations

from dataclasses import replace
from functools import cache

import pytest

from warpgauge.core.catalog import device, serving, training
from warpgauge.core.sample import Histogram
from warpgauge.exporters.synthetic.scenario import (
    CAUSES,
    SCENARIO_SCHEMA,
    FaultPlan,
    FleetPlan,
    JobPlan,
    Scenario,
    Strikes,
    Telemetry,
    TroublePlan,
    World,
)

ONSET = 120.0
TRAINING = JobPlan(id="a", devices=["0:0-3", "1:0-3"], stages=2)
NOTEBOOK = JobPlan(id="n", kind="notebook", devices=["2:0-1"])
SERVER = JobPlan(id="s", kind="serving", devices=["2:2-3"])


def scenario(**changes) -> Scenario:
    plain = Scenario(
        schema=SCENARIO_SCHEMA,
        duration_seconds=300.0,
        fleet=FleetPlan(nodes=3, devices_per_node=4, racks=3),
        jobs=(TRAINING, NOTEBOOK, SERVER),
    )
    return replace(plain, **changes)


def fault_of(cause: str, **more) -> FaultPlan:
    job = "n" if "notebook" in CAUSES[cause].needs else "a"
    place = {
        Strikes.NODE: {"node": 1},
        Strikes.JOB: {"job": job},
        Strikes.STAGE: {"job": "a", "stage": 1},
        Strikes.DEVICE: {"job": "a", "rank": 5},
        Strikes.SERVER: {"job": "s"},
    }[CAUSES[cause].strikes]
    return FaultPlan(cause=cause, start_seconds=ONSET, **place, **more)


def told(plan: Scenario) -> list[tuple[str, float, str, tuple[str, ...], object]]:
    """Every sample: node, seconds after the start, metric, labels, value."""
    return [
        (scrape.node, round(scrape.time - plan.start, 1), one.series.metric.name, one.series.labels, value)
        for round_ in Telemetry(World(plan)).scrapes()
        for scrape in round_
        for one, value in zip(scrape.channels, scrape.values, strict=True)
    ]


@cache
def told_when_sound(**changes: float) -> list[tuple[str, float, str, tuple[str, ...], object]]:
    """The same without any fault: what each cause is compared with."""
    return told(scenario(**changes))


def values(plan: Scenario, metric, node: str = "sim-node-0") -> dict[float, list[object]]:
    found: dict[float, list[object]] = {}
    for name, seconds, metric_name, _, value in told(plan):
        if name == node and metric_name == metric.name:
            found.setdefault(seconds, []).append(value)
    return found


def test_the_same_scenario_gives_the_same_samples():
    short = scenario(duration_seconds=60.0)
    assert told(short) == told(short)


@pytest.mark.parametrize("cause", CAUSES)
def test_the_truth_says_what_was_changed_where_and_for_how_long(cause):
    world = World(scenario(faults=(fault_of(cause, duration_seconds=60.0),)))
    (fault,) = world.truth()["faults"]
    assert fault["kind"] == CAUSES[cause].kind
    assert fault["end"] - fault["start"] == 60.0
    assert fault["must_be_found"] is (cause != "failing_cooler")  # it costs nothing until it is too hot
    assert fault["nodes"]
    assert fault["uuids"] or CAUSES[cause].strikes is Strikes.NODE
    assert fault["culprit"]


@pytest.mark.parametrize("cause", CAUSES)
def test_before_its_onset_a_fault_changes_nothing(cause):
    sound = told_when_sound(duration_seconds=ONSET - 60.0, scrape_seconds=60.0)
    with_fault = scenario(duration_seconds=ONSET, scrape_seconds=60.0, faults=(fault_of(cause),))
    before = [one for one in told(with_fault) if one[1] < ONSET]
    if cause == "abandoned":  # a notebook's bursts are placed so that one ends at the onset
        before = [one for one in before if one[0] != "sim-node-2"]
        assert before == [one for one in sound if one[0] != "sim-node-2"]
    else:
        assert before == sound


@pytest.mark.parametrize("cause", [name for name in CAUSES if name not in {"memory_leak", "abandoned"}])
def test_after_its_onset_every_fault_shows_in_the_samples(cause):
    size = 1.0 if cause == "decaying_memory" else 0.0  # of a rare error none may come in three minutes
    sound = told_when_sound(scrape_seconds=60.0)
    ill = told(scenario(scrape_seconds=60.0, faults=(fault_of(cause, size=size),)))
    assert [one for one in sound if one[1] < ONSET] == [one for one in ill if one[1] < ONSET]
    assert sound != ill


def test_a_slow_rank_takes_as_many_times_as_long_as_the_scenario_says():
    plan = scenario(faults=(fault_of("slow_kernels", size=2.0),), duration_seconds=400.0)
    world = World(plan)
    world.advance(plan.start + 200.0)
    before = [list(phases) for phases in world.jobs[0].phase_seconds]
    world.advance(plan.start + 400.0)
    compute = [now[1] - then[1] for now, then in zip(world.jobs[0].phase_seconds, before, strict=True)]
    assert compute[5] / compute[4] == pytest.approx(2.0, rel=0.05)


@pytest.mark.parametrize(("power", "is_due"), [(1.1, True), (0.1, False)])
def test_a_failing_cooler_must_be_found_only_where_it_costs_clocks(power, is_due):
    job = replace(TRAINING, kernel={"power": power})
    plan = scenario(jobs=(job,), faults=(fault_of("failing_cooler", size=4.0),), duration_seconds=900.0)
    world = World(plan)
    world.advance(plan.start + 900.0)
    assert world.truth()["faults"][0]["must_be_found"] is is_due


@pytest.mark.parametrize(("board", "is_due"), [("h100", True), ("h200", False)])
def test_a_leak_must_be_found_where_it_fills_the_memory_within_a_night(board, is_due):
    free = FaultPlan(cause="memory_leak", device="0:0", start_seconds=ONSET, size=8.0)
    fleet = FleetPlan(nodes=1, devices_per_node=1, board=board)
    world = World(scenario(fleet=fleet, jobs=(), faults=(free,)))
    world.advance(world.scenario.start + 300.0)
    assert world.truth()["faults"][0]["must_be_found"] is is_due


@pytest.mark.parametrize("locked", [1.0, 0.5])
def test_a_slow_network_makes_steps_as_many_times_as_long_as_they_were_at_these_clocks(locked):
    job = replace(TRAINING, locked_clock_ratio=locked, checkpoint_steps=10_000)
    world = World(scenario(jobs=(job,), faults=(fault_of("slow_network", size=1.5),)))
    before = seconds_of_a_step(world, ONSET)
    world.advance(world.time + 30.0)
    assert seconds_of_a_step(world, 150.0) / before == pytest.approx(1.5, rel=0.05)


@pytest.mark.parametrize("locked", [1.0, 0.5])
def test_a_slow_loader_takes_as_many_times_as_long_as_steps_did_at_these_clocks(locked):
    job = replace(TRAINING, locked_clock_ratio=locked, checkpoint_steps=10_000)
    world = World(scenario(jobs=(job,), faults=(fault_of("slow_loader", size=1.5),)))
    before = seconds_of_a_step(world, ONSET)
    world.advance(world.time + 30.0)
    assert seconds_of_a_step(world, 150.0) / before == pytest.approx(1.5, rel=0.05)


def seconds_of_a_step(world: World, seconds: float) -> float:
    """Mean over the next seconds."""
    job = world.jobs[0]
    first = job.steps
    world.advance(world.time + seconds)
    return (job.steps.sum - first.sum) / (job.steps.counts[-1] - first.counts[-1])


def test_a_fault_that_ends_leaves_the_cause_as_it_was():
    plan = scenario(faults=(fault_of("slow_clock", duration_seconds=60.0),), duration_seconds=300.0)
    world = World(plan)
    world.advance(plan.start + 150.0)
    gpu = world.jobs[0].seats[5].gpu
    assert gpu.clock_ceiling < 0.9
    world.advance(plan.start + 300.0)
    assert gpu.clock_ceiling == 1.0


def test_a_lost_device_keeps_its_state_and_loses_its_readings():
    plan = scenario(faults=(fault_of("fallen_off_the_bus"),))
    power = values(plan, device.POWER, "sim-node-1")
    states = values(plan, device.DEVICE_UP, "sim-node-1")
    assert (len(power[100.0]), len(power[200.0])) == (4, 3)
    assert states[200.0] == [1.0, 0.0, 1.0, 1.0]


def test_a_silent_machine_has_no_page_at_all():
    power = values(scenario(faults=(fault_of("silent_node"),)), device.POWER, "sim-node-1")
    assert 100.0 in power
    assert 200.0 not in power


def test_a_job_has_series_only_while_it_is_there():
    plan = scenario(jobs=(replace(TRAINING, start_seconds=100.0, end_seconds=200.0),))
    steps = values(plan, training.STEP_SECONDS)
    assert sorted(steps) == [110.0, 120.0, 130.0, 140.0, 150.0, 160.0, 170.0, 180.0, 190.0, 200.0]


@pytest.mark.parametrize("at", [50.0, 250.0], ids=["the first", "the next"])
def test_a_device_works_for_each_of_the_jobs_that_take_turns_on_it(at):
    first = replace(TRAINING, end_seconds=100.0)
    turns = (first, replace(TRAINING, id="b", start_seconds=200.0, user="other"))
    busy = {when: found[0] for when, found in values(scenario(jobs=turns), device.GRAPHICS_ENGINE_ACTIVE).items()}
    assert busy[at] > 0.5
    assert busy[150.0] == 0.0


def test_a_server_is_asked_for_its_requests_only_while_it_is_there():
    server = JobPlan(id="s", kind="serving", devices=["2:0-3"], start_seconds=100.0, end_seconds=200.0)
    running = values(scenario(jobs=(server,)), serving.RUNNING, "sim-node-2")
    assert (min(running), max(running)) == (110.0, 200.0)


def test_a_server_that_scales_holds_as_many_devices_as_it_uses():
    server = JobPlan(id="s", kind="serving", devices=["2:0-3"], scale=[[0, 1], [100, 4]])
    held = values(scenario(jobs=(server,)), device.WORKLOAD_INFO, "sim-node-2")
    assert (len(held[50.0]), len(held[150.0])) == (1, 4)


def test_during_an_evaluation_no_step_ends_and_the_devices_work():
    job = replace(TRAINING, evaluation_steps=20, evaluation_seconds=100.0)
    plan = scenario(jobs=(job,))
    counts = {at: found[0].counts[-1] for at, found in values(plan, training.STEP_SECONDS).items()}
    busy = {at: found[0] for at, found in values(plan, device.GRAPHICS_ENGINE_ACTIVE).items()}
    still = [at for at in sorted(counts) if at >= 10 and counts[at] == counts[round(at - 10.0, 1)]]
    assert len(still) >= 8
    assert min(busy[at] for at in still) > 0.5


def test_a_restarted_exporter_counts_its_own_counters_from_nothing_and_not_the_drivers():
    plan = scenario(troubles=(TroublePlan(kind="exporter_restart", node=0, start_seconds=100.0),))
    steps = {at: found[0].counts[-1] for at, found in values(plan, training.STEP_SECONDS).items()}
    energy = {at: found[0] for at, found in values(plan, device.ENERGY).items()}
    assert steps[110.0] < steps[90.0]
    assert all(isinstance(found[0], Histogram) for found in values(plan, training.STEP_SECONDS).values())
    assert energy[110.0] > energy[90.0]
    assert 100.0 not in energy


def test_a_clock_that_runs_ahead_dates_all_of_its_machine():
    plan = scenario(troubles=(TroublePlan(kind="clock_skew", node=0, skew_seconds=5.0),))
    assert 15.0 in values(plan, device.POWER)
    assert 10.0 in values(plan, device.POWER, "sim-node-1")


def test_missing_scrapes_are_missing_about_as_often_as_asked_for():
    plan = scenario(troubles=(TroublePlan(kind="missing_scrapes", share=0.5),), duration_seconds=1000.0, jobs=())
    assert 30 < len(values(plan, device.POWER)) < 70


def test_locked_clocks_are_no_fault():
    world = World(scenario(jobs=(replace(TRAINING, locked_clock_ratio=0.5),)))
    assert {seat.gpu.sm_hertz / seat.gpu.board.sm_max_hertz for seat in world.jobs[0].seats} == {0.5}
    assert world.truth()["faults"] == []
