"""What histograms gained is told of all of them each time, under names that stay."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st

from warpgauge.core.catalog import device
from warpgauge.exporters.collectors.time_gain import Telling, TimeGain
from warpgauge.exporters.increments import Gains

WATTS, SHARES = device.POWER_DISTRIBUTION, device.UTILIZATION_DISTRIBUTION
spans = st.lists(st.tuples(st.floats(0.0, 1000.0), st.integers(0, 2000)), max_size=20)


def test_names_stay_the_same_objects_until_there_are_more():
    telling, gains = Telling(), [TimeGain(WATTS, ())]
    first, second = (telling.gains(gains) for _ in range(2))
    assert (first.metrics, first.labels) == ([WATTS], [()])
    assert first.metrics is second.metrics
    assert first.labels is second.labels
    gains.append(TimeGain(SHARES, ("compute",)))
    assert telling.gains(gains).labels == [(), ("compute",)]


def test_what_gained_nothing_is_told_all_the_same():
    told = list(Telling().gains([TimeGain(WATTS, ()), TimeGain(SHARES, ("compute",))]))
    assert [(sum(gain.counts), gain.sum) for gain in told] == [(0, 0.0), (0, 0.0)]


@given(st.lists(st.tuples(spans, spans), max_size=4))
def test_each_millisecond_is_told_once_in_its_bucket(rounds):
    telling, (watts, shares) = Telling(), (TimeGain(WATTS, ()), TimeGain(SHARES, ("compute",)))
    told = [0, 0]
    for of_watts, of_shares in rounds:
        watts.add(of_watts)
        shares.add(of_shares)
        for at, gain in enumerate(telling.gains([watts, shares])):
            told[at] += sum(gain.counts)
            below = [
                sum(it for value, it in (of_watts, of_shares)[at] if value <= bound) for bound in gain.metric.buckets
            ]
            assert [sum(gain.counts[: place + 1]) for place in range(len(below))] == below
    assert told == [sum(it for pair in rounds for _, it in pair[at]) for at in range(2)]


@given(spans)
def test_rows_and_columns_hold_the_same(spans):
    gain = TimeGain(WATTS, ())
    gain.add(spans)
    told = Telling().gains([gain])
    assert Gains.of(list(told)) == told
    assert list(Gains.of(list(told))) == list(told)
