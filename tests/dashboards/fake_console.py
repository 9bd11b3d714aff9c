"""The console's own files, with documents in place of the API and of its stream."""

from __future__ import annotations

import json
import threading
import time
from contextlib import contextmanager
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from typing import TYPE_CHECKING, Any

from warpgauge.cli.folders import console_folder

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

READ = 1_750_000_000.0
API = {
    "status": {
        "time": READ, "cluster": "c", "version": "0", "sources": [], "checked": [], "not_judged": [],
        "simulated_targets": 0, "nodes": 0, "devices": 0, "series": 0,
    },
    "findings": {"findings": []},
    "recommendations": {"recommendations": []},
    "live": {"time": READ + 42, "hosts": [], "devices": []},
    "plan": {"state": "off"},
}  # fmt: skip
Events = tuple[tuple[str, dict[str, Any]], ...]  # names and data
_PAUSE_SECONDS = 0.2


class _Console(SimpleHTTPRequestHandler):
    """Without the headers that would stop a script as well."""

    def __init__(self, *args: Any, documents: dict[str, Any], events: Events, **kwargs: Any) -> None:
        self.documents = documents
        self.events = events
        super().__init__(*args, directory=console_folder(), **kwargs)

    def do_GET(self) -> None:
        name = self.path.removeprefix("/api/v1/").partition("?")[0]
        if name == "stream" and self.events:
            self._stream()
        elif name in self.documents:
            self._say(json.dumps(self.documents[name]).encode())
        else:
            self.path = self.path.removeprefix("/assets")
            super().do_GET()

    def _say(self, body: bytes) -> None:
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self) -> None:
        """The same events over and over, until the page is gone."""
        self.send_response(200)
        self.send_header("Content-Type", "text/event-stream")
        self.end_headers()
        try:
            while True:
                for name, data in self.events:
                    self.wfile.write(f"event: {name}\ndata: {json.dumps(data)}\n\n".encode())
                time.sleep(_PAUSE_SECONDS)
        except OSError:
            return

    def log_message(self, *_: object) -> None:
        """Stay quiet."""


@contextmanager
def console(*, events: Sequence[tuple[str, dict[str, Any]]] = (), **documents: Any) -> Iterator[str]:
    """The page's URL; `documents` are those of the API by name, `events` are streamed again and again."""
    handler = partial(_Console, documents={**API, **documents}, events=tuple(events))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever)
        thread.start()
        try:
            yield f"http://127.0.0.1:{server.server_port}/"
        finally:
            server.shutdown()
            thread.join()
