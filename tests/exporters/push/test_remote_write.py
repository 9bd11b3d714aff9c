"""Remote write: the message by another reader's word, and what each answer means for a batch."""

from __future__ import annotations

import re
import struct

import pytest

pytest.importorskip("cramjam", reason="cramjam is not installed: pip install '.[push]'")

import cramjam

from tests.analyzer.prompb import samples_of
from tests.exporters.push.receivers import Reply, receiver
from warpgauge.core.catalog import device, host, own
from warpgauge.core.config import Config, PushConfig, RemoteWriteConfig
from warpgauge.core.errors import ConfigError
from warpgauge.core.sample import Histogram, Sample, Unavailable
from warpgauge.exporters.push.reading import Choice, Reading, external_labels
from warpgauge.exporters.push.remote_write import RemoteWrite
from warpgauge.exporters.push.sink import Acked, Dead, Retry
from warpgauge.exporters.push.write_request import EMPTY, Writer

POWER = Sample(device.POWER, ("GPU-1", "0"), 123.5)
LOAD = Sample(host.LOAD1, (), 0.25)


@pytest.fixture
def target():
    with receiver() as running:
        yield running


def writer(**external: str) -> Writer:
    return Writer(external, lambda _: True)


def written(body: bytes) -> list[tuple[dict[str, str], int, float]]:
    return samples_of(bytes(cramjam.snappy.decompress_raw(body)))


def sink(url: str, **settings: str) -> RemoteWrite:
    return RemoteWrite(Config(remote_write=RemoteWriteConfig(url=url, **settings)), {})


def outcome(target, *replies: Reply):
    target.replies += replies
    return sink(target.url).send(EMPTY)


def test_a_sample_is_written_with_its_name_labels_value_and_time():
    body = writer().message(Reading(1_750_000_000.25, [POWER]))
    labels = {"__name__": "accel_power_watts", "uuid": "GPU-1", "index": "0"}
    assert written(body) == [(labels, 1_750_000_000_250, 123.5)]


def test_external_labels_stand_on_each_series_and_a_series_own_label_wins():
    ((labels, _, _),) = written(writer(cluster="a", uuid="no").message(Reading(1.0, [POWER])))
    assert (labels["cluster"], labels["uuid"]) == ("a", "GPU-1")


def test_labels_are_in_alphabetical_order():
    request = bytes(cramjam.snappy.decompress_raw(writer(zone="z", area="a").message(Reading(1.0, [POWER]))))
    names = [b"__name__", b"area", b"index", b"uuid", b"zone"]
    places = [request.index(name) for name in names]
    assert places == sorted(places)


def test_a_histogram_becomes_the_series_that_a_scrape_gives():
    metric = own.COLLECT_SECONDS
    counts = tuple(range(1, len(metric.buckets) + 2))
    rows = written(writer().message(Reading(1.0, [Sample(metric, ("host",), Histogram(counts, 4.5))])))
    values = {(row[0]["__name__"].removeprefix(metric.name), row[0].get("le")): row[2] for row in rows}
    assert values["_bucket", "0.001"] == 3
    assert (values["_bucket", "+Inf"], values["_count", None], values["_sum", None]) == (counts[-1], counts[-1], 4.5)
    assert len(rows) == len(metric.buckets) + 3


def test_what_is_unavailable_is_not_written():
    assert writer().message(Reading(1.0, [Sample(device.POWER, ("GPU-1", "0"), Unavailable("no"))])) == EMPTY


def test_a_series_that_is_gone_gets_its_end_marker_once():
    writes = writer()
    writes.message(Reading(1.0, [POWER, LOAD]))
    second, third = (written(writes.message(Reading(time, [LOAD]))) for time in (2.0, 3.0))
    ended = [row for row in second if row[0]["__name__"] == device.POWER.name]
    assert [struct.pack(">d", value).hex() for _, _, value in ended] == ["7ff0000000000002"]
    assert [row[0]["__name__"] for row in third] == [host.LOAD1.name]


def test_a_name_that_is_no_utf8_costs_nothing_but_itself():
    sample = Sample(host.DISK_READ, ("sd\udcff",), 1.0)
    ((labels, _, _),) = written(writer().message(Reading(1.0, [sample])))
    assert labels["device"] == "sd?"


