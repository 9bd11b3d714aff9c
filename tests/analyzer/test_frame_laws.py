"""Laws that hold for any samples: rates never fall below zero, order and batching do not matter, gaps stay gaps."""

from __future__ import annotations

import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from warpgauge.analyzer.frame import Frame, Ingested
from warpgauge.core.catalog import device, host

START_MS = 1_750_000_000_000
PLACE = {"cluster": "c", "node": "n1"}

gaps_ms = st.integers(min_value=200, max_value=60_000)
samples = st.lists(st.tuples(gaps_ms, st.floats(0, 1e12)), min_size=1, max_size=60)


def times_and_values(drawn):
    times = START_MS + np.cumsum([gap for gap, _ in drawn]).astype(np.int64)
    return times, np.array([value for _, value in drawn])


def counter_frame() -> tuple[Frame, int]:
    frame = Frame()
    return frame, frame.series_id(host.CPU_SECONDS, {**PLACE, "cpu": "0", "mode": "user"})


def feed(frame: Frame, series: int, times, values) -> Ingested:
    ids = np.full(len(times), series, dtype=np.int64)
    return frame.ingest(ids, np.asarray(times, dtype=np.int64), np.asarray(values, dtype=np.float64))


@given(samples)
def test_a_counter_that_resets_anywhere_never_gives_a_negative_rate(drawn):
    frame, series = counter_frame()
    feed(frame, series, *times_and_values(drawn))

    rates = frame.values(host.CPU_SECONDS, "user")

    assert not (rates < 0).any()
    assert not np.isinf(rates).any()


@given(samples)
def test_sample_by_sample_gives_the_same_columns_as_one_batch(drawn):
    times, values = times_and_values(drawn)
    whole, series = counter_frame()
    feed(whole, series, times, values)
    single, same = counter_frame()
    for time, value in zip(times, values, strict=True):
        feed(single, same, [time], [value])

    np.testing.assert_allclose(
        whole.values(host.CPU_SECONDS, "user"), single.values(host.CPU_SECONDS, "user"), rtol=1e-5, atol=1e-6
    )


@given(samples, st.randoms())
def test_the_order_within_a_batch_does_not_matter(drawn, random):
    times, values = times_and_values(drawn)
    shuffled = list(range(len(times)))
    random.shuffle(shuffled)
    sorted_frame, series = counter_frame()
    feed(sorted_frame, series, times, values)
    shuffled_frame, same = counter_frame()
    feed(shuffled_frame, same, times[shuffled], values[shuffled])

    np.testing.assert_array_equal(
        sorted_frame.values(host.CPU_SECONDS, "user"), shuffled_frame.values(host.CPU_SECONDS, "user")
    )


@given(st.lists(st.tuples(st.integers(200, 20_000), st.floats(0, 1e6)), min_size=2, max_size=60))
def test_no_rate_exceeds_what_was_counted(drawn):
    times, increments = times_and_values(drawn)
    frame, series = counter_frame()
    feed(frame, series, times, np.cumsum(increments))

    rates = frame.values(host.CPU_SECONDS, "user")

    fastest = (increments[1:] / (np.diff(times) / 1000.0)).max()
    assert np.nanmax(rates, initial=0.0) <= fastest * (1 + 1e-5) + 1e-6


@given(st.lists(st.tuples(gaps_ms, st.floats(0, 1, width=32)), min_size=1, max_size=60))
def test_a_gauge_column_holds_a_value_that_was_sampled(drawn):
    times, values = times_and_values(drawn)
    frame = Frame()
    series = frame.series_id(device.COMPUTE_ACTIVE, {**PLACE, "uuid": "GPU-1", "index": "0"})
    feed(frame, series, times, values)

    seen = frame.values(device.COMPUTE_ACTIVE)[0]

    assert set(seen[~np.isnan(seen)].tolist()) <= set(values.astype(np.float32).tolist())
    assert frame.latest(device.COMPUTE_ACTIVE)[0] == np.float32(values[-1])


@given(st.lists(st.one_of(st.floats(), st.just(float("nan"))), min_size=1, max_size=40))
def test_any_float_from_outside_is_taken_without_a_warning(values):
    frame, series = counter_frame()
    gauge = frame.series_id(host.LOAD1, PLACE)
    times = START_MS + np.arange(len(values)) * 5000

    feed(frame, series, times, values)
    feed(frame, gauge, times, values)

    rates = frame.values(host.CPU_SECONDS, "user")
    assert not (rates < 0).any()
