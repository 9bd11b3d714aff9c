"""Series for the console's charts: what matches, how it is thinned out, and what is refused."""

from __future__ import annotations

from contextlib import suppress

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.frame_builder import FrameBuilder
from warpgauge.analyzer.service.series_query import MAX_SERIES, parse_query, series_document
from warpgauge.core.catalog import device, host, training
from warpgauge.core.errors import InputError

START = 1_750_000_000.0


def builder(columns: int = 6) -> FrameBuilder:
    return FrameBuilder(columns=columns, start=START)


def ask(frame, **params: str):
    return series_document(frame, parse_query(params))


def test_a_device_has_its_values_with_the_ends_of_their_columns():
    built = builder()
    built.gauge(device.POWER, [1, 2, np.nan, np.nan, np.nan, 6], node="n1", uuid="GPU-1", index="0")

    document = ask(built.build(), metric=device.POWER.name)

    assert (document["unit"], document["step"], document["is_rate"]) == ("watts", 10.0, False)
    (series,) = document["series"]
    assert series["labels"] == {"cluster": "test", "node": "n1", "uuid": "GPU-1", "index": "0"}
    assert series["values"] == [[START + 10, 1], [START + 20, 2], [START + 60, 6]]


def test_labels_choose_among_series():
    built = builder()
    for uuid in ("GPU-1", "GPU-2"):
        for sensor in ("core", "memory"):
            built.gauge(device.TEMPERATURE, 50, node="n1", uuid=uuid, sensor=sensor)

    document = ask(built.build(), metric=device.TEMPERATURE.name, uuid="GPU-2", sensor="core")

    assert [(one["labels"]["uuid"], one["labels"]["sensor"]) for one in document["series"]] == [("GPU-2", "core")]


def test_a_step_gives_means():
    built = builder()
    built.gauge(host.LOAD1, [1, 3, 5, np.nan, np.nan, np.nan], node="n1")

    document = ask(built.build(), metric=host.LOAD1.name, step="20")

    assert document["step"] == 20.0
    assert document["series"][0]["values"] == [[START + 20, 2], [START + 40, 5]]


def test_start_and_end_bound_the_columns():
    built = builder()
    built.gauge(host.LOAD1, range(6), node="n1")

    document = ask(built.build(), metric=host.LOAD1.name, start=str(START + 10), end=str(START + 30))

    assert [value for _, value in document["series"][0]["values"]] == [1, 2]


def test_a_counter_is_a_rate():
    built = builder()
    built.rate(host.CPU_SECONDS, 1.5, node="n1", cpu="0", mode="user")

    document = ask(built.build(), metric=host.CPU_SECONDS.name, mode="user")

    assert document["is_rate"]
    assert {value for _, value in document["series"][0]["values"]} == {1.5}


def test_a_histogram_has_its_mean():
    built = builder()
    built.steps("job", rank=3, node="n1", seconds=0.5)

    document = ask(built.build(), metric=training.STEP_SECONDS.name, part="mean", rank="3")

    assert {value for _, value in document["series"][0]["values"]} == {0.5}


def test_more_series_than_a_page_can_show_are_counted():
    built = builder(columns=2)
    for number in range(MAX_SERIES + 7):
        built.gauge(host.LOAD1, 1.0, node=f"n{number}")

    document = ask(built.build(), metric=host.LOAD1.name)

    assert (len(document["series"]), document["left_out"]) == (MAX_SERIES, 7)


def test_a_metric_that_never_came_has_no_series():
    assert ask(builder().build(), metric=device.POWER.name)["series"] == []


@pytest.mark.parametrize(
    ("params", "message"),
    [
        ({}, "metric=''"),
        ({"metric": "host_load"}, "did you mean host_load"),
        ({"metric": "host_load1", "start": "yesterday"}, "start='yesterday'"),
        ({"metric": "host_load1", "end": "nan"}, "end='nan'"),
        ({"metric": "host_load1", "step": "0"}, "step='0'"),
        ({"metric": "host_load1", "step": "-1"}, "step='-1'"),
    ],
)
def test_a_wrong_parameter_is_named(params: dict[str, str], message: str):
    with pytest.raises(InputError, match=message):
        parse_query(params)


FRAME = builder()
FRAME.gauge(host.LOAD1, 1.0, node="n1")
FRAME = FRAME.build()


@given(
    st.dictionaries(
        st.sampled_from(["metric", "start", "end", "step", "node", "x"]),
        st.text(max_size=8) | st.floats().map(str) | st.sampled_from(["host_load1", "1e308", "-1e308", "1e-300"]),
    )
)
def test_any_parameters_are_answered_or_refused(params: dict[str, str]):
    with suppress(InputError):
        ask(FRAME, **params)
