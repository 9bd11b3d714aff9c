"""The ledger: what is booked for whom, who may speak for a job, and when a rank is forgotten."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.core.catalog.training import JOB_RANKS, PHASE_SECONDS, STEP_SECONDS
from warpgauge.core.clock import ManualClock
from warpgauge.exporters.collectors.training_ledger import StepLedger
from warpgauge.exporters.collectors.training_senders import Sender


class Processes:
    """The processes of a machine: pid -> start time and Slurm job."""

    def __init__(self):
        self.table = {}

    def add(self, pid, *, slurm=None, started=1):
        self.table[pid] = Sender(pid, started, slurm)

    def end(self, pid):
        del self.table[pid]

    def find(self, pid):
        return self.table.get(pid, Sender(pid, None, None))

    def is_alive(self, sender):
        return sender.started is None or self.table.get(sender.pid) == sender


@pytest.fixture
def clock():
    return ManualClock()


@pytest.fixture
def processes():
    return Processes()


@pytest.fixture
def ledger(processes, clock):
    return StepLedger(processes, clock, max_ranks=20)


def say(ledger, *, pid=10, uid=1000, job="j", rank=0, stage=None, ranks=None, steps=(0.5,), phases=None, device=None):
    message = {"v": 1, "job": job, "rank": rank, "steps": list(steps), "phases": phases or {}}
    if device is not None:
        message["device"] = device
    if ranks is not None:
        message["ranks"] = ranks
    if stage is not None:
        message["stage"] = stage
    return ledger.receive(json.dumps(message).encode(), pid=pid, uid=uid).value


def clocks(ledger):
    return {sample.labels[3:]: sample.value for sample in ledger.samples() if sample.metric is PHASE_SECONDS}


def test_once_the_device_times_phases_the_hosts_are_gone(ledger, processes):
    processes.add(10)
    say(ledger, phases={"compute": 1.0})
    assert clocks(ledger) == {("compute", "host"): 1.0}
    for _ in range(2):
        say(ledger, device={"compute": 2.0, "communication": 0.5})
    assert clocks(ledger) == {("compute", "device"): 4.0, ("communication", "device"): 1.0}


def ranks_said(ledger):
    return {sample.labels: sample.value for sample in ledger.samples() if sample.metric is JOB_RANKS}


def test_each_rank_says_how_many_its_job_has(ledger, processes):
    processes.add(10)
    processes.add(11)
    say(ledger, pid=10, rank=0, ranks=8)
    say(ledger, pid=11, rank=1, stage=1, ranks=8)
    assert ranks_said(ledger) == {("j", "0", ""): 8.0, ("j", "1", "1"): 8.0}


def test_a_rank_that_was_told_no_number_says_none(ledger, processes):
    processes.add(10)
    say(ledger)
    assert ranks_said(ledger) == {}


def test_another_number_of_ranks_is_the_same_series(ledger, processes):
    processes.add(10)
    for ranks in (8, 6):
        say(ledger, ranks=ranks)
    assert ranks_said(ledger) == {("j", "0", ""): 6.0}


def test_how_many_ranks_there_are_is_forgotten_with_the_rank(ledger, processes, clock):
    processes.add(10)
    say(ledger, rank=0, ranks=2)
    clock.advance(40)
    say(ledger, rank=1, ranks=2)
    clock.advance(30)
    assert ranks_said(ledger) == {("j", "1", ""): 2.0}


def jobs(ledger):
    return {sample.labels[0] for sample in ledger.samples()}


def histogram(ledger):
    return next(sample.value for sample in ledger.samples() if sample.metric is STEP_SECONDS)


def outcomes(ledger):
    return {sample.labels[0]: sample.value for sample in ledger.own_samples()}


def test_steps_become_a_histogram_of_their_rank(ledger, processes):
    processes.add(10)
    say(ledger, steps=[0.01, 0.3, 100.0])
    value = histogram(ledger)
    assert value.counts == (1, 1, 1, 1, 1, 2, 2, 2, 2, 2, 2, 2, 3)
    assert value.sum == pytest.approx(100.31)


def test_a_duration_on_a_bucket_bound_is_inside_that_bucket(ledger, processes):
    processes.add(10)
    say(ledger, steps=[0.025])
    assert histogram(ledger).counts[:2] == (0, 1)


def test_phases_add_up_over_messages(ledger, processes):
    processes.add(10)
    say(ledger, rank=2, stage=1, phases={"input": 0.25})
    say(ledger, rank=2, stage=1, phases={"input": 0.5})
    phases = {sample.labels: sample.value for sample in ledger.samples() if sample.metric is PHASE_SECONDS}
    assert phases == {("j", "2", "1", "input", "host"): 0.75}


def test_a_phase_that_was_never_measured_has_no_series(ledger, processes):
    processes.add(10)
    say(ledger, phases={"input": 0.25})
    assert not any("communication" in sample.labels for sample in ledger.samples())


def test_a_rank_without_a_stage_has_an_empty_one(ledger, processes):
    processes.add(10)
    say(ledger)
    assert ledger.samples()[0].labels == ("j", "0", "")


@given(st.lists(st.floats(0, 1e6), max_size=60))
def test_buckets_rise_and_the_last_holds_every_step(durations):
    processes = Processes()
    processes.add(10)
    ledger = StepLedger(processes, ManualClock())
    say(ledger, steps=durations)
    counts = histogram(ledger).counts
    assert list(counts) == sorted(counts)
    assert counts[-1] == len(durations)


def test_a_process_in_a_slurm_job_speaks_for_that_job(ledger, processes):
    processes.add(10, slurm="77")
    assert say(ledger, job="77") == "accepted"


def test_a_process_in_a_slurm_job_cannot_speak_for_another(ledger, processes):
    processes.add(10, slurm="77")
    assert say(ledger, job="78") == "foreign_job"
    assert ledger.samples() == []


def test_a_process_keeps_to_the_job_it_named_first(ledger, processes):
    processes.add(10)
    assert say(ledger, job="mine") == "accepted"
    assert say(ledger, job="yours") == "foreign_job"
    assert jobs(ledger) == {"mine"}


def test_another_user_cannot_join_a_job(ledger, processes):
    processes.add(10)
    processes.add(11)
    say(ledger, pid=10, uid=1000)
    assert say(ledger, pid=11, uid=1001, rank=1) == "foreign_job"


def test_the_same_user_may_bring_more_ranks(ledger, processes):
    processes.add(10)
    processes.add(11)
    say(ledger, pid=10)
    assert say(ledger, pid=11, rank=1) == "accepted"


def test_slurms_word_beats_a_squatters(ledger, processes):
    processes.add(10)
    processes.add(11, slurm="77")
    say(ledger, pid=10, uid=1001, job="77")
    assert say(ledger, pid=11, uid=1000, job="77") == "accepted"
    assert say(ledger, pid=10, uid=1001, job="77", rank=5) == "foreign_job"


def test_a_squatter_cannot_take_a_job_from_slurm(ledger, processes):
    processes.add(10, slurm="77")
    processes.add(11)
    say(ledger, pid=10, uid=1000, job="77")
    assert say(ledger, pid=11, uid=1001, job="77", rank=1) == "foreign_job"


def test_a_rank_belongs_to_one_process_while_that_lives(ledger, processes, clock):
    processes.add(10)
    processes.add(11)
    say(ledger, pid=10)
    clock.advance(30)
    assert say(ledger, pid=11) == "foreign_job"


def test_a_restarted_rank_takes_over_from_its_dead_process_and_counts_anew(ledger, processes, clock):
    processes.add(10)
    say(ledger, pid=10, steps=[1.0] * 9)
    processes.end(10)
    clock.advance(3)
    processes.add(11)
    assert say(ledger, pid=11) == "accepted"
    assert histogram(ledger).counts[-1] == 1


def test_a_pid_that_came_around_is_a_new_process(ledger, processes, clock):
    processes.add(10, started=1)
    say(ledger, job="old")
    clock.advance(3)
    processes.add(10, started=2)
    assert say(ledger, job="new") == "accepted"
    assert jobs(ledger) == {"new"}


def test_a_sender_from_another_pid_namespace_is_refused(ledger):
    assert say(ledger, pid=0) == "foreign_job"


def test_a_silent_rank_disappears_after_a_minute(ledger, processes, clock):
    processes.add(10)
    say(ledger)
    clock.advance(61)
    assert ledger.samples() == []


def test_a_rank_that_only_beats_stays(ledger, processes, clock):
    processes.add(10)
    for _ in range(5):
        say(ledger, steps=[])
        clock.advance(15)
    assert jobs(ledger) == {"j"}


def test_a_rank_whose_process_ended_disappears_at_once(ledger, processes, clock):
    processes.add(10)
    say(ledger)
    processes.end(10)
    clock.advance(2)
    assert ledger.samples() == []


def test_one_silent_rank_of_a_process_goes_alone(ledger, processes, clock):
    processes.add(10)
    say(ledger, rank=0)
    clock.advance(40)
    say(ledger, rank=1)
    clock.advance(30)
    assert {sample.labels[1] for sample in ledger.samples()} == {"1"}


def test_ranks_are_bounded(ledger, processes):
    for pid in range(1, 22):
        processes.add(pid)
    said = [say(ledger, pid=pid, rank=pid) for pid in range(1, 22)]
    assert said == ["accepted"] * 20 + ["over_limit"]


def test_ranks_of_one_process_are_bounded(ledger, processes):
    processes.add(10)
    assert [say(ledger, rank=rank) for rank in range(17)][-2:] == ["accepted", "over_limit"]


def test_room_comes_back_when_ranks_go(ledger, processes, clock):
    for pid in range(1, 21):
        processes.add(pid)
        say(ledger, pid=pid, rank=pid)
    clock.advance(61)
    ledger.samples()
    processes.add(99)
    assert say(ledger, pid=99, rank=99) == "accepted"


def test_every_message_is_counted_by_what_became_of_it(ledger, processes):
    processes.add(10, slurm="77")
    say(ledger, job="77")
    say(ledger, job="78")
    ledger.receive(b"junk", pid=10, uid=0)
    assert outcomes(ledger) == {"accepted": 1.0, "malformed": 1.0, "foreign_job": 1.0, "over_limit": 0.0}


speech = st.tuples(
    st.integers(0, 4), st.integers(0, 2), st.sampled_from(["a", "b"]), st.integers(0, 3), st.floats(0, 40)
)


@given(st.lists(speech, max_size=40), st.data())
def test_no_order_of_messages_and_deaths_breaks_the_account(said, data):
    processes, clock = Processes(), ManualClock()
    ledger = StepLedger(processes, clock, max_ranks=5)
    for pid, uid, job, rank, pause in said:
        processes.add(pid, started=data.draw(st.integers(1, 2)), slurm=data.draw(st.sampled_from([None, "a"])))
        say(ledger, pid=pid, uid=uid, job=job, rank=rank)
        clock.advance(pause)
        series = [(sample.metric.name, sample.labels) for sample in ledger.samples()]
        assert len(series) == len(set(series)) <= 5
    assert sum(outcomes(ledger).values()) == len(said)
