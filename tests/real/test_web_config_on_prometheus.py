"""Prometheus' judgement of web-configs against ours; a scrape through TLS, a certificate and a user."""

from __future__ import annotations

import subprocess
import sys
from typing import TYPE_CHECKING

import pytest

from tests.real_servers import get_json, wait_until
from tests.web.certificates import authority, issue
from tests.web.test_admission import HASHED, PASSWORD
from warpgauge.core.errors import ConfigError
from warpgauge.web.webconfig import WebConfigFile

if TYPE_CHECKING:
    from pathlib import Path

pytestmark = pytest.mark.real

TLS = "tls_server_config:\n  cert_file: server.crt\n  key_file: server.key\n"
VERIFIED = f"{TLS}  client_auth_type: RequireAndVerifyClientCert\n  client_ca_file: ca.pem\n"
DOCUMENTS = {
    "empty": "",
    "tls": TLS,
    "tls without a key": "tls_server_config:\n  cert_file: server.crt\n",
    "tls without a certificate": "tls_server_config:\n  key_file: server.key\n",
    "a certificate that is not there": TLS.replace("server.crt", "nowhere.crt"),
    "a key of another certificate": TLS.replace("server.key", "other.key"),
    "verified clients": VERIFIED,
    "clients verified if given": VERIFIED.replace("RequireAndVerifyClientCert", "VerifyClientCertIfGiven"),
    "an authority without a policy": f"{TLS}  client_ca_file: ca.pem\n",
    "an authority that is not there": VERIFIED.replace("ca.pem", "nowhere.pem"),
    "an unknown policy": f"{TLS}  client_auth_type: Perhaps\n",
    "versions": f"{TLS}  min_version: TLS12\n  max_version: TLS13\n",
    "an unknown version": f"{TLS}  min_version: TLS14\n",
    "ciphers": f"{TLS}  cipher_suites: [TLS_ECDHE_RSA_WITH_AES_256_GCM_SHA384, TLS_AES_128_GCM_SHA256]\n",
    "an unknown cipher": f"{TLS}  cipher_suites: [TLS_RSA_WITH_RC4_128_SHA]\n",
    "one curve": f"{TLS}  curve_preferences: [CurveP256]\n",
    "every curve": f"{TLS}  curve_preferences: [CurveP256, CurveP384, CurveP521, X25519]\n",
    "an unknown curve": f"{TLS}  curve_preferences: [CurveP257]\n",
    "server ciphers": f"{TLS}  prefer_server_cipher_suites: false\n",
    "a flag that is none": f"{TLS}  prefer_server_cipher_suites: perhaps\n",
    "an unknown key": f"{TLS}  certificate: a\n",
    "an unknown section": "tls: {}\n",
    "a key twice": "basic_auth_users: {}\nbasic_auth_users: {}\n",
    "a list": "- tls_server_config\n",
    "no yaml": "a: [\n",
    "users": f"basic_auth_users:\n  alice: {HASHED}\n",
    "a password for a hash": "basic_auth_users:\n  alice: secret\n",
    "a hash of md5": "basic_auth_users:\n  alice: $1$abc$abcdefghijklmnopqrstuv\n",
    "a hash of too high a cost": f"basic_auth_users:\n  alice: {HASHED.replace('$04$', '$40$')}\n",
    "no users": "basic_auth_users:\n",
    "http2": "http_server_config:\n  http2: false\n",
    "http2 that is no flag": "http_server_config:\n  http2: [1]\n",
    "headers": "http_server_config:\n  headers:\n    X-Frame-Options: deny\n    Strict-Transport-Security: a\n",
    "another header": "http_server_config:\n  headers:\n    X-Powered-By: me\n",
    "a header with another value": "http_server_config:\n  headers:\n    X-Frame-Options: never\n",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    made = tmp_path_factory.mktemp("web-config")
    ca, _ = authority(made)
    issue(ca, made, "127.0.0.1")
    issue(ca, made, "127.0.0.1", file="other")
    issue(ca, made, "prometheus.example", file="scraper")
    return made


@pytest.mark.parametrize("name", DOCUMENTS)
def test_promtool_judges_alike(name, folder, promtool):
    path = folder / "web-config.yml"
    path.write_text(DOCUMENTS[name])
    done = subprocess.run([promtool, "check", "web-config", path], capture_output=True, text=True, check=False)
    try:
        WebConfigFile(path)
    except ConfigError as error:
        ours = str(error)
    else:
        ours = ""
    assert (ours == "") == (done.returncode == 0), f"promtool: {done.stdout}{done.stderr} ours: {ours}"


@pytest.mark.slow
def test_prometheus_scrapes_through_tls_a_client_certificate_and_a_user(folder, prometheus_server, servers):
    web_config = folder / "guarded.yml"
    web_config.write_text(f"{VERIFIED}basic_auth_users:\n  prometheus: {HASHED}\n")
    taken = 0

    def command(port: int, _: Path) -> list[str | Path]:
        nonlocal taken
        taken = port
        return [
            sys.executable, "-m", "warpgauge", "agent", f"--web.listen-address=127.0.0.1:{port}",
            f"--web.config.file={web_config}",
        ]  # fmt: skip

    servers.start("agent", command, ready=lambda _: True)
    good = {
        "job_name": "good",
        "scheme": "https",
        "static_configs": [{"targets": [f"127.0.0.1:{taken}"]}],
        "tls_config": {
            "ca_file": str(folder / "ca.pem"),
            "cert_file": str(folder / "scraper.crt"),
            "key_file": str(folder / "scraper.key"),
        },
        "basic_auth": {"username": "prometheus", "password": PASSWORD},
    }
    no_user = {**good, "job_name": "no_user", "basic_auth": {"username": "prometheus", "password": "wrong"}}
    no_certificate = {**good, "job_name": "no_certificate", "tls_config": {"ca_file": str(folder / "ca.pem")}}
    base = prometheus_server([good, no_user, no_certificate])

    def health() -> dict[str, str]:
        targets = get_json(f"{base}/api/v1/targets")["data"]["activeTargets"]
        return {target["labels"]["job"]: f"{target['health']} {target['lastError']}" for target in targets}

    found = wait_until(
        lambda: seen if "unknown" not in str(seen := health()) and "up" in seen.get("good", "") else None,
        what="the good job is up and the others are judged",
    )
    assert found["good"] == "up "
    assert "401" in found["no_user"]
    assert found["no_certificate"].startswith("down")
