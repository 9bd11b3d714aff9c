"""A tiny HTTP server whose pages are made at each request, for a real Prometheus to scrape."""

from __future__ import annotations

import contextlib
import http.server
import threading
from typing import TYPE_CHECKING

from warpgauge.core.exposition import Format

if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Mapping


@contextlib.contextmanager
def serve(pages: Mapping[str, Callable[[], bytes]]) -> Iterator[str]:
    """Serve `pages` by path on a free port of 127.0.0.1; yields HOST:PORT. A page that raises KeyError is a 503."""
    turn = threading.Lock()  # pages are made one at a time: the fleet model is not for several threads

    class Page(http.server.BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            try:
                with turn:
                    body = pages[self.path]()
            except KeyError:
                self.send_error(http.HTTPStatus.SERVICE_UNAVAILABLE)
                return
            self.send_response(http.HTTPStatus.OK)
            self.send_header("Content-Type", Format.TEXT.content_type)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_: object) -> None:
            """Stay quiet."""

    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Page) as server:
        server.daemon_threads = True
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        yield f"127.0.0.1:{server.server_port}"
        server.shutdown()
        thread.join()
