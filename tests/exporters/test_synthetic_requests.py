"""Requests of a simulated inference server: all they show follows from how busy its devices are."""

from __future__ import annotations

from random import Random
from typing import TYPE_CHECKING

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.core.catalog import Family, serving
from warpgauge.exporters.synthetic import FAULTS, Fleet
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
