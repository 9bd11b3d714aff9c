"""What a web-config may hold, and that a change of it counts at once."""

from __future__ import annotations

import ssl
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from tests.web.certificates import authority, issue
from warpgauge.core.errors import ConfigError
from warpgauge.web.webconfig import WebConfigFile
from warpgauge.web.webconfig.schema import RateLimit, read_web_config

HERE = Path("/etc/warpgauge")
HASH = "$2y$10$QOauhQNbBCuQDKes6eFzPeMqBSjb7Mr5DUmpZ/VcEd00UAV/LDeSi"


def test_an_empty_file_is_plain_http_for_everybody():
    config = read_web_config(None, HERE)
    assert (config.tls, config.users, config.headers, config.rate_limit) == (None, {}, {}, None)


def test_relative_paths_are_beside_the_file():
    config = read_web_config({"tls_server_config": {"cert_file": "a.crt", "key_file": "/keys/a.key"}}, HERE)
    assert config.tls is not None
    assert (config.tls.cert_file, config.tls.key_file) == (HERE / "a.crt", Path("/keys/a.key"))


@pytest.mark.parametrize(
    ("document", "message"),
    [
        ({"tls": {}}, "there is no key 'tls'"),
        ({"tls_server_config": {"certfile": "a"}}, "there is no key 'tls_server_config.certfile'"),
        ({"tls_server_config": {"cert_file": "a"}}, "tls_server_config needs key or key_file"),
        ({"tls_server_config": {"key_file": "a"}}, "tls_server_config needs cert or cert_file"),
        ({"tls_server_config": {"cert": "A", "cert_file": "a", "key": "K"}}, "has both cert and cert_file"),
        ({"tls_server_config": {"cert": "A", "key": "K", "min_version": "TLS14"}}, "min_version must be one of"),
        ({"tls_server_config": {"cert": "A", "key": "K", "cipher_suites": ["RC4"]}}, "cipher_suites must be of"),
        ({"tls_server_config": {"cert": "A", "key": "K", "curve_preferences": ["P1"]}}, "curve_preferences must be of"),
        ({"tls_server_config": {"cert": "A", "key": "K", "client_ca": "C"}}, "does not ask for client certificates"),
        ({"tls_server_config": {"cert": "A", "key": "K", "client_auth_type": "Maybe"}}, "client_auth_type must be one"),
        ({"tls_server_config": {"cert": "A", "key": "K", "client_auth_type": "RequireAnyClientCert"}},
         "which Python's TLS cannot do; use VerifyClientCertIfGiven or RequireAndVerifyClientCert"),
        ({"tls_server_config": "yes"}, "tls_server_config must be a mapping of keys, got str"),
        ({"http_server_config": {"http2": "maybe"}}, "http_server_config.http2 must be true or false"),
        ({"http_server_config": {"headers": {"X-Powered-By": "me"}}}, "header 'X-Powered-By' cannot be configured"),
        ({"http_server_config": {"headers": {"X-Frame-Options": "never"}}}, "must be deny or sameorigin"),
        ({"http_server_config": {"headers": {"Content-Security-Policy": "a\r\nSet-Cookie: b"}}}, "printable text"),
        ({"basic_auth_users": {"alice": "secret"}}, "basic_auth_users.alice must be a bcrypt hash"),
        ({"basic_auth_users": {"alice": HASH.replace("$10$", "$99$")}}, "must be a bcrypt hash"),
        ({"basic_auth_users": ["alice"]}, "basic_auth_users must be a mapping"),
        ({"rate_limit": {"interval": "soon"}}, "rate_limit.interval must be a duration"),
        ({"rate_limit": {"interval": "1s", "burst": -1}}, "rate_limit.burst must be >= 0"),
        ([1], "the file must be a mapping of keys, got list"),
    ],
)  # fmt: skip
def test_a_wrong_key_or_value_is_named(document, message):
    with pytest.raises(ConfigError, match=message.replace("(", r"\(")):
        read_web_config(document, HERE)


def test_a_password_in_place_of_a_hash_is_not_repeated():
    with pytest.raises(ConfigError) as caught:
        read_web_config({"basic_auth_users": {"alice": "hunter2"}}, HERE)
    assert "hunter2" not in str(caught.value)


def test_versions_alone_turn_no_tls_on():
    assert read_web_config({"tls_server_config": {"min_version": "TLS13"}}, HERE).tls is None


@pytest.mark.parametrize(
    ("text", "seconds"), [("1s", 1.0), ("100ms", 0.1), ("1m30s", 90.0), (".5s", 0.5), ("1.5h", 5400.0)]
)
def test_a_rate_limit_has_go_durations(text, seconds):
    config = read_web_config({"rate_limit": {"interval": text, "burst": 3}}, HERE)
    assert config.rate_limit == RateLimit(pytest.approx(seconds), 3)


def test_an_interval_of_zero_limits_nothing():
    assert read_web_config({"rate_limit": {"interval": "0", "burst": 3}}, HERE).rate_limit is None


