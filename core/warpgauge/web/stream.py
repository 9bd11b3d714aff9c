"""Server-sent events: https://html.spec.whatwg.org/multipage/server-sent-events.html."""

from __future__ import annotations

import asyncio
import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator

__all__ = ["EventStream"]

_MAX_CLIENTS: Final = 64
_QUEUED_EVENTS: Final = 32
_HEARTBEAT_SECONDS: Final = 15.0
_HEARTBEAT: Final = b": still here\n\n"


@dataclass(eq=False, slots=True)
class _Client:
    """One open stream; `queue` ends with None when the stream is to end."""

    transport: asyncio.Transport | None
    queue: asyncio.Queue[bytes | None] = field(default_factory=lambda: asyncio.Queue(_QUEUED_EVENTS))


class EventStream:
    """Events for every connected page; who connects gets the newest event of each name first.

    A client that does not read fast enough is cut off (browsers connect again by themselves), so memory is bounded.
    """

    def __init__(self, *, heartbeat_seconds: float = _HEARTBEAT_SECONDS, max_clients: int = _MAX_CLIENTS) -> None:
        self._heartbeat_seconds = heartbeat_seconds
        self._max_clients = max_clients
        self._clients: set[_Client] = set()
        self._newest: dict[str, bytes] = {}
        self._last_id = 0

    @property
    def clients(self) -> int:
        """Streams that are open."""
        return len(self._clients)

    def add_to(self, app: web.Application, path: str) -> None:
        """Serve the stream at `path` and end it when the server stops."""
        app.router.add_get(path, self.handler, allow_head=False)
        app.on_shutdown.append(self._end)

    def publish(self, event: str, data: object) -> None:
        """Send a JSON document to every client; NaN and infinity are refused (ValueError)."""
        self._last_id += 1
        text = json.dumps(data, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
        message = f"id: {self._last_id}\nevent: {event}\ndata: {text}\n\n".encode()
        self._newest[event] = message
        for client in tuple(self._clients):
            try:
                client.queue.put_nowait(message)
            except asyncio.QueueFull:
                self._cut_off(client)

    async def handler(self, request: web.Request) -> web.StreamResponse:
        """Answer a request with the stream; it lasts until the client goes, is too slow, or the server stops."""
        if len(self._clients) >= self._max_clients:
            raise web.HTTPServiceUnavailable(text="too many open streams", headers={"Retry-After": "30"})
        response = web.StreamResponse(
            headers={"Content-Type": "text/event-stream; charset=utf-8", "Cache-Control": "no-store"}
        )
        client = _Client(request.transport)
        for message in self._newest.values():
            client.queue.put_nowait(message)
        self._clients.add(client)
        try:
            await response.prepare(request)
            async for message in self._messages(client):
                await response.write(message)
        except ConnectionError:
            pass  # the client went, or was cut off
        finally:
            self._clients.discard(client)
        return response

    async def _messages(self, client: _Client) -> AsyncIterator[bytes]:
        while True:
            try:
                message = await asyncio.wait_for(client.queue.get(), self._heartbeat_seconds)
            except TimeoutError:
                yield _HEARTBEAT
                continue
            if message is None:
                return
            yield message

    def _cut_off(self, client: _Client) -> None:
        self._clients.discard(client)
        if client.transport is not None:
            client.transport.abort()

    async def _end(self, _: web.Application) -> None:
        for client in tuple(self._clients):
            try:
                client.queue.put_nowait(None)
            except asyncio.QueueFull:
                self._cut_off(client)
