"""What a person reads who gives https:// for http://, or the wrong authority: real handshakes, one sentence each."""

from __future__ import annotations

import socket
import ssl
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

import pytest

from tests.web.certificates import authority, issue
from warpgauge.cli.main import main

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def listener(tls: ssl.SSLContext | None) -> Iterator[str]:
    """HOST:PORT of a server that answers the first bytes of each connection with 400 and hangs up."""
    with socket.create_server(("127.0.0.1", 0)) as server:
        threading.Thread(target=_serve, args=(server, tls), daemon=True).start()
        yield f"127.0.0.1:{server.getsockname()[1]}"
        server.shutdown(socket.SHUT_RDWR)


def _serve(server: socket.socket, tls: ssl.SSLContext | None) -> None:
    while True:
        try:
            connection, _ = server.accept()
        except OSError:  # the test is over
            return
        with connection:
            try:
                spoken = tls.wrap_socket(connection, server_side=True) if tls else connection
                spoken.recv(4096)
                spoken.sendall(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n")
            except OSError:  # the client did not like it, which is the test
                continue


@pytest.fixture
def certified(tmp_path: Path) -> Iterator[tuple[str, Path]]:
    """A TLS server by the name `gauge.example`, and the file of its authority."""
    made, ca_file = authority(tmp_path)
    own = issue(made, tmp_path, "gauge.example")
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(own.cert, own.key)
    with listener(context) as place:
        yield place, ca_file


def said(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    code = main(argv, environ={})
    captured = capsys.readouterr()
    assert (code, captured.out) == (2, "")
    return captured.err.splitlines()[-1]


def test_https_to_a_port_without_tls_is_told_from_a_server_that_is_down(capsys):
    with listener(None) as place:
        err = said(capsys, "analyze", f"https://{place}")

    assert err == f"warpgauge: cannot reach https://{place}/api/v1/query: it speaks no TLS; is it http:// on this port?"


def test_an_authority_that_nobody_named_is_asked_for(certified, capsys):
    place, _ = certified

    err = said(capsys, "analyze", f"https://{place}")

    assert "its certificate is not trusted (" in err
    assert err.endswith("); name its authority with --ca-file or ca_file")
    assert "_ssl.c" not in err


def test_a_certificate_of_another_name_is_no_matter_of_authorities(certified, capsys):
    place, ca_file = certified

    err = said(capsys, "analyze", f"https://{place}", "--ca-file", str(ca_file))

    assert "its certificate is of another name (IP address mismatch" in err
    assert "--ca-file" not in err


def test_an_order_over_tls_that_fails_does_not_ask_whether_the_analyzer_runs(certified, capsys, tmp_path: Path):
    place, _ = certified
    (tmp_path / "token").write_text("0123456789abcdef0123456789abcdef\n")
    (tmp_path / "token").chmod(0o600)

    err = said(capsys, "mode", "--analyzer", f"https://{place}", "--token-file", str(tmp_path / "token"))

    assert "its certificate is not trusted (" in err
    assert "is it running" not in err
