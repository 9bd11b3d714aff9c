"""A receiver over HTTP that logs the ids it got before it answers: http_receiver.py SINK PORT LOG MODE.

MODE is a file, read at each request: empty answers 200 at once, a status answers that and logs nothing, slow waits.
"""

from __future__ import annotations

import http.server
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from benchmarks.delivery_parts.ledger import Ledger
from benchmarks.delivery_parts.sinks import SINKS

SLOW_SECONDS = 0.3


def main(name: str, port: str, log: str, mode_file: str) -> None:
    ids_of, ledger, mode_path = SINKS[name].ids, Ledger(Path(log)), Path(mode_file)

    class Handler(http.server.BaseHTTPRequestHandler):
        protocol_version = "HTTP/1.1"

        def do_POST(self) -> None:
            length = int(self.headers["Content-Length"])
            body = self.rfile.read(length)
            if len(body) < length:  # the sender, or what is between us, is gone
                self.close_connection = True
                return
            mode = mode_path.read_text() if mode_path.exists() else ""
            if mode == "slow":
                time.sleep(SLOW_SECONDS)
            status = int(mode) if mode.isdecimal() else 200
            if not mode.isdecimal():
                ledger.write(ids_of(body))
            self.send_response(status)
            self.send_header("Content-Length", "0")
            self.end_headers()

        def log_message(self, *_: object) -> None:
            pass

    class Server(http.server.ThreadingHTTPServer):
        def handle_error(self, *_: object) -> None:
            """Connections that are cut are what this is about."""

    with Server(("127.0.0.1", int(port)), Handler) as server:
        print(port, flush=True)
        server.serve_forever()


main(*sys.argv[1:])
