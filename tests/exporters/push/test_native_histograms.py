"""Native histograms in remote write: what a reader of the format counts is what there was."""

from __future__ import annotations

from itertools import accumulate

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("cramjam", reason="cramjam is not installed: pip install '.[push]'")

import cramjam

from warpgauge.core.catalog import device
from warpgauge.core.device import Device, DeviceKind
from warpgauge.core.fine_buckets import HIGHEST, LOWEST, ZERO
from warpgauge.core.sample import Histogram, Sample
from warpgauge.exporters.dictation import Listener, Speaker
from warpgauge.exporters.increments import Increment
from warpgauge.exporters.ledger import Ledger
from warpgauge.exporters.messages import BadMessageError, Gained
from warpgauge.exporters.push import write_request
from warpgauge.exporters.push.reading import Reading
from warpgauge.exporters.push.write_request import Writer

POWER = device.POWER_DISTRIBUTION
GPU = Device(uuid="GPU-1", index=0, kind=DeviceKind.GPU, vendor="nvidia", model="H100")
BUCKETS = len(POWER.buckets) + 1
fine_counts = st.dictionaries(st.integers(ZERO, HIGHEST), st.integers(1, 10**9), min_size=1, max_size=30)


def histogram(fine: dict[int, int], total: int | None = None) -> Histogram:
    everything = sum(fine.values()) if total is None else total
    return Histogram((0,) * (BUCKETS - 1) + (everything,), 4.5, tuple(sorted(fine.items())))


def series_of(value: Histogram, takes=lambda _: True, **options):
    sample = Sample(POWER, ("GPU-1", "0"), value)
    body = Writer({}, takes, **({"has_native_histograms": True} | options)).message(Reading(1.0, [sample]))
    request = write_request._WriteRequest.FromString(bytes(cramjam.snappy.decompress_raw(body)))
    return [series for series in request.timeseries if series.histograms]


def counted(native) -> dict[int, int]:
    """Bucket and count, as the format says: a span's offset from the end of the one before, deltas between counts."""
    counts = list(accumulate(native.positive_deltas))
    found, place = {}, 0
    for span in native.positive_spans:
        place += span.offset
        for _ in range(span.length):
            found[place] = counts.pop(0)
            place += 1
    assert counts == []
    return found | ({ZERO: native.zero_count_int} if native.zero_count_int else {})


@given(fine_counts)
def test_a_reader_counts_in_each_bucket_what_there_was(fine):
    (series,) = series_of(histogram(fine))
    (native,) = series.histograms
    assert counted(native) == fine
    assert (native.count_int, native.sum, native.schema, native.timestamp) == (sum(fine.values()), 4.5, 3, 1000)
    assert native.zero_threshold < 2.0 ** ((LOWEST - 1) / 8)


def test_it_stands_beside_the_classic_series_under_the_metrics_own_name():
    (series,) = series_of(histogram({8: 5}))
    labels = {label.name: label.value for label in series.labels}
    assert labels == {"__name__": POWER.name, "uuid": "GPU-1", "index": "0"}


@pytest.mark.parametrize(
    ("value", "options"),
    [
        (histogram({8: 5}), {"has_native_histograms": False}),
        (histogram({}, total=5), {}),
        (histogram({8: 5}, total=6), {}),  # narrower buckets that are not all there is
        (histogram({8: 5}), {"takes": lambda name: name != POWER.name}),
    ],
)
def test_none_is_written_against_the_settings_or_where_it_would_lie(value, options):
    assert series_of(value, **options) == []


@given(st.lists(fine_counts, min_size=1, max_size=4))
def test_what_a_child_gained_adds_up_in_the_agent(portions):
    speaker, listener, ledger = Speaker(), Listener(), Ledger()
    for fine in portions:
        gain = Increment(POWER, (), (0,) * (BUCKETS - 1) + (sum(fine.values()),), 1.0, tuple(sorted(fine.items())))
        heard = listener.decode(speaker.encode(Gained(0, (gain,), {})))
        assert heard.increments == (gain,)
        ledger.add("GPU-1", heard.increments)
    (sample,) = ledger.samples(GPU)
    assert sum(count for _, count in sample.value.fine) == sample.value.counts[-1]
    assert set(dict(sample.value.fine)) == {bucket for fine in portions for bucket in fine}


@pytest.mark.parametrize(
    "fine", ["[[5,1],[4,1]]", "[[4,1],[4,1]]", "[[4,-1]]", "[[999,1]]", "[[4.0,1]]", "[4]", "[[4,true]]"]
)
def test_narrower_buckets_that_are_none_are_no_message(fine):
    row = f'["{POWER.name}",[],{[0] * BUCKETS},1.0,{fine}]'
    line = f'{{"say":"gained","position":0,"increments":[{row}],"bookmark":{{}}}}'
    with pytest.raises(BadMessageError):
        Listener().decode(line.encode())
