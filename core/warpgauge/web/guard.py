"""The one door of both services: who may read, and who may change something.

What changes something needs three things, on loopback too: a Host that is this machine, no Origin or our own, and the
operator's token. A foreign web page can send neither the token nor a Host of its choice.
"""

from __future__ import annotations

import hmac
import logging
import platform
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from aiohttp import web

from warpgauge.core.errors import StorageError

if TYPE_CHECKING:
    from aiohttp.typedefs import Handler, Middleware

    from warpgauge.web.token import TokenFile

__all__ = ["LISTENS_ON", "ONLY_LOOPBACK_NAMES", "SAFE_METHODS", "guard"]

_LOG: Final = logging.getLogger(__name__)
_LOOPBACK_NAMES: Final = {"localhost", "127.0.0.1", "[::1]"}
SAFE_METHODS: Final = {"GET", "HEAD"}

ONLY_LOOPBACK_NAMES: Final = web.AppKey("only_loopback_names", bool)
"""Whether the Host header must name this machine; `serve` sets it from the address it listens on."""
LISTENS_ON: Final = web.AppKey("listens_on", str)
"""The host of the address it listens on, empty for all; `serve` sets it."""


def guard(operator: TokenFile | None) -> Middleware:
    """Middleware that refuses with 401 or 403; without a token file nothing can be changed."""

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        if request.app[ONLY_LOOPBACK_NAMES] and _name(request.host) not in _LOOPBACK_NAMES:
            raise web.HTTPForbidden(text="this address answers to localhost, 127.0.0.1 and [::1] only")
        if request.method not in SAFE_METHODS:
            _check_site(request)
            if request.match_info.http_exception is None:  # else it is 404 or 405, whoever asks
                _check_operator(request, operator)
                _check_size(request)
        return await handler(request)

    return check


def _check_site(request: web.Request) -> None:
    """Refuse what a foreign web page could make a browser send: cross-origin writes and rebound host names."""
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != request.host:
        raise web.HTTPForbidden(text="a request from another origin may only read")
    if not _is_this_machine(_name(request.host), request.app):
        raise web.HTTPForbidden(text="to change something, call this machine by its address or its own name")


def _check_operator(request: web.Request, operator: TokenFile | None) -> None:
    if operator is None:
        raise web.HTTPForbidden(text="nothing can be changed here")
    try:
        token, path = operator.read(), operator.path
    except StorageError as error:
        _LOG.warning("order refused", extra={"path": request.path, "remote": request.remote, "why": str(error)})
        raise web.HTTPForbidden(text=f"no orders are taken: {error}") from error
    if not hmac.compare_digest(_bearer(request), token):
        _LOG.warning("order refused", extra={"path": request.path, "remote": request.remote, "why": "no valid token"})
        raise web.HTTPUnauthorized(
            text=f"this needs the operator's token: 'Authorization: Bearer TOKEN' with the content of {path}",
            headers={"WWW-Authenticate": 'Bearer realm="warpgauge"'},
        )


def _check_size(request: web.Request) -> None:
    """Refuse early what the reader of the body would refuse later; a body without a length meets only that reader."""
    most = request.client_max_size
    if request.content_length is not None and request.content_length > most:
        raise web.HTTPRequestEntityTooLarge(max_size=most, actual_size=request.content_length)


def _bearer(request: web.Request) -> bytes:
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip().encode(errors="surrogateescape") if scheme.lower() == "bearer" else b""


def _is_this_machine(name: str, app: web.Application) -> bool:
    """A name that DNS could point anywhere else is ours only if it is our own; an address cannot be rebound."""
    own = platform.node().lower()
    if name in {*_LOOPBACK_NAMES, own, own.partition(".")[0], app.get(LISTENS_ON, "").lower()} - {""}:
        return True
    try:
        ip_address(name.strip("[]"))
    except ValueError:
        return False
    return True


def _name(host: str) -> str:
    """The Host header without its port."""
    if host.startswith("["):
        return host.partition("]")[0] + "]"
    return host.partition(":")[0].lower()
