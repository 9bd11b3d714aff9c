"""A recording served at its own pace, by a process of its own: an agent's /metrics holds only what is there now."""

from __future__ import annotations

import asyncio
from typing import TYPE_CHECKING, Final

from aiohttp import web

from warpgauge.core.exposition import Format, negotiate
from warpgauge.web import ListenAddress, install_stop_signals, make_app, serve

if TYPE_CHECKING:
    from collections.abc import Callable

    from warpgauge.exporters.recording.playback import Playback

__all__ = ["serve_playback"]

_FORMATS: Final = tuple(Format)


class _Pages:
    """The page of the last moment; used from the event loop only."""

    def __init__(self, playback: Playback) -> None:
        self._playback = playback
        self._bodies: dict[Format, bytes] = {}

    async def follow(self, until: float | None) -> None:
        """Go through the recording as slowly as it was made; its last page stays."""
        loop = asyncio.get_running_loop()
        begun: float | None = None
        for time in self._playback.moments(until):
            begun = loop.time() - time if begun is None else begun
            await asyncio.sleep(max(0.0, begun + time - loop.time()))
            self._bodies = {fmt: self._playback.page(fmt) for fmt in _FORMATS}

    def unready(self) -> str | None:
        """Why not ready."""
        return None if self._bodies else "waiting for the first reading of the recording"

    async def metrics(self, request: web.Request) -> web.Response:
        """The page in the format that was asked for."""
        fmt = negotiate(request.headers.get("Accept"))
        if not self._bodies:
            raise web.HTTPServiceUnavailable(text=self.unready())
        return web.Response(body=self._bodies[fmt], headers={"Content-Type": fmt.content_type, "Vary": "Accept"})


async def serve_playback(
    listen: str, playback: Playback, until: float | None, *, tell: Callable[[str, int], None]
) -> None:
    """Serve `/metrics` until a signal comes.

    Raises:
        ConfigError: `listen` is no address.
        AddressInUseError: somebody else has it.

    """
    pages = _Pages(playback)
    app = make_app(ready=pages.unready)
    app.router.add_get("/metrics", pages.metrics)
    stop = asyncio.Event()
    install_stop_signals(asyncio.get_running_loop(), stop)
    following = asyncio.create_task(pages.follow(until))
    try:
        await serve(app, ListenAddress.parse(listen), on_listening=tell, stop=stop)
    finally:
        following.cancel()
        await asyncio.gather(following, return_exceptions=True)
