"""OTLP metrics: the request by opentelemetry-proto's own reader, and what each answer means for a batch.

The receiver is one of ours, for faults on demand; no Collector runs here.
"""

from __future__ import annotations

import gzip

import pytest

pytest.importorskip("opentelemetry.proto", reason="opentelemetry-proto is not installed: pip install '.[push]'")

from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from tests.exporters.push.receivers import Reply, receiver
from warpgauge.core.catalog import device, host, own
from warpgauge.core.config import Config, OtlpConfig, PushConfig
from warpgauge.core.errors import ConfigError
from warpgauge.core.sample import Histogram, Sample, Unavailable
from warpgauge.exporters.push.otlp import Otlp
from warpgauge.exporters.push.reading import Reading
from warpgauge.exporters.push.sink import Acked, Dead, Retry

TEMPORALITY_CUMULATIVE = 2


@pytest.fixture
def target():
    with receiver() as running:
        yield running


def sink(url: str = "http://127.0.0.1:9", environ=None, push: PushConfig | None = None, **settings: str) -> Otlp:
    return Otlp(Config(otlp=OtlpConfig(url=url, **settings), push=push or PushConfig()), environ or {})


def request_of(*samples: Sample, push: PushConfig | None = None) -> ExportMetricsServiceRequest:
    body = sink(push=push).encode(Reading(1_750_000_000.5, samples))
    return ExportMetricsServiceRequest.FromString(gzip.decompress(body))


def metric_of(*samples: Sample):
    (metric,) = request_of(*samples).resource_metrics[0].scope_metrics[0].metrics
    return metric


def attributes(point) -> dict[str, str]:
    return {pair.key: pair.value.string_value for pair in point.attributes}


def test_a_metric_has_its_conventions_name_unit_and_attributes():
    metric = metric_of(Sample(device.POWER, ("GPU-1", "0"), 123.5))
    (point,) = metric.gauge.data_points
    assert (metric.name, metric.unit, point.as_double) == ("hw.power", "W", 123.5)
    assert point.time_unix_nano == 1_750_000_000_500_000_000
    assert attributes(point) == {"uuid": "GPU-1", "index": "0", "hw.id": "GPU-1", "hw.type": "gpu"}


def test_a_metric_without_a_convention_keeps_our_name():
    metric = metric_of(Sample(device.LINK_ERRORS, ("GPU-1", "0", "1", "crc"), 3.0))
    assert metric.name == "accel_link_errors"
    assert metric.description == device.LINK_ERRORS.help


def test_a_number_without_unit_has_none_and_a_ratio_is_one():
    units = [metric_of(Sample(row, row.labels, 0.5)).unit for row in (host.LOAD1, host.PROCESS_CPU)]
    assert units == ["", "1"]


def test_two_directions_of_one_convention_are_one_metric():
    metric = metric_of(Sample(host.DISK_READ, ("sda",), 1.0), Sample(host.DISK_WRITTEN, ("sda",), 2.0))
    points = {attributes(point)["disk.io.direction"]: point.as_double for point in metric.sum.data_points}
    assert (metric.name, points) == ("system.disk.io", {"read": 1.0, "write": 2.0})


def test_a_counter_is_a_monotonic_cumulative_sum():
    metric = metric_of(Sample(device.ENERGY, ("GPU-1", "0"), 5.0))
    assert metric.sum.is_monotonic
    assert metric.sum.aggregation_temporality == TEMPORALITY_CUMULATIVE


def test_what_goes_up_and_down_is_a_sum_that_is_not_monotonic():
    metric = metric_of(Sample(device.MEMORY_USED, ("GPU-1", "0"), 5.0))
    assert (metric.name, metric.sum.is_monotonic, len(metric.sum.data_points)) == ("hw.gpu.memory.usage", False, 1)


