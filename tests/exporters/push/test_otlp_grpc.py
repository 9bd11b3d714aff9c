"""OTLP over gRPC: what is sent, whom it trusts, and what each status means for a batch.

The receiver is one of ours, for statuses on demand; tests/real/test_push_on_otelcol.py has the real one.
"""

from __future__ import annotations

import gzip

import pytest

pytest.importorskip("grpc", reason="grpcio is not installed: pip install '.[grpc]'")
pytest.importorskip("google.rpc", reason="googleapis-common-protos is not installed: pip install '.[grpc]'")

import grpc
import trustme
from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest
from opentelemetry.proto.collector.metrics.v1.metrics_service_pb2 import (
    ExportMetricsServiceRequest,
    ExportMetricsServiceResponse,
)

from tests.exporters.push.grpc_receivers import Refusal, grpc_receiver
from warpgauge.core.catalog import host
from warpgauge.core.config import Config, OtlpConfig, OtlpLogsConfig
from warpgauge.core.errors import ConfigError
from warpgauge.core.sample import Sample
from warpgauge.exporters.log_record import LogRecord, Severity
from warpgauge.exporters.push.otlp import Otlp
from warpgauge.exporters.push.otlp_logs import OtlpLogs
from warpgauge.exporters.push.reading import Reading
from warpgauge.exporters.push.sink import Acked, Dead, Retry

READING = Reading(1_750_000_000.5, (Sample(host.LOAD1, (), 1.5),))
RECORD = LogRecord(id="a", time=1.0, source="kernel", kind="xid", severity=Severity.INFO, message="x", node="n1")
METHOD = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export"
Code = grpc.StatusCode


@pytest.fixture
def target():
    with grpc_receiver() as running:
        yield running


def sink(url: str = "http://127.0.0.1:9", environ=None, **settings) -> Otlp:
    return Otlp(Config(otlp=OtlpConfig(url=url, protocol="grpc", **settings)), environ or {})


def sent(url: str, *, environ=None, **settings):
    one = sink(url, environ, **settings)
    try:
        return one.send(one.encode(READING))
    finally:
        one.close()


@pytest.mark.parametrize("compression", ["gzip", "none"])
def test_a_reading_arrives_as_the_metric_services_request(target, compression):
    assert sent(target.url, compression=compression) == Acked()
    (call,) = target.calls
    assert call.method == METHOD
    (metric,) = ExportMetricsServiceRequest.FromString(call.body).resource_metrics[0].scope_metrics[0].metrics
    assert (metric.name, metric.gauge.data_points[0].as_double) == ("host_load1", 1.5)


def test_a_batch_that_waited_for_http_goes_over_grpc_and_back(target):
    waited = Otlp(Config(otlp=OtlpConfig(url="http://127.0.0.1:9")), {}).encode(READING)
    one = sink(target.url, compression="none")
    assert one.send(waited) == Acked()
    one.close()
    assert target.calls[0].body == gzip.decompress(waited)


def test_what_is_damaged_in_the_queue_is_dead():
    assert isinstance(sink().send(b"\x1f\x8bno"), Dead)


def test_headers_become_metadata(target):
    sent(target.url, environ={"OTEL_EXPORTER_OTLP_HEADERS": "Authorization=Bearer%20s3cret"})
    metadata = target.calls[0].metadata
    assert metadata["authorization"] == "Bearer s3cret"
    assert metadata["user-agent"].startswith("warpgauge/")


@pytest.mark.parametrize("name", ["x-bin", "grpc-timeout", "x!"])
def test_a_header_that_grpc_cannot_carry_is_an_error_without_its_value(tmp_path, name):
    (tmp_path / "headers").write_text(f"{name}: s3cret\n")
    with pytest.raises(ConfigError, match="cannot be sent over gRPC") as caught:
        sink(headers_file=str(tmp_path / "headers"))
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("code", [Code.INVALID_ARGUMENT, Code.ALREADY_EXISTS, Code.FAILED_PRECONDITION])
def test_what_the_receiver_will_never_take_is_dead(target, code):
    target.replies.append(Refusal(code, "bad\n  metric"))
    assert sent(target.url) == Dead(f"gRPC {code.name} bad metric")


@pytest.mark.parametrize("code", [Code.UNAVAILABLE, Code.RESOURCE_EXHAUSTED])
def test_an_overloaded_receiver_gets_it_when_it_says(target, code):
    target.replies.append(Refusal(code, "full", retry_seconds=7.5))
    assert sent(target.url) == Retry(f"gRPC {code.name} full", 7.5)


