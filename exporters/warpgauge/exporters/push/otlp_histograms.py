"""Histograms as OTLP has them (opentelemetry-proto, metrics/v1).

The catalog's buckets are explicit bounds and are said exactly. No exponential histogram has such bounds, so those are
made of what was counted in narrower buckets from the start, never of the catalog's, and only where these are all there
is. Bucket i of scale 3 lies above 2**(i / 8) and ends at 2**((i + 1) / 8): one less than ours is called.
https://opentelemetry.io/docs/specs/otel/metrics/data-model/#exponentialhistogram
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.core.fine_buckets import SCHEMA, ZERO, ZERO_THRESHOLD
from warpgauge.core.sample import Histogram

try:
    from opentelemetry.proto.metrics.v1 import metrics_pb2
except ModuleNotFoundError as error:
    message = "Pushing over OTLP needs opentelemetry-proto: pip install '.[push]'"
    raise ModuleNotFoundError(message, name=error.name) from error

if TYPE_CHECKING:
    from collections.abc import Iterable

    from warpgauge.core.catalog import Metric
    from warpgauge.core.sample import Sample

__all__ = ["CUMULATIVE", "HistogramPoint", "add_explicit", "add_exponential", "exponential_of"]

CUMULATIVE: Final = metrics_pb2.AggregationTemporality.AGGREGATION_TEMPORALITY_CUMULATIVE

HistogramPoint = metrics_pb2.HistogramDataPoint | metrics_pb2.ExponentialHistogramDataPoint


def exponential_of(samples: Iterable[Sample]) -> frozenset[Metric]:
    """Metrics of which every series has its narrower buckets: one metric is of one kind for all of them."""
    kinds: dict[Metric, bool] = {}
    for sample in samples:
        if isinstance(sample.value, Histogram):
            kinds[sample.metric] = kinds.get(sample.metric, True) and _is_whole(sample.value)
    return frozenset(metric for metric, is_fine in kinds.items() if is_fine)


def add_explicit(family: metrics_pb2.Metric, metric: Metric, value: Histogram) -> HistogramPoint:
    """A point with the catalog's bounds, in a family that has only such ones."""
    family.histogram.aggregation_temporality = CUMULATIVE
    counts = (new - old for old, new in zip((0, *value.counts), value.counts, strict=False))
    point: HistogramPoint = family.histogram.data_points.add(
        count=value.counts[-1], sum=value.sum, explicit_bounds=metric.buckets, bucket_counts=counts
    )
    return point


def add_exponential(family: metrics_pb2.Metric, value: Histogram) -> HistogramPoint:
    """A point of the narrower buckets, in a family that has only such ones."""
    family.exponential_histogram.aggregation_temporality = CUMULATIVE
    counts = dict(value.fine)
    point: metrics_pb2.ExponentialHistogramDataPoint = family.exponential_histogram.data_points.add(
        count=value.counts[-1],
        sum=value.sum,
        scale=SCHEMA,
        zero_count=counts.pop(ZERO, 0),
        zero_threshold=ZERO_THRESHOLD,
    )
    if counts:
        lowest, highest = min(counts), max(counts)
        point.positive.offset = lowest - 1
        point.positive.bucket_counts.extend(counts.get(bucket, 0) for bucket in range(lowest, highest + 1))
    return point


def _is_whole(value: Histogram) -> bool:
    """Whether the narrower buckets hold all there is; those of a recording that has none do not."""
    return bool(value.fine) and sum(count for _, count in value.fine) == value.counts[-1]
