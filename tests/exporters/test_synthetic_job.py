from __future__ import annotations

from dataclasses import replace
from itertools import pairwise
from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from warpgauge.core.catalog import training
from warpgauge.exporters.synthetic.gpu import Gpu
from warpgauge.exporters.synthetic.job import TrainingJob
from warpgauge.exporters.synthetic.roster import NOTEBOOK, SERVING, TRAINING
from warpgauge.exporters.synthetic.sessions import Notebook, Server
from warpgauge.exporters.synthetic.workload import Demand, Seat

INPUT, COMPUTE, COMMUNICATION, CHECKPOINT, OTHER = range(len(training.PHASES))
PLAN = replace(TRAINING[2], checkpoint_steps=100_000)
BEGIN = 1000.0


def seats(count: int = 8, nodes: int = 1) -> tuple[Seat, ...]:
    gpus = [Gpu(uuid=f"GPU-{rank}", index=rank, random=Random(rank), inlet_celsius=25.0) for rank in range(count)]
    return tuple(Seat(rank * nodes // count, gpu) for rank, gpu in enumerate(gpus))


def new_job(plan=PLAN, count: int = 8) -> TrainingJob:
    return TrainingJob(plan, seats(count), Random(3), BEGIN)


def shares(job: TrainingJob, seconds: float = 300.0) -> list[list[float]]:
    """Phase shares per rank over `seconds` more, the first minute left out."""
    job.advance(BEGIN + 60.0, [Demand()])
    before = [list(phases) for phases in job.phase_seconds]
    job.advance(BEGIN + 60.0 + seconds, [Demand()])
    spent = [
        [now - then for now, then in zip(phases, old, strict=True)]
        for phases, old in zip(job.phase_seconds, before, strict=True)
    ]
    return [[value / sum(phases) for value in phases] for phases in spent]


@pytest.mark.parametrize("plan", TRAINING, ids=lambda plan: plan.owner.job_id)
def test_an_undisturbed_job_hardly_waits_for_input_and_communicates_a_tenth_of_its_time(plan):
    for phases in shares(new_job(plan), 600.0):
        assert phases[INPUT] < 0.03
        assert 0.06 < phases[COMMUNICATION] < 0.15
        assert phases[COMPUTE] > 0.8


def test_phases_add_up_to_the_same_time_on_every_rank():
    job = new_job()
    begin = [sum(phases) for phases in job.phase_seconds]
    steps = job.steps.sum
    job.advance(BEGIN + 100.0, [Demand()])
    spent = [sum(phases) - then for phases, then in zip(job.phase_seconds, begin, strict=True)]
    assert spent == pytest.approx([job.steps.sum - steps] * len(spent))


def test_the_slowest_device_sets_the_pace_of_all_and_waits_least():
    job = new_job()
    job.seats[5].gpu.mean_clock_ratio = 0.6
    waits = [phases[COMMUNICATION] for phases in shares(job)]
    assert waits.index(min(waits)) == 5
    assert min(waits) < 0.1
    assert min(wait for rank, wait in enumerate(waits) if rank != 5) > 0.25


def test_slow_devices_all_alike_make_nobody_wait():
    job = new_job()
    for seat in job.seats:
        seat.gpu.mean_clock_ratio = 0.6
    assert max(phases[COMMUNICATION] for phases in shares(job)) < 0.15


def test_dearer_batches_make_every_rank_wait_for_input():
    job = new_job()
    job.batch_cost_ratio = 2.5
    found = shares(job)
    assert all(0.3 < phases[INPUT] < 0.5 for phases in found)
    assert max(phases[COMMUNICATION] for phases in found) < 0.15


def test_batches_a_little_dearer_than_planned_still_hide_behind_computing():
    job = new_job()
    job.batch_cost_ratio = 1.3
    assert max(phases[INPUT] for phases in shares(job)) < 0.03


def test_the_loaders_take_cpu_time_for_every_batch():
    cheap, dear = new_job(), new_job()
    dear.batch_cost_ratio = 2.5
    demands = [Demand()], [Demand()]
    for job, demand in zip((cheap, dear), demands, strict=True):
        job.advance(BEGIN + 300.0, demand)
    assert demands[1][0].user_seconds > 1.2 * demands[0][0].user_seconds
    assert demands[1][0].user_seconds / 300.0 < 8 * (PLAN.loader.workers + 1.05)


def test_a_checkpoint_is_a_phase_of_its_own_in_which_devices_rest():
    job = new_job(replace(PLAN, checkpoint_steps=10))
    begin = job.phase_seconds[0][CHECKPOINT]
    demand = [Demand()]
    works = job.advance(BEGIN + 300.0, demand)
    assert job.phase_seconds[0][CHECKPOINT] > begin
    assert demand[0].disk_written_bytes > 0.0
    assert works[0].compute + works[0].communication < 0.7


@settings(max_examples=40, deadline=None)
@given(st.lists(st.floats(0.05, 10.0), min_size=1, max_size=20), st.lists(st.floats(0.3, 1.0), min_size=4, max_size=4))
def test_shares_of_an_interval_never_pass_the_interval(spans, clocks):
    job = new_job(count=4)
    for seat, clock in zip(job.seats, clocks, strict=True):
        seat.gpu.mean_clock_ratio = clock
    now = BEGIN
    for span in spans:
        now += span
        for work in job.advance(now, [Demand()]):
            assert 0.0 <= work.compute <= 1.0 + 1e-9
            assert 0.0 <= work.compute + work.communication <= 1.0 + 1e-9


def test_the_histogram_counts_every_step_and_never_falls():
    job = new_job()
    seen = []
    for second in range(1, 60):
        job.advance(BEGIN + second, [Demand()])
        seen.append(job.steps)
    for earlier, later in pairwise(seen):
        assert all(now >= then for now, then in zip(later.counts, earlier.counts, strict=True))
        assert list(later.counts) == sorted(later.counts)
        assert later.sum >= earlier.sum
    assert seen[-1].counts[-1] - seen[0].counts[-1] == pytest.approx(58 / 0.4, rel=0.1)


def test_a_notebook_works_in_bursts_and_never_pauses_for_long():
    job = Notebook(NOTEBOOK, seats(), Random(4), BEGIN, BEGIN + 1500.0)
    idle = longest = 0.0
    worked = False
    for tick in range(1, 720):
        share = job.advance(BEGIN + 10.0 * tick, [Demand()])[0].compute
        idle = 0.0 if share else idle + 10.0
        longest = max(longest, idle)
        worked = worked or share > 0.4
    assert worked
    assert 60.0 <= longest <= 310.0


def test_a_burst_of_the_notebook_ends_exactly_at_its_anchor():
    job = Notebook(NOTEBOOK, seats(), Random(4), BEGIN, BEGIN + 1500.0)
    before = job.advance(BEGIN + 1500.0 - 20.0, [Demand()]) and job.advance(BEGIN + 1500.0, [Demand()])
    after = job.advance(BEGIN + 1550.0, [Demand()])
    assert before[0].compute > 0.3
    assert after[0].compute == 0.0


@pytest.mark.parametrize("kind", ["notebook", "server"])
def test_an_abandoned_session_keeps_its_memory_and_runs_nothing(kind):
    job = (
        Notebook(NOTEBOOK, seats(), Random(4), BEGIN, BEGIN + 1500.0)
        if kind == "notebook"
        else Server(SERVING, seats(4), Random(4), BEGIN)
    )
    job.is_abandoned = True
    works = job.advance(BEGIN + 3600.0, [Demand()])
    assert all(work.compute == work.communication == 0.0 for work in works)
    assert all(work.memory_bytes > 1e10 and work.processes == 1 for work in works)


def test_a_server_in_use_is_never_wholly_still():
    job = Server(SERVING, seats(4), Random(4), BEGIN)
    shown = [job.advance(BEGIN + 10.0 * tick, [Demand()])[0].compute for tick in range(1, 720)]
    assert 0.08 < min(shown) < max(shown) < 1.0
