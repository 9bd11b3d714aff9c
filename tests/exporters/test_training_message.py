"""The datagram's parser: the step timer's messages, and nothing else."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.core.errors import InputError
from warpgauge.exporters.collectors.training_message import MAX_BYTES, StepMessage, parse

GOOD = {"v": 1, "job": "77", "rank": 3, "steps": [0.5, 1], "phases": {"input": 0.25}}


def encoded(**changes):
    return json.dumps({**GOOD, **changes}).encode()


def test_a_message_reads_as_it_was_written():
    assert parse(encoded()) == StepMessage(
        job_id="77",
        rank=3,
        ranks=None,
        stage=None,
        step_seconds=(0.5, 1.0),
        phase_seconds={"input": 0.25},
        device_seconds={},
    )


def test_phases_that_the_device_timed_stand_apart():
    message = parse(encoded(phases={}, device={"communication": 0.5}))
    assert (message.phase_seconds, message.device_seconds) == ({}, {"communication": 0.5})


def test_a_pipeline_stage_is_kept():
    assert parse(encoded(stage=2)).stage == 2


def test_the_number_of_ranks_that_the_job_has_is_kept():
    assert parse(encoded(ranks=4)).ranks == 4


def test_the_sending_of_a_ranks_own_data_is_a_phase():
    assert parse(encoded(phases={"transfer": 0.25})).phase_seconds == {"transfer": 0.25}


def test_a_heartbeat_without_steps_is_a_message():
    assert parse(encoded(steps=[], phases={})).step_seconds == ()


@pytest.mark.parametrize(
    "changes",
    [
        {"v": 2},
        {"v": True},
        {"v": "1"},
        {"job": ""},
        {"job": 77},
        {"job": "a" * 129},
        {"job": "a\nb"},
        {"rank": -1},
        {"rank": True},
        {"rank": 1.0},
        {"rank": 10**9},
        {"ranks": None},
        {"ranks": 0},
        {"ranks": 3},
        {"ranks": 4.0},
        {"ranks": "4"},
        {"ranks": True},
        {"ranks": 10**9},
        {"stage": None},
        {"device": None},
        {"device": {"lunch": 1.0}},
        {"device": {"input": -1}},
        {"stage": "0"},
        {"steps": 1.0},
        {"steps": [-0.1]},
        {"steps": ["1"]},
        {"steps": [True]},
        {"steps": [1e30]},
        {"steps": [10**400]},
        {"steps": [float("nan")]},
        {"steps": [float("inf")]},
        {"steps": [0.0] * 513},
        {"phases": []},
        {"phases": {"lunch": 1.0}},
        {"phases": {"input": None}},
        {"extra": 1},
    ],
    ids=lambda changes: json.dumps(changes)[:30],
)
def test_anything_else_in_a_field_is_refused(changes):
    with pytest.raises(InputError, match="step message"):
        parse(encoded(**changes))


@pytest.mark.parametrize("missing", sorted(GOOD))
def test_a_missing_field_is_refused(missing):
    with pytest.raises(InputError):
        parse(json.dumps({key: value for key, value in GOOD.items() if key != missing}).encode())


@pytest.mark.parametrize(
    "data",
    [
        b"",
        b"\xff\xfe",
        b"[]",
        b"null",
        b'"v"',
        encoded()[:-1],
        encoded() + b"x",
        encoded().replace(b'"rank": 3', b'"rank": 3, "rank": 4'),
        b"[" * MAX_BYTES,
        b"9" * MAX_BYTES,
        encoded(job="a").ljust(MAX_BYTES + 1),
    ],
    ids=lambda data: repr(data[:20]),
)
def test_bytes_that_are_no_message_are_refused(data):
    with pytest.raises(InputError, match="step message"):
        parse(data)


json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(max_size=10),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=6), inner, max_size=4),
    max_leaves=8,
)


@given(st.binary(max_size=300))
def test_no_bytes_raise_anything_but_an_input_error(data):
    try:
        parse(data)
    except InputError as error:
        assert "step message" in str(error)  # noqa: PT017 - raising is allowed, not demanded


@given(st.dictionaries(st.sampled_from([*GOOD, "ranks", "stage", "x"]), json_values))
def test_no_values_raise_anything_but_an_input_error(fields):
    try:
        message = parse(encoded(**fields))
    except InputError:
        return
    assert message.rank >= 0
    assert all(seconds >= 0 for seconds in (*message.step_seconds, *message.phase_seconds.values()))