@given(st.recursive(st.none() | st.booleans() | st.integers() | st.text(max_size=8),
                    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(
                        st.sampled_from(["tls_server_config", "http_server_config", "basic_auth_users", "rate_limit",
                                         "cert", "headers", "interval", "cipher_suites", "x"]), inner, max_size=4),
                    max_leaves=12))  # fmt: skip
def test_any_document_is_read_or_refused(document):
    try:
        read_web_config(document, HERE)
    except ConfigError:
        return


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("basic_auth_users:\n  a: b\nbasic_auth_users:\n  c: d\n", r"stands there twice \(line 3, column 1\)"),
        ("a: [", "not valid YAML"),
        ("? [a, b]\n: c\n", "a key must be plain text"),
        ("!!python/object/apply:os.system ['true']", "not valid YAML"),
    ],
)
def test_yaml_is_read_strictly(tmp_path, text, message):
    path = tmp_path / "web-config.yml"
    path.write_text(text)
    with pytest.raises(ConfigError, match=message):
        WebConfigFile(path)


def test_a_file_that_is_not_there_is_named(tmp_path):
    with pytest.raises(ConfigError, match=r"web-config.yml: cannot be read: No such file"):
        WebConfigFile(tmp_path / "web-config.yml")


def write(path: Path, text: str) -> None:
    """Write as an editor does: another file takes the name."""
    fresh = path.with_suffix(".new")
    fresh.write_text(text)
    fresh.replace(path)


def test_a_change_counts_at_once_and_a_broken_one_stops_everything(tmp_path):
    path = tmp_path / "web-config.yml"
    write(path, f"basic_auth_users:\n  alice: {HASH}\n")
    file = WebConfigFile(path)
    assert set(file.current().users) == {"alice"}
    write(path, f"basic_auth_users:\n  bob: {HASH}\n")
    assert set(file.current().users) == {"bob"}
    write(path, "basic_auth_user: {}\n")
    with pytest.raises(ConfigError, match="there is no key 'basic_auth_user'"):
        file.current()
    write(path, f"basic_auth_users:\n  carol: {HASH}\n")
    assert set(file.current().users) == {"carol"}


def test_certificates_are_checked_when_the_file_is_read(tmp_path):
    ca, _ = authority(tmp_path)
    one, other = issue(ca, tmp_path, "127.0.0.1"), issue(ca, tmp_path, "127.0.0.1", file="other")
    path = tmp_path / "web-config.yml"
    write(path, f"tls_server_config:\n  cert_file: {one.cert.name}\n  key_file: {other.key.name}\n")
    with pytest.raises(ConfigError, match="as certificate and key: key values mismatch"):
        WebConfigFile(path)
    write(path, f"tls_server_config:\n  cert_file: nowhere.crt\n  key_file: {other.key.name}\n")
    with pytest.raises(ConfigError, match="No such file"):
        WebConfigFile(path)


def test_certificate_and_key_may_stand_in_the_file_itself(tmp_path):
    ca, _ = authority(tmp_path)
    party = issue(ca, tmp_path, "127.0.0.1")
    cert, key = (file.read_text().replace("\n", "\n    ") for file in (party.cert, party.key))
    path = tmp_path / "web-config.yml"
    write(path, f"tls_server_config:\n  cert: |\n    {cert}\n  key: |\n    {key}\n")
    assert isinstance(WebConfigFile(path).context(), ssl.SSLContext)


@pytest.mark.parametrize(
    ("lines", "holds"),
    [
        ("  min_version: TLS13\n", lambda context: context.minimum_version == ssl.TLSVersion.TLSv1_3),
        ("  max_version: TLS12\n", lambda context: context.maximum_version == ssl.TLSVersion.TLSv1_2),
        ("  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384]\n",
         lambda context: {c["name"] for c in context.get_ciphers() if c["protocol"] == "TLSv1.2"}
         == {"ECDHE-RSA-AES256-GCM-SHA384"}),
        ("  curve_preferences: [CurveP256]\n", lambda _: True),
        ("  curve_preferences: [CurveP256, CurveP384, CurveP521, X25519]\n", lambda _: True),
    ],
)  # fmt: skip
def test_versions_and_ciphers_reach_the_tls_library(tmp_path, lines, holds):
    ca, _ = authority(tmp_path)
    party = issue(ca, tmp_path, "127.0.0.1")
    path = tmp_path / "web-config.yml"
    write(path, f"tls_server_config:\n  cert_file: {party.cert}\n  key_file: {party.key}\n{lines}")
    assert holds(WebConfigFile(path)._current_context())


def test_a_list_of_some_curves_is_refused_rather_than_ignored(tmp_path):
    ca, _ = authority(tmp_path)
    party = issue(ca, tmp_path, "127.0.0.1")
    path = tmp_path / "web-config.yml"
    curves = "  curve_preferences: [CurveP256, CurveP384]\n"
    write(path, f"tls_server_config:\n  cert_file: {party.cert}\n  key_file: {party.key}\n{curves}")
    with pytest.raises(ConfigError, match="can be held to one curve, not to some"):
        WebConfigFile(path)
