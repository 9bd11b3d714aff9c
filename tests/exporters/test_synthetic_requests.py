"""Requests of a simulated inference server: they follow from its devices, or lead them where too many come."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.core.catalog import Family, serving
from warpgauge.exporters.synthetic import FAULTS, Fleet
from warpgauge.exporters.synthetic.request_queue import MOST_RUNNING, served_per_second
from warpgauge.exporters.synthetic.requests import Requests

if TYPE_CHECKING:
    from warpgauge.core.sample import Sample

BEGIN = 1_700_000_000.0


def after(busy_ratio: float, seconds: float = 300.0) -> Requests:
    requests = Requests(Random(1))
    for _ in range(int(seconds / 10.0)):
        requests.follow(busy_ratio, 10.0)
    return requests


@given(st.lists(st.tuples(st.floats(0.0, 1.0), st.floats(0.1, 20.0)), max_size=20))
def test_counters_never_fall_and_ratios_stay_ratios(steps: list[tuple[float, float]]):
    requests, before = Requests(Random(1)), (0.0, 0.0, 0)
    for busy_ratio, seconds in steps:
        requests.follow(busy_ratio, seconds)
        now = (requests.prompt_tokens, requests.generated_tokens, requests.first_token.counts[-1])
        assert all(one >= other for one, other in zip(now, before, strict=True))
        assert 0.0 <= requests.cache_used_ratio <= 1.0
        before = now


def test_a_busier_server_runs_more_holds_more_and_answers_later():
    calm, busy = after(0.2), after(0.9)
    assert calm.running < busy.running
    assert calm.cache_used_ratio < busy.cache_used_ratio
    means = [one.first_token.sum / one.first_token.counts[-1] for one in (calm, busy)]
    assert means[0] < means[1]


def test_an_idle_server_begins_no_request():
    idle = after(0.0)
    assert (idle.running, idle.waiting, idle.first_token.counts[-1]) == (0, 0, 0)


def served(arrivals_ratio: float, context_ratio: float = 1.0, seconds: float = 1200.0) -> Requests:
    """After requests came at so many times the rate of a full batch."""
    requests = after(0.5)
    for _ in range(int(seconds / 10.0)):
        requests.serve(arrivals_ratio * served_per_second(1.0), context_ratio, 10.0)
    return requests


@given(st.lists(st.tuples(st.floats(0.0, 3.0), st.floats(1.0, 6.0), st.floats(0.1, 5.0)), max_size=5))
def test_whatever_comes_counters_never_fall_and_no_more_run_than_the_batch_and_the_cache_hold(
    steps: list[tuple[float, float, float]],
):
    requests, before = after(0.5), (0.0, 0.0, 0, 0)
    for arrivals_ratio, context_ratio, seconds in steps:
        busy_ratio = requests.serve(arrivals_ratio * served_per_second(1.0), context_ratio, seconds)
        now = (
            requests.prompt_tokens, requests.generated_tokens, requests.first_token.counts[-1], requests.preemptions
        )  # fmt: skip
        assert all(one >= other for one, other in zip(now, before, strict=True))
        assert 0.0 <= busy_ratio <= 1.0
        assert 0.0 <= requests.cache_used_ratio <= 1.0
        assert 0 <= requests.running <= MOST_RUNNING
        assert requests.waiting >= 0
        before = now


def test_as_many_as_the_server_answers_leave_no_queue():
    calm = served(0.8)
    assert calm.waiting == 0
    assert 0.5 < calm.running / MOST_RUNNING < 0.9


def test_the_queue_grows_by_what_comes_beyond_what_a_full_batch_answers():
    short, long = (served(1.2, seconds=seconds) for seconds in (120.0, 220.0))
    assert long.running == MOST_RUNNING
    assert long.waiting - short.waiting == pytest.approx(0.2 * served_per_second(1.0) * 100.0, abs=50)


def test_nobody_waits_for_longer_than_a_minute_and_the_queue_stands_then():
    overrun = served(2.0)
    assert overrun.waiting == pytest.approx(2.0 * served_per_second(1.0) * 60.0, rel=0.1)
    mean = overrun.first_token.sum / overrun.first_token.counts[-1]
    assert 30.0 < mean < 61.0


def test_what_a_full_batch_answers_in_a_while_is_counted_once():
    overrun = served(2.0, seconds=600.0)
    answered = overrun.generated_tokens - after(0.5).generated_tokens
    assert answered == pytest.approx(served_per_second(1.0) * 320.0 * 600.0, rel=0.03)


def test_long_contexts_fill_the_cache_before_the_batch_is_full_and_push_requests_out():
    long = served(0.75, context_ratio=3.0)
    assert long.running < MOST_RUNNING / 2
    assert long.cache_used_ratio > 0.9
    assert long.waiting > long.running
    assert long.preemptions > 100


def test_contexts_for_which_the_cache_has_room_wait_for_nothing():
    roomy = served(0.25, context_ratio=2.0)
    assert (roomy.waiting, roomy.preemptions) == (0, 0)


def test_a_queue_is_worked_off_before_requests_follow_the_devices_again():
    requests = served(1.5)
    assert requests.is_queue_left
    for _ in range(60):
        requests.serve(served_per_second(0.5), 1.0, 10.0)
    assert not requests.is_queue_left
    requests.follow(0.5, 10.0)
    assert requests.running == MOST_RUNNING / 2


@pytest.fixture(scope="module")
def told() -> dict[str, list[Sample]]:
    fleet = Fleet(42, FAULTS, start=BEGIN)
    return {
        node: [sample for sample in fleet.samples(node) if sample.metric.family is Family.SERVING]
        for node in fleet.node_names
    }


def test_one_node_of_the_fleet_serves_and_shows_every_row(told: dict[str, list[Sample]]):
    (served,) = [samples for samples in told.values() if samples]
    rows = {row for row in vars(serving).values() if getattr(row, "family", None) is Family.SERVING}
    assert {sample.metric for sample in served} == rows
