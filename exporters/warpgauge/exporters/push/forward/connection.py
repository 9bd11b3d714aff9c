"""One connection to one receiver: opened with its handshake, then message and acknowledgement in turn."""

from __future__ import annotations

import secrets
import socket
import time
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from warpgauge.core.errors import InputError
from warpgauge.exporters.push.forward.handshake import check_pong, helo_of, ping
from warpgauge.exporters.push.forward.messages import Reader, message

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable

    from warpgauge.exporters.push.forward.handshake import Credentials

__all__ = ["Connection", "ForwardError", "Server"]

_PORTION_BYTES: Final = 4096
_SALT_BYTES: Final = 16


class ForwardError(OSError):
    """The receiver did not take a message, or may not have."""


@dataclass(frozen=True, slots=True)
class Server:
    """Where a receiver listens."""

    host: str
    port: int

    def __str__(self) -> str:
        return f"[{self.host}]:{self.port}" if ":" in self.host else f"{self.host}:{self.port}"


class Connection:
    """Not for several threads. Every call ends within `timeout_seconds`."""

    def __init__(
        self,
        server: Server,
        credentials: Credentials,
        *,
        context: ssl.SSLContext | None = None,
        timeout_seconds: float = 10.0,
        monotonic: Callable[[], float] = time.monotonic,
    ) -> None:
        """Connect and shake hands.

        Raises:
            ForwardError: nobody answers, or not as somebody who knows the key.

        """
        self.server = server
        self.is_authenticated = bool(credentials.shared_key)
        self._timeout_seconds = timeout_seconds
        self._monotonic = monotonic
        self._reader = Reader()
        try:
            self._socket = self._connected(context)
        except OSError as error:
            raise self._failed(str(error)) from error
        try:
            if credentials.shared_key:
                self._shake_hands(credentials)
        except (OSError, InputError) as error:
            self.close()
            raise self._failed(str(error)) from error

    def deliver(self, body: bytes, chunk: str) -> None:
        """Send a message and return once the receiver has acknowledged it; after an error the connection is of no use.

        Raises:
            ForwardError: it has not; it may have the message nevertheless.

        """
        try:
            self._socket.settimeout(self._timeout_seconds)
            self._socket.sendall(body)
            answer = self._answer("an acknowledgement")
        except (OSError, InputError) as error:
            raise self._failed(str(error)) from error
        if isinstance(answer, list) and answer[:1] == ["HELO"]:
            msg = "it demands a shared key: set fluentd.shared_key_file"
            raise self._failed(msg)
        if not isinstance(answer, dict) or answer.get("ack") != chunk:
            msg = "it acknowledged something else than what was sent"
            raise self._failed(msg)

    def close(self) -> None:
        """Let go."""
        self._socket.close()

    def _connected(self, context: ssl.SSLContext | None) -> socket.socket:
        plain = socket.create_connection((self.server.host, self.server.port), self._timeout_seconds)
        try:
            plain.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
            return context.wrap_socket(plain, server_hostname=self.server.host) if context else plain
        except BaseException:
            plain.close()
            raise

    def _shake_hands(self, credentials: Credentials) -> None:
        helo = helo_of(self._answer("a HELO: does it have a shared key?"))
        if helo is None:
            msg = "it did not begin with HELO"
            raise InputError(msg)
        salt = secrets.token_hex(_SALT_BYTES)
        self._socket.sendall(message(ping(helo, credentials, salt)))
        check_pong(self._answer("a PONG"), helo, credentials, salt)

    def _answer(self, what: str) -> object:
        """The next message of the receiver.

        Raises:
            OSError: it does not come in time, or the connection ended.
            InputError: what comes is no message.

        """
        end = self._monotonic() + self._timeout_seconds
        while (found := self._reader.take()) is None:
            left = end - self._monotonic()
            if left <= 0:
                msg = f"waited {self._timeout_seconds:g} s in vain for {what}"
                raise TimeoutError(msg)
            self._socket.settimeout(left)
            try:
                portion = self._socket.recv(_PORTION_BYTES)
            except TimeoutError:
                continue
            if not portion:
                msg = f"it closed the connection instead of {what}"
                raise ConnectionResetError(msg)
            self._reader.feed(portion)
        return found

    def _failed(self, why: str) -> ForwardError:
        return ForwardError(f"{self.server}: {why}")
