"""Listening with bounds: so many connections at once, and a time for the first request of each.

Without them a client that opens connections and says nothing, or one letter a minute, takes all the files that a
process may have open, and no scrape gets through.
"""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    import ssl

    from warpgauge.web.address import ListenAddress

__all__ = ["ARRIVALS", "MOST_CONNECTIONS", "Arrivals", "BoundedSite"]

MOST_CONNECTIONS: Final = 512  # as Prometheus' --web.max-connections
FIRST_REQUEST_SECONDS: Final = 30.0
_HANDSHAKE_SECONDS: Final = 10.0
_BACKLOG: Final = 128


class Arrivals:
    """Connections whose first request has not come yet; each is cut off when its time is over."""

    def __init__(self, patience_seconds: float = FIRST_REQUEST_SECONDS) -> None:
        self._patience_seconds = patience_seconds
        self._waiting: dict[asyncio.BaseProtocol, asyncio.TimerHandle] = {}

    def expect(self, connection: web.RequestHandler) -> None:
        """The connection is there and has said nothing."""
        timer = asyncio.get_running_loop().call_later(self._patience_seconds, self._cut_off, connection)
        self._waiting[connection] = timer

    def heard(self, connection: asyncio.BaseProtocol) -> None:
        """A whole request came."""
        if timer := self._waiting.pop(connection, None):
            timer.cancel()

    def _cut_off(self, connection: web.RequestHandler) -> None:
        del self._waiting[connection]
        connection.force_close()


ARRIVALS: Final = web.AppKey("arrivals", Arrivals)
"""Where a request says that it has come; `serve` sets it."""


class BoundedSite(web.BaseSite):
    """A listening socket of a runner."""

    def __init__(
        self, runner: web.AppRunner, address: ListenAddress, tls: ssl.SSLContext | None, arrivals: Arrivals
    ) -> None:
        super().__init__(runner, ssl_context=tls)
        self._address = address
        self._arrivals = arrivals

    @property
    def name(self) -> str:
        """Its URL, without the port really taken."""
        return f"{'https' if self._ssl_context else 'http'}://{self._address}"

    async def start(self) -> None:
        """Listen."""
        await super().start()
        self._server = await asyncio.get_running_loop().create_server(
            self._connection,
            self._address.host or None,
            self._address.port,
            ssl=self._ssl_context,
            ssl_handshake_timeout=_HANDSHAKE_SECONDS if self._ssl_context else None,
            backlog=_BACKLOG,
        )

    def _connection(self) -> asyncio.Protocol:
        server = self._runner.server
        if server is None or len(server.connections) >= MOST_CONNECTIONS:
            return _Refused()
        connection = server()
        self._arrivals.expect(connection)
        return connection


class _Refused(asyncio.Protocol):
    """One connection too many: told so in HTTP's own words, then closed."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        if isinstance(transport, asyncio.WriteTransport):
            transport.write(b"HTTP/1.1 503 Service Unavailable\r\nRetry-After: 5\r\nContent-Length: 0\r\n"
                            b"Connection: close\r\n\r\n")  # fmt: skip
            transport.close()
