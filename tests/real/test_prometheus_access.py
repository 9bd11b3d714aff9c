"""`warpgauge analyze` against a real Prometheus behind TLS, client certificates and basic authentication."""

from __future__ import annotations

import http
import json
import ssl
import subprocess
import urllib.request
from typing import TYPE_CHECKING

import pytest

from tests.real_servers import fetched
from warpgauge.cli.main import main

if TYPE_CHECKING:
    from pathlib import Path

    from tests.real_servers import Servers

pytestmark = [pytest.mark.real, pytest.mark.slow]

# Password "test", from Prometheus' own guide (prometheus.io/docs/guides/basic-auth).
BCRYPT_OF_TEST = "$2b$12$hNf2lSsxfm0.i4a.1kVpSOVyBCfIB51VRjgBUyv6kdnyTlgWj81Ay"
LOGIN = "ada:test"


def certificate(folder: Path, name: str, *more: str) -> tuple[Path, Path]:
    """A certificate and its key, made by openssl for 127.0.0.1."""
    cert, key = folder / f"{name}.pem", folder / f"{name}.key"
    command = [
        "openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
        "-subj", f"/CN={name}", "-addext", "subjectAltName=IP:127.0.0.1", "-keyout", key, "-out", cert, *more,
    ]  # fmt: skip
    subprocess.run(command, check=True, capture_output=True)
    return cert, key


@pytest.fixture
def secured(servers: Servers, tmp_path: Path) -> str:
    """Base URL of a Prometheus that scrapes itself and lets in only who shows a certificate and a password."""
    program = fetched("prometheus")
    cert, key = certificate(tmp_path, "server")
    client, _ = certificate(tmp_path, "client")
    web = {
        "tls_server_config": {
            "cert_file": str(cert), "key_file": str(key),
            "client_auth_type": "RequireAndVerifyClientCert", "client_ca_file": str(client),
        },
        "basic_auth_users": {"ada": BCRYPT_OF_TEST},
    }  # fmt: skip
    (tmp_path / "web.yml").write_text(json.dumps(web))
    (tmp_path / "login").write_text(f"{LOGIN}\n")
    context = ssl.create_default_context(cafile=str(cert))
    context.load_cert_chain(client, tmp_path / "client.key")

    def command(port: int, home: Path) -> list[str | Path]:
        scrape = {
            "job_name": "self", "scheme": "https", "static_configs": [{"targets": [f"127.0.0.1:{port}"]}],
            "basic_auth": {"username": "ada", "password": "test"},
            "tls_config": {"ca_file": str(cert), "cert_file": str(client), "key_file": str(tmp_path / "client.key")},
        }  # fmt: skip
        config = home / "prometheus.yml"
        config.write_text(json.dumps({"global": {"scrape_interval": "1s"}, "scrape_configs": [scrape]}))
        return [
            program, f"--config.file={config}", f"--storage.tsdb.path={home / 'data'}",
            f"--web.listen-address=127.0.0.1:{port}", f"--web.config.file={tmp_path / 'web.yml'}",
        ]  # fmt: skip

    def is_ready(base: str) -> bool:
        request = urllib.request.Request(f"{secure(base)}/-/ready", headers={"Authorization": "Basic YWRhOnRlc3Q="})
        try:
            with urllib.request.urlopen(request, timeout=2, context=context) as response:
                return response.status == http.HTTPStatus.OK
        except OSError:
            return False

    return secure(servers.start("prometheus", command, ready=is_ready))


def secure(base: str) -> str:
    return base.replace("http://", "https://", 1)


def run(url: str, tmp_path: Path, *args: str, capsys) -> tuple[int, str]:
    code = main(
        ["analyze", "--json", "--since", "5m", "--ca-file", str(tmp_path / "server.pem"), *args, url], environ={}
    )
    captured = capsys.readouterr()
    return code, captured.err + captured.out


def test_who_shows_certificate_and_password_is_let_in_and_nobody_else(secured: str, tmp_path: Path, capsys):
    shown = ("--client-cert", str(tmp_path / "client.pem"), "--client-key", str(tmp_path / "client.key"))
    login = ("--basic-auth-file", str(tmp_path / "login"))
    code, said = run(secured, tmp_path, *shown, *login, capsys=capsys)
    no_password, about_password = run(secured, tmp_path, *shown, capsys=capsys)
    no_certificate, _ = run(secured, tmp_path, *login, capsys=capsys)

    assert code in {0, 1}, said
    assert json.loads(said.splitlines()[-1])["type"] == "summary"
    assert no_password == 2
    assert "wants credentials (401)" in about_password
    assert no_certificate == 2


def test_a_certificate_of_nobody_known_is_named_with_its_mend(secured: str, capsys):
    code = main(["analyze", "--json", secured], environ={})

    assert code == 2
    assert "name its authority with --ca-file" in capsys.readouterr().err
