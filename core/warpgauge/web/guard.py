"""The one door of both services: who may read, and who may change something.

What changes something needs three things, on loopback too: a Host that is this machine, no Origin or our own, and the
operator's token or, where a web-config has users, one of those named as operators. A foreign web page can send neither
the token nor a Host of its choice. Who may come in at all is the web-config's question; without one, everybody may who
reaches the address.
"""

from __future__ import annotations

import asyncio
import hmac
import logging
import platform
from ipaddress import ip_address
from typing import TYPE_CHECKING, Final

from aiohttp import web

from warpgauge.core.errors import StorageError
from warpgauge.web.bounded import ARRIVALS
from warpgauge.web.webconfig import Admission
from warpgauge.web.webconfig.admission import is_operator, shown_token

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from aiohttp.typedefs import Handler, Middleware

    from warpgauge.core.token_file import TokenFile

    Knows = Callable[[web.Request], bool]
    """Whether a request shows the token of its own door."""

__all__ = ["ADMISSION", "LISTENS_ON", "ONLY_LOOPBACK_NAMES", "SAFE_METHODS", "guard"]

_LOG: Final = logging.getLogger(__name__)
_LOOPBACK_NAMES: Final = {"localhost", "127.0.0.1", "[::1]"}
SAFE_METHODS: Final = {"GET", "HEAD"}
_WRITE_SECONDS: Final = 60.0  # that a body and its answer may take together

ADMISSION: Final = web.AppKey("admission", Admission)
"""What a web-config says about who may come in; absent without one, `serve` sets it."""

ONLY_LOOPBACK_NAMES: Final = web.AppKey("only_loopback_names", bool)
"""Whether the Host header must name this machine; `serve` sets it from the address it listens on."""
LISTENS_ON: Final = web.AppKey("listens_on", str)
"""The host of the address it listens on, empty for all; `serve` sets it."""


def guard(operator: TokenFile | None, *, own_doors: Mapping[str, Knows]) -> Middleware:
    """Middleware that refuses with 401 or 403; without a token file nothing can be changed.

    `own_doors` are paths for programs that push data: their handlers know their senders, and bound what they send.
    Here a foreign web page is kept out of them, and, where a web-config has users, whoever shows neither the door's
    token nor a password.
    """

    @web.middleware
    async def check(request: web.Request, handler: Handler) -> web.StreamResponse:
        _note_arrival(request)
        if request.app[ONLY_LOOPBACK_NAMES] and _name(request.host) not in _LOOPBACK_NAMES:
            raise web.HTTPForbidden(text="this address answers to localhost, 127.0.0.1 and [::1] only")
        knows = own_doors.get(request.path)
        user = await _admit(request, operator, knows)
        if request.method in SAFE_METHODS:
            return await handler(request)
        _check_origin(request)
        if knows is None:
            _check_host(request)
            if request.match_info.http_exception is None:  # else it is 404 or 405, whoever asks
                _check_operator(request, operator, user)
                _check_size(request)
        return await _in_time(request, handler)

    return check


def _note_arrival(request: web.Request) -> None:
    arrivals = request.app.get(ARRIVALS)
    if arrivals is not None:
        arrivals.heard(request.protocol)


async def _admit(request: web.Request, operator: TokenFile | None, knows: Knows | None) -> str | None:
    """The user a request comes from, None where there are none or a token of ours was shown."""
    admission = request.app.get(ADMISSION)
    if admission is None:
        return None
    is_known = is_operator(request, operator) or (knows is not None and knows(request))
    return await admission.admit(request, is_known=is_known)


async def _in_time(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Whoever sends its body drop by drop holds a place that others need."""
    try:
        async with asyncio.timeout(_WRITE_SECONDS):
            return await handler(request)
    except TimeoutError as error:
        raise web.HTTPRequestTimeout(text=f"this took longer than {_WRITE_SECONDS:g} s") from error


def _check_origin(request: web.Request) -> None:
    """Refuse what a foreign web page makes a browser send."""
    origin = request.headers.get("Origin")
    if origin is not None and origin.partition("://")[2] != request.host:
        raise web.HTTPForbidden(text="a request from another origin may only read")


def _check_host(request: web.Request) -> None:
    """Refuse rebound host names: there a foreign page is of our own origin."""
    if not _is_this_machine(_name(request.host), request.app):
        raise web.HTTPForbidden(text="to change something, call this machine by its address or its own name")


def _check_operator(request: web.Request, operator: TokenFile | None, user: str | None) -> None:
    if user is not None:
        if user not in request.app[ADMISSION].operators:
            _log_refusal(request, f"user {user} may only read")
            raise web.HTTPForbidden(text=f"user {user} may only read; web.operators names those who may do more")
        return
    if operator is None:
        raise web.HTTPForbidden(text="nothing can be changed here")
    try:
        token, path = operator.read(), operator.path
    except StorageError as error:
        _log_refusal(request, str(error))
        raise web.HTTPForbidden(text=f"no orders are taken: {error}") from error
    if not hmac.compare_digest(shown_token(request), token):
        _log_refusal(request, "no valid token")
        raise web.HTTPUnauthorized(
            text=f"this needs the operator's token: 'Authorization: Bearer TOKEN' with the content of {path}",
            headers={"WWW-Authenticate": 'Bearer realm="warpgauge"'},
        )


def _check_size(request: web.Request) -> None:
    """Refuse early what the reader of the body would refuse later; a body without a length meets only that reader."""
    most = request.client_max_size
    if request.content_length is not None and request.content_length > most:
        raise web.HTTPRequestEntityTooLarge(max_size=most, actual_size=request.content_length)


def _log_refusal(request: web.Request, why: str) -> None:
    _LOG.warning("order refused", extra={"path": request.path, "remote": request.remote, "why": why})


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
