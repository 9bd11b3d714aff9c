"""What is between sender and receiver: passes bytes on, slowly if told so, or closes in the middle of a message."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import random

__all__ = ["Proxy"]

PORTION_BYTES = 4096
SLOW_SECONDS = 0.05  # for each portion
MOST_BEFORE_CUT = 12_000  # bytes


class Proxy:
    """Listens on `port`; `mode` is pass, slow or cut. Threads of this process; end it with `close`."""

    def __init__(self, receiver_port: int, chance: random.Random) -> None:
        self.mode = "pass"
        self.cuts = 0
        self._receiver_port = receiver_port
        self._chance = chance
        self._listener = socket.create_server(("127.0.0.1", 0))
        self.port: int = self._listener.getsockname()[1]
        threading.Thread(target=self._accept, daemon=True).start()

    def close(self) -> None:
        """Take no more connections."""
        self._listener.close()

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                sender, _ = self._listener.accept()
                try:
                    receiver = socket.create_connection(("127.0.0.1", self._receiver_port), 1.0)
                except OSError:
                    sender.close()
                    continue
                receiver.settimeout(None)
                for source, target, is_upward in ((sender, receiver, True), (receiver, sender, False)):
                    threading.Thread(target=self._pass_on, args=(source, target, is_upward), daemon=True).start()

    def _pass_on(self, source: socket.socket, target: socket.socket, is_upward: bool) -> None:  # noqa: FBT001
        left: int | None = None
        with contextlib.suppress(OSError):
            while portion := source.recv(PORTION_BYTES):
                if is_upward and self.mode == "slow":
                    time.sleep(SLOW_SECONDS)
                if is_upward and self.mode == "cut":
                    left = self._chance.randrange(MOST_BEFORE_CUT) if left is None else left
                    if len(portion) > left:
                        target.sendall(portion[:left])
                        self.cuts += 1
                        break
                    left -= len(portion)
                target.sendall(portion)
        for one in (source, target):
            with contextlib.suppress(OSError):
                one.shutdown(socket.SHUT_RDWR)
            one.close()
