"""A reading as an OTLP request for metrics (opentelemetry-proto, metrics/v1), and what the receiver answers to one."""

from __future__ import annotations

import platform
from typing import TYPE_CHECKING, Final

from warpgauge.core.catalog import Family, Kind, Unit
from warpgauge.core.sample import Histogram, Unavailable
from warpgauge.core.version import VERSION
from warpgauge.exporters.push.conventions import attributes_of, is_up_down, name_of
from warpgauge.exporters.push.otlp_histograms import CUMULATIVE, add_explicit, add_exponential, exponential_of

try:
    from google.protobuf.message import DecodeError
    from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
        ExportMetricsServiceRequest,
        ExportMetricsServiceResponse,
    )
    from opentelemetry.proto.common.v1.common_pb2 import AnyValue, KeyValue
except ModuleNotFoundError as error:
    message = "Pushing over OTLP needs opentelemetry-proto: pip install '.[push]'"
    raise ModuleNotFoundError(message, name=error.name) from error

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping

    from opentelemetry.proto.metrics.v1 import metrics_pb2

    from warpgauge.core.catalog import Metric
    from warpgauge.exporters.push.otlp_histograms import HistogramPoint
    from warpgauge.exporters.push.reading import Reading

__all__ = [
    "SCOPE",
    "Attribute",
    "Translation",
    "clean",
    "nanoseconds",
    "pairs",
    "refusals_of",
    "resource_of",
]

SCOPE: Final = "warpgauge"
Attribute = str | int | float | bool

_RENAMED_LABELS: Final = {"job": "service.name", "instance": "service.instance.id"}


class Translation:
    """Readings to requests; everything is one resource, this machine."""

    def __init__(
        self,
        external: Mapping[str, str],
        takes: Callable[[str], bool],
        started: float,
        *,
        has_exponential_histograms: bool = False,
    ) -> None:
        """`takes` says by the catalog's name whether a metric is sent; the agent `started` then (seconds)."""
        self._has_exponential_histograms = has_exponential_histograms
        self._resource = resource_of(external)
        self._takes = takes
        self._started = nanoseconds(started)

    def request(self, reading: Reading) -> bytes:
        """The serialized request."""
        request = ExportMetricsServiceRequest()
        resource = request.resource_metrics.add()
        resource.resource.attributes.extend(pairs(self._resource))
        scope = resource.scope_metrics.add()
        scope.scope.name, scope.scope.version = SCOPE, VERSION
        stamp = nanoseconds(reading.time)
        fine = exponential_of(reading.samples) if self._has_exponential_histograms else frozenset()
        families: dict[str, metrics_pb2.Metric] = {}
        for sample in reading.samples:
            if isinstance(sample.value, Unavailable) or not self._takes(sample.metric.name):
                continue
            name = name_of(sample.metric)
            if name not in families:
                families[name] = scope.metrics.add(name=name, description=_help(sample.metric))
                families[name].unit = _unit(sample.metric)
            point = self._added(families[name], sample.metric, sample.value, is_fine=sample.metric in fine)
            point.time_unix_nano = stamp
            point.attributes.extend(pairs(attributes_of(sample.metric, sample.labels)))
        return bytes(request.SerializeToString())

    def _added(
        self, family: metrics_pb2.Metric, metric: Metric, value: float | Histogram, *, is_fine: bool
    ) -> metrics_pb2.NumberDataPoint | HistogramPoint:
        """A point of the family with a value; its time and attributes are the caller's to set."""
        if isinstance(value, Histogram):
            point = add_exponential(family, value) if is_fine else add_explicit(family, metric, value)
            point.start_time_unix_nano = self._started
            return point
        number = value / (metric.otel.factor if metric.otel else 1.0)
        one: metrics_pb2.NumberDataPoint
        if metric.kind is not Kind.COUNTER and not is_up_down(metric):
            one = family.gauge.data_points.add(as_double=number)
            return one
        family.sum.aggregation_temporality = CUMULATIVE
        family.sum.is_monotonic = metric.kind is Kind.COUNTER
        # Others than ours began to count with a driver or a kernel: unknown, hence absent.
        started = self._started if metric.family is Family.AGENT else 0
        one = family.sum.data_points.add(as_double=number, start_time_unix_nano=started)
        return one


def refusals_of(body: bytes) -> tuple[int, str]:
    """How many data points the receiver did not keep, and why, by its answer of success.

    Raises:
        ValueError: the answer is no answer to such a request.

    """
    try:
        partial = ExportMetricsServiceResponse.FromString(body).partial_success
    except DecodeError as error:
        raise ValueError(str(error)) from error
    return partial.rejected_data_points, partial.error_message


def nanoseconds(time: float) -> int:
    """Seconds since the epoch as the protocol has them, whole microseconds: a float tells no finer ones."""
    return round(time * 1e6) * 1000


def resource_of(external: Mapping[str, str]) -> dict[str, str]:
    """Attributes of this machine as the sender, with the labels of the settings."""
    return {
        "host.name": platform.node(),
        "service.version": VERSION,
        **{_RENAMED_LABELS.get(name, name): value for name, value in external.items()},
    }


def pairs(attributes: Mapping[str, Attribute]) -> Iterator[KeyValue]:
    """Attributes as the protocol has them; an empty text is absent."""
    for key, value in attributes.items():
        if value != "":
            yield KeyValue(key=key, value=_value_of(value))


def _value_of(value: Attribute) -> AnyValue:
    """One value of its own type."""
    if isinstance(value, bool):  # which is an int too
        return AnyValue(bool_value=value)
    if isinstance(value, int):
        return AnyValue(int_value=value)
    return AnyValue(double_value=value) if isinstance(value, float) else AnyValue(string_value=clean(value))


def clean(text: str) -> str:
    """The text without lone surrogates (a file name that is no UTF-8), which protobuf would refuse."""
    return text.encode("utf-8", "replace").decode()


def _unit(metric: Metric) -> str:
    """None for a number of our own that has none: "1" is a ratio to receivers, and Prometheus names it so."""
    return "" if metric.otel is None and metric.unit is Unit.NONE else metric.unit.ucum


def _help(metric: Metric) -> str:
    return "" if metric.otel else metric.help