def test_a_histogram_has_counts_per_bucket_and_cumulative_temporality():
    bounds = own.COLLECT_SECONDS.buckets
    counts = (1, 1, 4, *(4,) * (len(bounds) - 3), 9)
    metric = metric_of(Sample(own.COLLECT_SECONDS, ("host",), Histogram(counts, 4.5)))
    (point,) = metric.histogram.data_points
    assert list(point.bucket_counts) == [1, 0, 3, *(0,) * (len(bounds) - 3), 5]
    assert (tuple(point.explicit_bounds), point.count, point.sum) == (bounds, 9, 4.5)
    assert metric.histogram.aggregation_temporality == TEMPORALITY_CUMULATIVE
    assert point.start_time_unix_nano > 0


def test_the_resource_is_this_machine_with_the_external_labels():
    push = PushConfig(external_labels=("cluster=a", "instance=n1"))
    resource = request_of(push=push).resource_metrics[0].resource
    found = attributes(resource)
    assert (found["service.name"], found["service.instance.id"], found["cluster"]) == ("warpgauge", "n1", "a")
    assert found["host.name"]


def test_what_is_unavailable_or_dropped_is_not_sent():
    missing = Sample(device.POWER, ("GPU-1", "0"), Unavailable("no"))
    request = request_of(missing, Sample(host.LOAD1, (), 1.0), push=PushConfig(drop="host_.*"))
    assert not request.resource_metrics[0].scope_metrics[0].metrics


def test_compression_is_told_and_can_be_switched_off(target):
    reading = Reading(1.0, (Sample(host.LOAD1, (), 1.0),))
    for how in ("gzip", "none"):
        one = sink(target.url, compression=how)
        assert one.send(one.encode(reading)) == Acked()
    (zipped, _), (plain, body) = target.requests
    assert (zipped["content-encoding"], plain.get("content-encoding")) == ("gzip", None)
    assert ExportMetricsServiceRequest.FromString(body).resource_metrics


def test_what_waited_keeps_its_form_when_the_setting_changes(target):
    body = sink(compression="gzip").encode(Reading(1.0, ()))
    sink(target.url, compression="none").send(body)
    assert target.requests[0][0]["content-encoding"] == "gzip"


def test_headers_come_from_the_environment_percent_decoded(target):
    sink(target.url, {"OTEL_EXPORTER_OTLP_HEADERS": "authorization=Bearer%20s3cret,x-team=a"}).send(b"")
    headers, _ = target.requests[0]
    assert (headers["authorization"], headers["x-team"]) == ("Bearer s3cret", "a")


def test_a_headers_file_wins_over_the_environment(target, tmp_path):
    (tmp_path / "headers").write_text("X-Team: file\n")
    sink(target.url, {"OTEL_EXPORTER_OTLP_HEADERS": "x-team=a"}, headers_file=str(tmp_path / "headers")).send(b"")
    assert target.requests[0][0]["x-team"] == "file"


def test_a_malformed_variable_is_told_without_its_secret():
    with pytest.raises(ConfigError) as caught:
        sink(environ={"OTEL_EXPORTER_OTLP_HEADERS": "s3cret"})
    assert "header 1" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_partial_success_is_an_acknowledgement_that_says_what_was_refused(target):
    answer = ExportMetricsServiceResponse()
    answer.partial_success.rejected_data_points = 3
    answer.partial_success.error_message = "no such unit"
    target.replies.append(Reply(200, answer.SerializeToString()))
    assert sink(target.url).send(b"") == Acked(3, "no such unit")


def test_an_answer_of_success_that_is_not_otlps_is_no_acknowledgement(target):
    target.replies.append(Reply(200, b"<html>hello</html>"))
    assert isinstance(sink(target.url).send(b""), Retry)


@pytest.mark.parametrize("status", [429, 503])
def test_an_overloaded_receiver_gets_it_later_when_it_says(target, status):
    target.replies.append(Reply(status, b"", {"Retry-After": "9"}))
    assert sink(target.url).send(b"") == Retry(f"HTTP {status}", 9.0)


def test_a_bad_request_is_dead(target):
    target.replies.append(Reply(400, b"\x08\x03\x12\x03bad"))
    answer = sink(target.url).send(b"")
    assert isinstance(answer, Dead)
    assert answer.reason.startswith("HTTP 400")


def test_the_check_sends_nothing_but_an_empty_request(target):
    assert sink(target.url).check().endswith("took an empty request")
    assert target.requests[0][1] == b""
