"""Log records as OTLP: the request by opentelemetry-proto's own reader, and the way it goes."""

from __future__ import annotations

import gzip

import pytest

pytest.importorskip("opentelemetry.proto", reason="opentelemetry-proto is not installed: pip install '.[push]'")

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest, ExportLogsServiceResponse

from tests.exporters.push.receivers import Reply, receiver
from warpgauge.core.config import Config, OtlpLogsConfig, PushConfig
from warpgauge.exporters.log_record import LogRecord, Severity
from warpgauge.exporters.logs.shipping import log_sinks
from warpgauge.exporters.push.otlp_logs import OtlpLogs
from warpgauge.exporters.push.sink import Acked

XID = LogRecord(
    id="a-1",
    time=1_750_000_000.5,
    source="kernel",
    kind="xid",
    severity=Severity.CRITICAL,
    message="NVRM: Xid 79",
    node="n1",
    uuid="GPU-1",
    pci_bus_id="0000:3b:00.0",
    job_id="77",
    attributes={"xid": 79, "pid": 4321, "process": "python", "ratio": 0.5, "is_cut": True},
)
LINE = LogRecord(
    id="b", time=2.0, source="/var/log/a.log", kind="line", severity=Severity.INFO, message="\udcff", node="n1"
)


def sink(url: str = "http://127.0.0.1:9", **settings: str) -> OtlpLogs:
    push = PushConfig(external_labels=("cluster=a", "instance=n1"))
    return OtlpLogs(Config(otlp_logs=OtlpLogsConfig(url=url, **settings), push=push), {})


def request_of(*records: LogRecord) -> ExportLogsServiceRequest:
    return ExportLogsServiceRequest.FromString(gzip.decompress(sink().encode(records)))


def record_of(record: LogRecord):
    (found,) = request_of(record).resource_logs[0].scope_logs[0].log_records
    return found


def attributes(holder) -> dict[str, object]:
    return {pair.key: getattr(pair.value, pair.value.WhichOneof("value")) for pair in holder.attributes}


def test_a_record_has_its_time_severity_text_and_name():
    found = record_of(XID)
    assert (found.time_unix_nano, found.observed_time_unix_nano) == (1_750_000_000_500_000_000,) * 2
    assert (found.severity_number, found.severity_text) == (18, "critical")  # the specification's syslog Critical
    assert (found.body.string_value, found.event_name) == ("NVRM: Xid 79", "warpgauge.xid")


def test_attributes_follow_the_conventions_and_keep_their_types():
    assert attributes(record_of(XID)) == {
        "log.record.uid": "a-1",
        "source": "kernel",
        "kind": "xid",
        "node": "n1",
        "uuid": "GPU-1",
        "hw.id": "GPU-1",
        "hw.type": "gpu",
        "pci_bus_id": "0000:3b:00.0",
        "job_id": "77",
        "xid": 79,
        "process.pid": 4321,
        "process.executable.name": "python",
        "ratio": 0.5,
        "is_cut": True,
    }


def test_a_line_of_a_file_names_the_file_and_has_the_time_of_reading_only():
    found = record_of(LINE)
    assert (found.time_unix_nano, found.observed_time_unix_nano) == (0, 2_000_000_000)
    assert attributes(found) == {"log.record.uid": "b", "kind": "line", "log.file.path": "/var/log/a.log", "node": "n1"}
    assert (found.event_name, found.body.string_value) == ("", "?")


@pytest.mark.parametrize(("priority", "number"), [(0, 21), (3, 17), (4, 13), (5, 10), (7, 5), (8, 9), (True, 9)])
def test_a_syslog_priority_is_the_severity_where_there_is_one(priority, number):
    record = LogRecord(id="c", time=1.0, source="journal", kind="journal", severity=Severity.INFO, message="x",
                       node="n1", attributes={"priority": priority})  # fmt: skip
    assert record_of(record).severity_number == number


def test_an_attribute_never_replaces_a_field():
    record = LogRecord(id="d", time=1.0, source="warpgauge", kind="event", severity=Severity.INFO, message="x",
                       node="n1", attributes={"kind": "other", "node": "n9"})  # fmt: skip
    found = attributes(record_of(record))
    assert (found["kind"], found["node"]) == ("event", "n1")


def test_the_resource_is_the_sender_with_the_external_labels():
    found = attributes(request_of().resource_logs[0].resource)
    assert (found["service.name"], found["service.instance.id"], found["cluster"]) == ("warpgauge", "n1", "a")


def test_refused_records_are_told_with_the_acknowledgement():
    answer = ExportLogsServiceResponse()
    answer.partial_success.rejected_log_records = 2
    answer.partial_success.error_message = "too old"
    with receiver() as target:
        target.replies.append(Reply(200, answer.SerializeToString()))
        one = sink(f"{target.url}/v1/logs")
        assert one.send(one.encode([XID])) == Acked(2, "too old")
        (headers, _) = target.requests[0]
    assert headers["content-type"] == "application/x-protobuf"


def test_the_settings_make_it_a_sink_of_logs():
    assert log_sinks(Config(), {}) == []
    (found,) = log_sinks(Config(otlp_logs=OtlpLogsConfig(url="http://127.0.0.1:9/v1/logs")), {})
    assert found.name == "otlp_logs"
