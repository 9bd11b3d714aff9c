"""A server inside a test, on a free port of 127.0.0.1."""

from __future__ import annotations

from contextlib import asynccontextmanager
from typing import TYPE_CHECKING

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import AsyncIterator, Awaitable, Callable, Mapping

    Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@asynccontextmanager
async def serving(routes: Mapping[str, Handler] | web.Application) -> AsyncIterator[str]:
    """Serve handlers by path (any method) or an application; gives the base URL."""
    if isinstance(routes, web.Application):
        app = routes
    else:
        app = web.Application()
        for path, handler in routes.items():
            app.router.add_route("*", path, handler)
    runner = web.AppRunner(app, access_log=None, shutdown_timeout=0.1)
    await runner.setup()
    try:
        await web.TCPSite(runner, "127.0.0.1", 0).start()
        yield f"http://127.0.0.1:{runner.addresses[0][1]}"
    finally:
        await runner.cleanup()


def answer(body: str | bytes, *, content_type: str = "text/plain", status: int = 200, **headers: str) -> Handler:
    """A handler that always says the same."""
    raw = body.encode() if isinstance(body, str) else body

    async def handler(_: web.Request) -> web.Response:
        return web.Response(body=raw, status=status, headers={"Content-Type": content_type, **headers})

    return handler
