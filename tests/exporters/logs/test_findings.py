"""Findings as log records: each change once, with the same id after a restart, and nothing that is not real."""

from __future__ import annotations

import json
import sqlite3
from contextlib import closing
from dataclasses import replace

import pytest

pytest.importorskip("opentelemetry.proto", reason="opentelemetry-proto is not installed: pip install '.[push]'")

from opentelemetry.proto.collector.logs.v1.logs_service_pb2 import ExportLogsServiceRequest

from tests.exporters.push.receivers import receiver
from tests.real_servers import wait_until
from warpgauge.core.clock import SystemClock
from warpgauge.core.config import AnalyzerConfig, Config, LogsConfig, OtlpLogsConfig
from warpgauge.core.finding import Evidence, Finding, FindingKind, Impact, Mute, MutedBy, Scope, Severity
from warpgauge.exporters.logs.findings import FindingRecords, shipped_findings

FINDING = Finding(
    id="f1",
    kind=FindingKind.STRAGGLER,
    severity=Severity.WARNING,
    scope=Scope(cluster="a", node="n7", uuid="GPU-1", job_id="77", rank=12),
    since=100.0,
    confirmed=130.0,
    confidence=0.9,
    evidence=(Evidence(metric="training_step_seconds", value=1.4, unit="s", baseline=1.0),),
    summary="rank 12 is slow",
    remedy="replace it",
    impact=Impact(lost_device_seconds=50.0, method="steps"),
)


@pytest.fixture
def records():
    return FindingRecords(node="here", now=lambda: 500.0)


def test_a_finding_is_told_once_with_its_place_and_numbers(records):
    (record,) = records.news([FINDING])
    assert records.news([FINDING]) == []
    assert (record.id, record.time, record.kind, record.severity) == ("f1-warning", 130.0, "finding", Severity.WARNING)
    assert (record.message, record.node, record.uuid, record.job_id) == ("rank 12 is slow", "n7", "GPU-1", "77")
    assert json.loads(record.attributes.pop("evidence")) == [
        {"metric": "training_step_seconds", "value": 1.4, "unit": "s", "baseline": 1.0}
    ]
    assert record.attributes == {
        "finding_id": "f1", "finding_kind": "straggler", "state": "raised", "confidence": 0.9, "since": 100.0,
        "confirmed": 130.0, "cluster": "a", "rank": 12, "lost_device_seconds": 50.0, "remedy": "replace it",
    }  # fmt: skip


def test_another_severity_and_the_end_are_told_with_their_times(records):
    records.news([FINDING])
    (worse,) = records.news([replace(FINDING, severity=Severity.CRITICAL)])
    (ended,) = records.news([replace(FINDING, severity=Severity.CRITICAL, ended=490.0)])
    assert [(one.id, one.time) for one in (worse, ended)] == [("f1-critical", 500.0), ("f1-ended", 490.0)]
    assert ended.attributes["state"] == "ended"
    assert records.news([replace(FINDING, ended=490.0)]) == []


def test_after_a_restart_it_is_told_again_under_the_same_id(records):
    (before,) = records.news([FINDING])
    (after,) = FindingRecords(node="here", now=lambda: 900.0).news([FINDING])
    assert before == after


def test_one_that_ended_and_holds_again_is_not_told_at_each_tick(records):
    for _ in range(3):
        told = records.news([replace(FINDING, ended=490.0), FINDING])
    assert told == []


def test_what_is_simulated_or_muted_is_not_told_until_it_is_heard(records):
    muted = replace(FINDING, muted=Mute(by=MutedBy.SILENCE, id="s", reason="test"))
    assert records.news([replace(FINDING, simulated=True), muted]) == []
    assert len(records.news([FINDING])) == 1


def test_a_finding_about_no_node_comes_from_this_one(records):
    (record,) = records.news([replace(FINDING, scope=Scope(job_id="77"))])
    assert record.node == "here"


def config_for(folder, url="", **logs):
    return Config(
        analyzer=AnalyzerConfig(data_directory=str(folder / "data")),
        otlp_logs=OtlpLogsConfig(url=url, compression="none"),
        logs=LogsConfig(**logs),
    )


def test_they_go_through_a_queue_of_their_own_to_the_sinks_of_logs(tmp_path):
    with receiver() as target, shipped_findings(config_for(tmp_path, target.url), {}, SystemClock()) as shipping:
        shipping.hear([FINDING])
        wait_until(lambda: target.requests, what="the record arrived")
        request = ExportLogsServiceRequest.FromString(target.requests[0][1])
    (record,) = request.resource_logs[0].scope_logs[0].log_records
    assert (record.event_name, record.body.string_value) == ("warpgauge.finding", "rank 12 is slow")
    assert (tmp_path / "data" / "push" / "findings" / "otlp_logs.db").exists()


def test_a_receiver_that_is_down_gets_them_in_the_next_life(tmp_path):
    with shipped_findings(config_for(tmp_path, "http://127.0.0.1:9/v1/logs"), {}, SystemClock()) as shipping:
        shipping.hear([FINDING])
    with receiver() as target, shipped_findings(config_for(tmp_path, target.url), {}, SystemClock()):
        wait_until(lambda: target.requests, what="the record arrived")


def said_by(shipping):
    return {sample.metric.name.removeprefix("warpgauge_analyzer_queue_"): sample.value for sample in shipping.samples()}


def test_the_queues_say_what_waits_and_what_became_of_the_rest(tmp_path):
    with shipped_findings(config_for(tmp_path, "http://127.0.0.1:9/v1/logs"), {}, SystemClock()) as shipping:
        shipping.hear([FINDING])
        waiting = wait_until(lambda: (it := said_by(shipping))["retries_total"] and it, what="it was tried in vain")
    with receiver() as target, shipped_findings(config_for(tmp_path, target.url), {}, SystemClock()) as shipping:
        done = wait_until(lambda: (it := said_by(shipping))["acked_total"] and it, what="the record arrived")
    assert (waiting["records"], waiting["acked_total"], waiting["max_bytes"]) == (1.0, 0.0, 2.0**30)
    assert waiting["bytes"] > 100
    assert waiting["oldest_timestamp_seconds"] > 1e9
    assert (done["records"], done["bytes"], done["acked_total"], done["dropped_total"]) == (0.0, 0.0, 1.0, 0.0)
    assert "oldest_timestamp_seconds" not in done


def test_a_queue_that_cannot_be_read_has_nothing_to_say(tmp_path):
    with shipped_findings(config_for(tmp_path, "http://127.0.0.1:9/v1/logs"), {}, SystemClock()) as shipping:
        with closing(sqlite3.connect(tmp_path / "data" / "push" / "findings" / "otlp_logs.db")) as other:
            other.execute("DROP TABLE counters")
        assert list(shipping.samples()) == []


@pytest.mark.parametrize(("url", "findings"), [("", True), ("http://127.0.0.1:9/v1/logs", False)])
def test_without_a_sink_or_against_the_settings_nothing_is_opened(tmp_path, url, findings):
    with shipped_findings(config_for(tmp_path, url, findings=findings), {}, SystemClock()) as shipping:
        assert shipping is None
    assert not (tmp_path / "data").exists()
