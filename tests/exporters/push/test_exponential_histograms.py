"""Exponential histograms in OTLP: what the definition counts is what there was, and no metric is of two kinds."""

from __future__ import annotations

import gzip
import math

import pytest
from hypothesis import given
from hypothesis import strategies as st

pytest.importorskip("opentelemetry.proto", reason="opentelemetry-proto is not installed: pip install '.[push]'")

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import ExportMetricsServiceRequest

from warpgauge.core.catalog import device, own
from warpgauge.core.config import Config, OtlpConfig
from warpgauge.core.fine_buckets import HIGHEST, LOWEST, ZERO, bucket_of
from warpgauge.core.sample import Histogram, Sample
from warpgauge.exporters.push.otlp import Otlp
from warpgauge.exporters.push.otlp_request import Translation
from warpgauge.exporters.push.reading import Reading

POWER = device.POWER_DISTRIBUTION
BUCKETS = len(POWER.buckets) + 1
fine_counts = st.dictionaries(st.integers(ZERO, HIGHEST), st.integers(1, 10**9), min_size=1, max_size=30)


def histogram(fine: dict[int, int], total: int | None = None) -> Histogram:
    everything = sum(fine.values()) if total is None else total
    return Histogram((0,) * (BUCKETS - 1) + (everything,), 4.5, tuple(sorted(fine.items())))


def metrics_of(*samples: Sample, exponential: bool = True):
    translation = Translation({}, lambda _: True, started=1.0, has_exponential_histograms=exponential)
    request = ExportMetricsServiceRequest.FromString(translation.request(Reading(1_750_000_000.5, samples)))
    return list(request.resource_metrics[0].scope_metrics[0].metrics)


def power(value: Histogram, uuid: str = "GPU-1") -> Sample:
    return Sample(POWER, (uuid, "0"), value)


def counted(point) -> dict[int, int]:
    """Our bucket and its count, by the definition of theirs: index i holds what is above base**i."""
    theirs = enumerate(point.positive.bucket_counts, start=point.positive.offset)
    found = {index + 1: count for index, count in theirs if count}
    return found | ({ZERO: point.zero_count} if point.zero_count else {})


@given(fine_counts)
def test_a_reader_counts_in_each_bucket_what_there_was(fine):
    (metric,) = metrics_of(power(histogram(fine)))
    (point,) = metric.exponential_histogram.data_points
    assert counted(point) == fine
    assert (point.count, point.sum, point.scale) == (sum(fine.values()), 4.5, 3)
    assert point.zero_threshold < 2.0 ** ((LOWEST - 1) / 8)


@given(st.floats(1e-5, 1e5))
def test_a_value_lies_between_the_bounds_that_the_protocol_gives_its_bucket(value):
    (metric,) = metrics_of(power(histogram({bucket_of(value): 1})))
    (point,) = metric.exponential_histogram.data_points
    base = 2.0 ** (2.0**-point.scale)
    lower, upper = base**point.positive.offset, base ** (point.positive.offset + 1)
    assert lower * (1 - 1e-9) < value <= upper * (1 + 1e-9)


def test_it_is_cumulative_under_the_metrics_own_name_with_a_start():
    (metric,) = metrics_of(power(histogram({8: 5})))
    (point,) = metric.exponential_histogram.data_points
    assert (metric.name, metric.unit, metric.exponential_histogram.aggregation_temporality) == (POWER.name, "W", 2)
    assert (point.start_time_unix_nano, point.time_unix_nano) == (10**9, 1_750_000_000_500_000_000)
    assert {pair.key for pair in point.attributes} == {"uuid", "index"}


@pytest.mark.parametrize(
    ("value", "exponential"),
    [
        (histogram({8: 5}), False),
        (histogram({}, total=5), True),
        (histogram({8: 5}, total=6), True),  # narrower buckets that are not all there is
    ],
)
def test_against_the_settings_or_where_it_would_lie_the_catalogs_buckets_are_sent(value, exponential):
    (metric,) = metrics_of(power(value), exponential=exponential)
    (point,) = metric.histogram.data_points
    assert tuple(point.explicit_bounds) == POWER.buckets


def test_a_metric_whose_devices_differ_is_of_one_kind_for_all():
    (metric,) = metrics_of(power(histogram({8: 5})), power(histogram({}, total=5), "GPU-2"))
    assert len(metric.histogram.data_points) == 2


def test_what_never_had_narrower_buckets_keeps_its_own_exactly():
    counts = tuple(range(len(own.COLLECT_SECONDS.buckets) + 1))
    ours, theirs = metrics_of(Sample(own.COLLECT_SECONDS, ("host",), Histogram(counts, 4.5)), power(histogram({8: 5})))
    (point,) = ours.histogram.data_points
    assert (tuple(point.explicit_bounds), set(point.bucket_counts)) == (own.COLLECT_SECONDS.buckets, {0, 1})
    assert theirs.WhichOneof("data") == "exponential_histogram"


def test_the_setting_is_what_makes_the_sink_send_them():
    bodies = [
        Otlp(Config(otlp=OtlpConfig(url="http://127.0.0.1:9", exponential_histograms=asked)), {}).encode(
            Reading(1.0, [power(histogram({8: 5}))])
        )
        for asked in (False, True)
    ]
    requests = [ExportMetricsServiceRequest.FromString(gzip.decompress(body)) for body in bodies]
    kinds = [one.resource_metrics[0].scope_metrics[0].metrics[0].WhichOneof("data") for one in requests]
    assert kinds == ["histogram", "exponential_histogram"]


def test_an_idle_device_has_zeros_alone():
    (metric,) = metrics_of(power(histogram({ZERO: 7})))
    (point,) = metric.exponential_histogram.data_points
    assert (point.count, point.zero_count, list(point.positive.bucket_counts)) == (7, 7, [])
    assert math.isfinite(point.zero_threshold)