def test_a_wait_is_at_most_an_hour_and_never_negative(target):
    target.replies += [Refusal(Code.UNAVAILABLE, retry_seconds=1e7), Refusal(Code.UNAVAILABLE, retry_seconds=-5.0)]
    assert [sent(target.url).seconds for _ in range(2)] == [3600.0, 0.0]


def test_details_that_are_no_status_say_nothing(target):
    target.replies.append(Refusal(Code.UNAVAILABLE, raw_details=b"\xff\xff"))
    assert sent(target.url) == Retry("gRPC UNAVAILABLE")


@pytest.mark.parametrize("code", [Code.UNAUTHENTICATED, Code.PERMISSION_DENIED, Code.UNIMPLEMENTED, Code.ABORTED])
def test_behind_a_closed_door_the_batch_waits_and_is_not_suspected(target, code):
    target.replies.append(Refusal(code))
    assert sent(target.url) == Retry(f"gRPC {code.name}")


@pytest.mark.parametrize("code", [Code.RESOURCE_EXHAUSTED, Code.INTERNAL, Code.UNKNOWN])
def test_what_the_batch_may_have_caused_is_suspected(target, code):
    target.replies.append(Refusal(code))
    assert sent(target.url) == Retry(f"gRPC {code.name}", is_suspect=True)


def test_a_partial_success_is_an_acknowledgement_that_says_what_was_refused(target):
    answer = ExportMetricsServiceResponse()
    answer.partial_success.rejected_data_points = 3
    answer.partial_success.error_message = "no such unit"
    target.replies.append(answer.SerializeToString())
    assert sent(target.url) == Acked(3, "no such unit")


def test_an_answer_that_is_not_otlps_is_no_acknowledgement(target):
    target.replies.append(b"<html>hello</html>")
    assert isinstance(sent(target.url), Retry)


def test_a_receiver_that_comes_back_is_reached_at_once():
    with grpc_receiver() as first:
        one = sink(first.url)
        assert one.send(b"") == Acked()
    assert isinstance(one.send(b""), Retry)
    with grpc_receiver(port=int(first.url.rpartition(":")[2])) as second:
        assert one.send(b"") == Acked()
        one.close()
    assert len(second.calls) == 1


@pytest.mark.parametrize("url", ["http://127.0.0.1:4317/v1/metrics", "http://127.0.0.1:99999", "http://u:p@127.0.0.1"])
def test_a_url_that_is_not_grpcs_is_an_error(url):
    with pytest.raises(ConfigError):
        sink(url)


def test_the_check_sends_nothing_but_an_empty_request(target):
    one = sink(target.url)
    assert one.check() == f"{target.url} took an empty request"
    one.close()
    assert target.calls[0].body == b""


def test_log_records_go_to_the_logs_service(target):
    one = OtlpLogs(Config(otlp_logs=OtlpLogsConfig(url=target.url, protocol="grpc")), {})
    assert one.send(one.encode([RECORD, RECORD])) == Acked()
    one.close()
    (call,) = target.calls
    assert call.method == "/opentelemetry.proto.collector.logs.v1.LogsService/Export"
    assert len(ExportLogsServiceRequest.FromString(call.body).resource_logs[0].scope_logs[0].log_records) == 2


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def guarded(authority):
    server = authority.issue_cert("127.0.0.1")
    pair = (server.private_key_pem.bytes(), b"".join(blob.bytes() for blob in server.cert_chain_pems))
    credentials = grpc.ssl_server_credentials([pair], authority.cert_pem.bytes(), require_client_auth=True)
    with grpc_receiver(credentials) as running:
        yield running


@pytest.fixture
def files(authority, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("agent.example").private_key_and_cert_chain_pem.write_to_path(tmp_path / "agent.pem")
    return {"ca_file": str(tmp_path / "ca.pem"), "client_cert": str(tmp_path / "agent.pem")}


def test_a_receiver_that_asks_for_a_certificate_is_shown_one(guarded, files):
    assert sent(guarded.url, **files) == Acked()


def test_without_a_certificate_the_batch_waits(guarded, files):
    assert isinstance(sent(guarded.url, ca_file=files["ca_file"]), Retry)
    assert guarded.calls == []


def test_a_receiver_that_nobody_vouches_for_gets_nothing(guarded):
    assert isinstance(sent(guarded.url), Retry)
    assert guarded.calls == []


def test_a_file_that_is_no_certificate_is_named(tmp_path):
    (tmp_path / "ca.pem").write_text("hello")
    with pytest.raises(ConfigError, match=r"ca\.pem"):
        sink("https://127.0.0.1:9", ca_file=str(tmp_path / "ca.pem"))
