"""Orders from the terminal: in whose name they are given, and that an answer cannot steer the screen."""

from __future__ import annotations

import getpass
import json
import threading
from argparse import Namespace
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, HTTPServer
from typing import TYPE_CHECKING, Any

import pytest

from warpgauge.cli.orders import order
from warpgauge.core.config import Config
from warpgauge.core.errors import SourceError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


@contextmanager
def analyzer(status: int, answer: dict[str, Any]) -> Iterator[tuple[str, list[Any]]]:
    """Its address, and the orders that it was given."""
    orders: list[Any] = []

    class Handler(BaseHTTPRequestHandler):
        def do_POST(self) -> None:
            orders.append(json.loads(self.rfile.read(int(self.headers["Content-Length"]))))
            body = json.dumps(answer).encode()
            self.send_response(status)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    with HTTPServer(("127.0.0.1", 0), Handler) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield f"http://127.0.0.1:{server.server_port}", orders
        server.shutdown()
        thread.join()


def flags(url: str, folder: Path) -> Namespace:
    token = folder / "operator.token"
    token.write_text("t" * 40)
    token.chmod(0o600)
    return Namespace(analyzer=url, token_file=token, ca_file=None)


def test_an_order_is_given_in_the_name_of_whoever_is_at_the_terminal(tmp_path: Path):
    with analyzer(200, {}) as (url, orders):
        order(flags(url, tmp_path), Config(), "/api/v1/pause")
    assert orders == [{"by": getpass.getuser()}]


def test_a_refusal_is_told_without_what_steers_a_terminal(tmp_path: Path):
    said = {"error": "no \x1b[2J\x07such\u202e node"}
    with (
        analyzer(404, said) as (url, _),
        pytest.raises(SourceError, match=r"refused: no \?\[2J\?such\? node \(HTTP 404"),
    ):
        order(flags(url, tmp_path), Config(), "/api/v1/pause")
