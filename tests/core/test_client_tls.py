"""What is said of certificates and keys that cannot be used; what they do on a connection is tested where they are."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest
import trustme
from cryptography.hazmat.primitives import serialization  # which trustme brings

from warpgauge.core.client_tls import client_context
from warpgauge.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path


def test_a_file_of_authorities_that_is_not_there_is_named_after_its_setting(tmp_path: Path):
    with pytest.raises(ConfigError, match=r"^yarn: cannot use .*ca\.pem as certificate authority: No such file"):
        client_context(tmp_path / "ca.pem", of="yarn")


def test_a_client_certificate_that_is_none_is_named(tmp_path: Path):
    (tmp_path / "cert.pem").write_text("nonsense")
    with pytest.raises(ConfigError, match=r"cannot use .*cert\.pem as client certificate: "):
        client_context("", tmp_path / "cert.pem")


def test_a_key_without_its_certificate_is_refused():
    with pytest.raises(ConfigError, match=r"client key key\.pem comes without a client certificate"):
        client_context("", "", "key.pem")


def test_an_encrypted_key_is_an_error_and_no_question_on_the_terminal(tmp_path: Path):
    own = trustme.CA().issue_cert("node1")
    own.cert_chain_pems[0].write_to_path(str(tmp_path / "cert.pem"))
    key = serialization.load_pem_private_key(own.private_key_pem.bytes(), None)
    form = serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8
    (tmp_path / "key.pem").write_bytes(key.private_bytes(*form, serialization.BestAvailableEncryption(b"secret")))
    with pytest.raises(ConfigError, match=r"client key .*key\.pem is encrypted; give one that is not"):
        client_context("", tmp_path / "cert.pem", tmp_path / "key.pem")
