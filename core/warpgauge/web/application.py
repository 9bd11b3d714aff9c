"""An application with probes, headers, limits and error answers that both services share."""

from __future__ import annotations

import json
import logging
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from warpgauge.web.guard import ADMISSION, ONLY_LOOPBACK_NAMES, SAFE_METHODS, guard

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable, Mapping

    from warpgauge.core.token_file import TokenFile
    from warpgauge.web.guard import Knows

    Answer = Callable[[web.Request], Awaitable[web.StreamResponse]]

__all__ = ["ONLY_LOOPBACK_NAMES", "json_object", "json_response", "make_app"]

_LOG: Final = logging.getLogger(__name__)
_MAX_BODY_BYTES: Final = 1 << 20
_KEPT_HEADERS: Final = ("Allow", "Retry-After", "WWW-Authenticate")  # of errors, whose bodies are written anew
_HEADERS: Final = {
    "Content-Security-Policy": "default-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'; "
    "object-src 'none'",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
    "Referrer-Policy": "no-referrer",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Cache-Control": "no-cache",
}


def make_app(
    *, ready: Callable[[], str | None], operator: TokenFile | None = None, own_doors: Mapping[str, Knows] | None = None
) -> web.Application:
    """An application with `/-/healthy` and `/-/ready`; `ready` says why not, or None when all is well.

    Whatever is not GET or HEAD takes the token of `operator`; without one it is refused. Handlers of `own_doors`
    check their senders themselves; their values say whether a request shows the token of that door.
    """
    middlewares = [_errors, guard(operator, own_doors=own_doors or {})]
    app = web.Application(client_max_size=_MAX_BODY_BYTES, middlewares=middlewares)
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


async def json_object(request: web.Request) -> dict[str, Any]:
    """The body of an order; none is an empty object.

    Raises:
        HTTPBadRequest: it is something else.

    """
    try:
        body = json.loads(await request.read() or b"{}")
    except (ValueError, RecursionError) as error:
        raise web.HTTPBadRequest(text=f"the body is no JSON: {error}") from error
    if not isinstance(body, dict):
        raise web.HTTPBadRequest(text="the body must be a JSON object")
    return body


async def _add_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Ours, but for what a web-config sets otherwise."""
    admission = request.app.get(ADMISSION)
    for name, value in (_HEADERS if admission is None else {**_HEADERS, **admission.headers()}).items():
        response.headers.setdefault(name, value)
    response.headers["Server"] = "warpgauge"  # not the versions of Python and aiohttp


@web.middleware
async def _errors(request: web.Request, handler: Answer) -> web.StreamResponse:
    """JSON errors under /api/ and for writes, plain text elsewhere; a fault of ours is logged and costs one request."""
    try:
        return await handler(request)
    except web.HTTPException as error:
        if error.status < web.HTTPBadRequest.status_code:
            raise
        reply = _error_reply(request, error.status, _reason(error))
        reply.headers.update({name: error.headers[name] for name in _KEPT_HEADERS if name in error.headers})
        return reply
    except Exception as error:  # noqa: BLE001 - the last line of defense: one bad request must not end the service
        if not (isinstance(error, ConnectionError) and _has_left(request)):
            _LOG.exception("request failed", extra={"method": request.method, "path": request.path})
        return _error_reply(request, 500, "internal error, the log says more")


def _has_left(request: web.Request) -> bool:
    """Whether who asked does not listen any more: that is no fault of ours."""
    return request.transport is None or request.transport.is_closing()


def _reason(error: web.HTTPException) -> str:
    """Our own words where a handler gave some, else the status' name."""
    text = error.text or ""
    return error.reason if not text or text == f"{error.status}: {error.reason}" else text.strip()


def _error_reply(request: web.Request, status: int, reason: str) -> web.Response:
    if request.path.startswith("/api/") or request.method not in SAFE_METHODS:
        return json_response({"error": reason}, status=status)
    return web.Response(text=f"{reason}\n", status=status)
