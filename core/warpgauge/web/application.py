"""An application with probes, headers, limits and error answers that both services share."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Final

from aiohttp import web

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

__all__ = ["ONLY_LOOPBACK_NAMES", "json_response", "make_app"]

_LOG: Final = logging.getLogger(__name__)
_MAX_BODY_BYTES: Final = 1 << 20
_LOOPBACK_NAMES: Final = {"localhost", "127.0.0.1", "[::1]"}
_SAFE_METHODS: Final = {"GET", "HEAD"}
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}

ONLY_LOOPBACK_NAMES: Final = web.AppKey("only_loopback_names", bool)
"""Whether the Host header must name this machine; `serve` sets it from the address it listens on."""


def make_app(*, ready: Callable[[], str | None]) -> web.Application:
    """An application with `/-/healthy` and `/-/ready`; `ready` says why not, or None when all is well."""
    app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=[_errors, _same_site])
    app[ONLY_LOOPBACK_NAMES] = True

    async def healthy(_: web.Request) -> web.Response:
        return web.Response(text="ok\n")

    async def readiness(_: web.Request) -> web.Response:
        reason = ready()
        return web.Response(text="ok\n") if reason is None else web.Response(status=503, text=f"{reason}\n")

    app.router.add_get("/-/healthy", healthy)
    app.router.add_get("/-/ready", readiness)
    app.on_response_prepare.append(_add_headers)
    return app


def json_response(document: object, *, status: int = 200) -> web.Response:
    """Answer with a JSON document; NaN and infinity are refused because JSON has none (ValueError)."""
    text = json.dumps(document, ensure_ascii=False, allow_nan=False, separators=(",", ":"))
    return web.Response(text=text + "\n", status=status, content_type="application/json")


async def _add_headers(_: web.Request, response: web.StreamResponse) -> None:
    for name, value in _HEADERS.items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "warpgauge"  # not the versions of Python and aiohttp


@web.middleware
async def _errors(request: web.Request, handler: Answer) -> web.StreamResponse:
    """JSON errors under /api/, plain text elsewhere; a fault of ours is logged and costs this request only."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < web.HTTPBadRequest.status_code:
            raise
        reply = _error_reply(request, error.status, _reason(error))
        reply.headers.update({name: error.headers[name] for name in ("Allow", "Retry-After") if name in error.headers})
        return reply
    except Exception:  # noqa: BLE001 - the last line of defense: one bad request must not end the service
        _LOG.exception("request failed", extra={"method": request.method, "path": request.path})
        return _error_reply(request, 500, "internal error, the log says more")


def _reason(error: web.HTTPException) -> str:
    """Our own words where a handler gave some, else the status' name."""
    text = error.text or ""
    return error.reason if not text or text == f"{error.status}: {error.reason}" else text.strip()


def _error_reply(request: web.Request, status: int, reason: str) -> web.Response:
    if request.path.startswith("/api/"):
        return json_response({"error": reason}, status=status)
    return web.Response(text=f"{reason}\n", status=status)


@web.middleware
async def _same_site(request: web.Request, handler: Answer) -> web.StreamResponse:
    """Refuse what a foreign web page could make a browser send: rebound host names and cross-origin writes."""
    if request.app[ONLY_LOOPBACK_NAMES] and _name(request.host) not in _LOOPBACK_NAMES:
        raise web.HTTPForbidden(text="this address answers to localhost, 127.0.0.1 and [::1] only")
    origin = request.headers.get("Origin")
    if request.method not in _SAFE_METHODS and origin is not None and origin.partition("://")[2] != request.host:
        raise web.HTTPForbidden(text="a request from another origin may only read")
    return await handler(request)


def _name(host: str) -> str:
    """The Host header without its port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].lower()
