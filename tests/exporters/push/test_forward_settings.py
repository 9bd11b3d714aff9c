"""Settings of the Fluentd sink: each mistake is told at the start, in one sentence that names the key."""

from __future__ import annotations

import pytest

from tests.real_servers import free_port
from warpgauge.core.config import Config, FluentdConfig
from warpgauge.core.errors import ConfigError
from warpgauge.exporters.doctor.sinks import sink_checks
from warpgauge.exporters.logs.shipping import log_sinks
from warpgauge.exporters.push.forward.settings import forward_sink
from warpgauge.exporters.push.sink import Retry

ONE = ("127.0.0.1:24224",)


def checks(config):
    return list(sink_checks(log_sinks(config, {})))


@pytest.mark.parametrize("server", ["logs", "logs:", ":24224", "logs:0", "logs:65536", "logs:x", "logs:²"])
def test_a_server_is_host_and_port(server):
    with pytest.raises(ConfigError, match=r"fluentd\.servers must be HOST:PORT"):
        forward_sink(FluentdConfig(servers=(server,)))


@pytest.mark.parametrize(
    ("settings", "why"),
    [
        ({"tag": ""}, "fluentd.tag must not be empty"),
        ({"username": "ann"}, "fluentd.username needs fluentd.shared_key_file"),
        ({"shared_key_file": "/no/such/file"}, "fluentd.shared_key_file: cannot read /no/such/file: No such file"),
        ({"ca_file": "ca.pem"}, "fluentd.ca_file needs fluentd.tls = true"),
        ({"tls": True, "ca_file": "/no/ca.pem"}, "cannot use /no/ca.pem as certificate authority: No such file"),
    ],
)
def test_a_mistake_is_told_with_its_key(settings, why):
    with pytest.raises(ConfigError, match=why.replace(".", r"\.")):
        forward_sink(FluentdConfig(servers=ONE, **settings))


@pytest.mark.parametrize("content", [b"", b"\n", b"\xff\xfe", b"x" * 5000])
def test_a_file_that_holds_no_key_is_refused(tmp_path, content):
    (tmp_path / "key").write_bytes(content)
    with pytest.raises(ConfigError, match=r"fluentd\.shared_key_file"):
        forward_sink(FluentdConfig(servers=ONE, shared_key_file=str(tmp_path / "key")))


def test_a_key_file_that_goes_away_later_makes_batches_wait(tmp_path):
    key = tmp_path / "key"
    key.write_text("secret\n")
    sink = forward_sink(FluentdConfig(servers=ONE, shared_key_file=str(key)))
    key.unlink()
    outcome = sink.send(sink.encode([]))
    assert isinstance(outcome, Retry)
    assert "cannot read" in outcome.reason


def test_the_doctor_is_silent_about_what_nobody_configured():
    assert checks(Config()) == []


def test_the_doctor_tells_what_a_receiver_did_not_answer():
    port = free_port()
    (check,) = checks(Config(fluentd=FluentdConfig(servers=(f"127.0.0.1:{port}",))))
    assert (check.subject, check.verdict) == ("push fluentd", "FAIL")
    assert f"127.0.0.1:{port}" in check.detail


@pytest.mark.real
def test_the_doctor_shakes_hands_with_the_real_receiver(fluent_server, tmp_path):
    server = fluent_server(shared_key="key")
    (tmp_path / "key").write_text("key\n")
    config = FluentdConfig(servers=(f"127.0.0.1:{server.port}",), shared_key_file=str(tmp_path / "key"))
    (check,) = checks(Config(fluentd=config))
    assert (check.verdict, check.detail) == ("OK", f"127.0.0.1:{server.port} knows the shared key")
