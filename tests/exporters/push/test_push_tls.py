"""A receiver behind TLS: whom a sink trusts, and the certificate that it shows."""

from __future__ import annotations

import ssl

import pytest
import trustme

pytest.importorskip("opentelemetry.proto", reason="opentelemetry-proto is not installed: pip install '.[push]'")

from tests.exporters.push.receivers import receiver
from warpgauge.core.config import Config, OtlpConfig
from warpgauge.core.errors import ConfigError
from warpgauge.exporters.push.otlp import Otlp
from warpgauge.exporters.push.sink import Acked, Retry


@pytest.fixture(scope="module")
def authority():
    return trustme.CA()


@pytest.fixture
def target(authority):
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    authority.issue_cert("127.0.0.1").configure_cert(context)
    authority.configure_trust(context)
    context.verify_mode = ssl.CERT_REQUIRED
    with receiver(context) as running:
        yield running


@pytest.fixture
def files(authority, tmp_path):
    authority.cert_pem.write_to_path(tmp_path / "ca.pem")
    authority.issue_cert("agent.example").private_key_and_cert_chain_pem.write_to_path(tmp_path / "agent.pem")
    return {"ca_file": str(tmp_path / "ca.pem"), "client_cert": str(tmp_path / "agent.pem")}


def sent(url: str, **settings: str):
    return Otlp(Config(otlp=OtlpConfig(url=url, **settings)), {}).send(b"")


def test_a_receiver_that_asks_for_a_certificate_is_shown_one(target, files):
    assert sent(target.url, **files) == Acked()


def test_without_a_certificate_the_batch_waits(target, files):
    assert isinstance(sent(target.url, ca_file=files["ca_file"]), Retry)
    assert target.requests == []


def test_a_receiver_that_nobody_vouches_for_gets_nothing(target):
    assert isinstance(sent(target.url), Retry)
    assert target.requests == []


def test_a_key_without_its_certificate_is_an_error_of_the_settings():
    with pytest.raises(ConfigError, match="without a client certificate"):
        sent("https://127.0.0.1:9", client_key="agent.key")


def test_a_file_that_is_no_certificate_is_named(tmp_path):
    (tmp_path / "ca.pem").write_text("hello")
    with pytest.raises(ConfigError, match=r"ca\.pem"):
        sent("https://127.0.0.1:9", ca_file=str(tmp_path / "ca.pem"))
