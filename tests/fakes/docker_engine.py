"""A double of a Docker engine's API on a unix socket: what GET /containers/json gives, and how it can fail.

No engine could be had; the answer has the shape that docs.docker.com/reference/api/engine shows.
"""

from __future__ import annotations

import json
import socketserver
import threading
from contextlib import contextmanager, suppress
from http.server import BaseHTTPRequestHandler
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterator
    from pathlib import Path


class FakeEngine:
    """Lists the containers that it was given; `body`, `status` and `is_silent` are its faults."""

    def __init__(self) -> None:
        self.containers: list[object] = []
        self.body: bytes | None = None
        self.status = 200
        self.is_silent = False
        self.asked: list[str] = []
        self.freed = threading.Event()

    def run(self, full_id: str, *names: str) -> None:
        """Let a container run under these names."""
        self.containers.append({"Id": full_id, "Names": list(names), "Image": "train:1", "State": "running"})


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True


@contextmanager
def serving(socket: Path) -> Iterator[FakeEngine]:
    """An engine for as long as the block lasts."""
    engine = FakeEngine()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            engine.asked.append(self.path)
            if engine.is_silent:
                engine.freed.wait(30)
            self.send_response(engine.status)
            self.send_header("Content-Type", "application/json")
            self.end_headers()
            with suppress(BrokenPipeError):  # whoever asked has had enough
                self.wfile.write(json.dumps(engine.containers).encode() if engine.body is None else engine.body)

        def address_string(self) -> str:
            return "socket"

        def log_message(self, *_: object) -> None:
            """Nobody reads it."""

    with _Server(str(socket), Handler) as server:
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
        try:
            yield engine
        finally:
            engine.freed.set()
            server.shutdown()