def test_keep_and_drop_match_whole_names():
    choice = Choice("accel_.*|host_load1", "accel_power_.*")
    names = ("accel_utilization_ratio", "accel_power_watts", "host_load15", "host_load1")
    assert [choice.takes(name) for name in names] == [True, False, False, True]


def test_a_malformed_expression_is_an_error_of_the_settings():
    with pytest.raises(ConfigError, match=re.escape("push.drop is not a regular expression")):
        Choice("", "(")


def test_job_and_instance_are_there_unless_set():
    labels = external_labels(PushConfig(external_labels=("cluster=a", "instance=n1")))
    assert labels == {"job": "warpgauge", "instance": "n1", "cluster": "a"}


def test_a_label_without_a_value_is_an_error_of_the_settings():
    with pytest.raises(ConfigError, match="NAME=VALUE"):
        external_labels(PushConfig(external_labels=("cluster",)))


def test_a_request_says_what_it_is_and_who_sends_it(target, tmp_path):
    secret = tmp_path / "headers"
    secret.write_text("Authorization: Bearer s3cret\nX-Scope-OrgID: team-a\n")
    assert sink(target.url, headers_file=str(secret)).send(EMPTY) == Acked()
    headers, body = target.requests[0]
    assert body == EMPTY
    assert headers["content-encoding"] == "snappy"
    assert headers["x-prometheus-remote-write-version"] == "0.1.0"
    assert (headers["authorization"], headers["x-scope-orgid"]) == ("Bearer s3cret", "team-a")


def test_a_malformed_header_is_told_without_its_secret(tmp_path):
    secret = tmp_path / "headers"
    secret.write_text("Authorization Bearer s3cret\n")
    with pytest.raises(ConfigError) as caught:
        sink("http://127.0.0.1:9", headers_file=str(secret))
    assert "headers:1" in str(caught.value)
    assert "s3cret" not in str(caught.value)


def test_a_password_in_the_url_is_refused_without_being_shown():
    with pytest.raises(ConfigError) as caught:
        sink("http://me:s3cret@127.0.0.1:9/api/v1/write")
    assert "headers_file" in str(caught.value)
    assert "s3cret" not in str(caught.value)


@pytest.mark.parametrize("status", [200, 204])
def test_success_is_the_acknowledgement(target, status):
    assert outcome(target, Reply(status)) == Acked()


@pytest.mark.parametrize("status", [429, 503])
def test_an_overloaded_receiver_gets_it_later_when_it_says(target, status):
    answer = outcome(target, Reply(status, b"slow down", {"Retry-After": "7"}))
    assert answer == Retry(f"HTTP {status} slow down", 7.0)


@pytest.mark.parametrize("status", [500, 502])
def test_a_server_fault_is_tried_again_and_may_be_the_batch(target, status):
    answer = outcome(target, Reply(status))
    assert isinstance(answer, Retry)
    assert answer.is_suspect


@pytest.mark.parametrize("status", [400, 413, 422])
def test_a_refused_message_is_dead(target, status):
    assert outcome(target, Reply(status, b"bad\n")) == Dead(f"HTTP {status} bad")


@pytest.mark.parametrize("status", [302, 401, 403, 404])
def test_a_closed_or_moved_door_keeps_the_batch(target, status):
    assert isinstance(outcome(target, Reply(status)), Retry)


@pytest.mark.parametrize(
    ("status", "words"), [(500, b"too old sample"), (400, b"out of order sample"), (400, b"out of bounds")]
)
def test_samples_that_no_repetition_makes_younger_are_dead(target, status, words):
    assert isinstance(outcome(target, Reply(status, words)), Dead)


def test_without_a_receiver_it_is_tried_again():
    assert isinstance(sink("http://127.0.0.1:9/api/v1/write").send(EMPTY), Retry)


def test_the_check_says_what_the_receiver_answers(target):
    target.replies += [Reply(204), Reply(401, b"who are you")]
    assert sink(target.url).check().endswith("took an empty write")
    with pytest.raises(OSError, match="HTTP 401 who are you"):
        sink(target.url).check()
