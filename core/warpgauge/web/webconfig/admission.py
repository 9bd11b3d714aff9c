"""Who is let in at all, as a web-config says: rate, client certificate, user. What they may do is the guard's question.

In the order of Prometheus' exporters: a configuration that has become wrong answers 500, then the rate limit, then the
user. The operator's token lets in as well, as the one user who needs no password.
"""

from __future__ import annotations

import base64
import binascii
import hmac
import logging
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

from aiohttp import web

from warpgauge.core.errors import ConfigError, StorageError
from warpgauge.web.webconfig.file import WebConfigFile
from warpgauge.web.webconfig.limiter import Limiter

if TYPE_CHECKING:
    from collections.abc import Collection

    from warpgauge.core.config import WebConfig as WebSettings
    from warpgauge.core.token_file import TokenFile
    from warpgauge.web.webconfig.passwords import Passwords
    from warpgauge.web.webconfig.schema import WebConfig

__all__ = ["Admission", "admission_of", "is_operator", "scheme_of", "shown_token"]

_LOG: Final = logging.getLogger(__name__)
_CHALLENGE: Final = {"WWW-Authenticate": 'Basic realm="warpgauge", charset="UTF-8"'}
_LONGEST_HEADER: Final = 4096


class Admission:
    """The door as a file describes it; `operators` are the users who may also change something."""

    def __init__(self, file: WebConfigFile, operators: Collection[str] = ()) -> None:
        """Raises ConfigError if an operator is no user of the file."""
        users = file.current().users
        if strangers := sorted(set(operators) - users.keys()):
            msg = f"web.operators names {strangers[0]!r}, who is no user of {file.path} (basic_auth_users)"
            raise ConfigError(msg)
        self.file = file
        self.operators = frozenset(operators)
        self._passwords: Passwords | None = None
        self._limiter: Limiter | None = None

    @property
    def has_tls(self) -> bool:
        """Whether https is spoken here."""
        return self.file.context() is not None

    async def admit(self, request: web.Request, *, is_known: bool) -> str | None:
        """Let the request pass, or raise what is answered instead; gives the user it came from, if from one.

        `is_known` senders have shown a token of ours and need no password.
        """
        config = self._config(request)
        self._check_rate(config)
        self._check_names(request, config)
        return await self._user(request, config) if config.users and not is_known else None

    def headers(self) -> dict[str, str]:
        """Headers of every answer; none while the file is wrong."""
        try:
            return dict(self.file.current().headers)
        except ConfigError:
            return {}

    def _config(self, request: web.Request) -> WebConfig:
        try:
            return self.file.current()
        except ConfigError as error:
            _LOG.error("web-config is wrong", extra={"why": str(error), "path": request.path})
            raise web.HTTPInternalServerError(text="the web-config is wrong, the log says more") from error

    def _check_rate(self, config: WebConfig) -> None:
        if config.rate_limit is None:
            return
        if self._limiter is None or self._limiter.limit != config.rate_limit:
            self._limiter = Limiter(config.rate_limit, time.monotonic())
        if not self._limiter.admits(time.monotonic()):
            raise web.HTTPTooManyRequests(text="too many requests")

    def _check_names(self, request: web.Request, config: WebConfig) -> None:
        """Of a verified client certificate one name must be allowed; Go ends the handshake, here the answer is 403."""
        allowed = config.tls.client_allowed_sans if config.tls else ()
        if not allowed:
            return
        certificate: dict[str, Any] = request.get_extra_info("peercert") or {}
        names = {value for _, value in certificate.get("subjectAltName", ())}
        if not names & set(allowed):
            _LOG.warning("client certificate refused", extra={"remote": request.remote, "names": sorted(names)[:8]})
            raise web.HTTPForbidden(text="the client certificate holds none of the names in client_allowed_sans")

    async def _user(self, request: web.Request, config: WebConfig) -> str:
        name, password = _basic(request)
        passwords = self._comparer()
        if passwords.is_busy:
            raise web.HTTPServiceUnavailable(text="too many logins at once", headers={"Retry-After": "1"})
        if name is None or not await passwords.match(config.users, name, password):
            if name is not None:
                _LOG.warning("login refused", extra={"remote": request.remote, "path": request.path})
            raise web.HTTPUnauthorized(text="this needs a user and a password (web-config)", headers=_CHALLENGE)
        return name

    def _comparer(self) -> Passwords:
        if self._passwords is None:
            from warpgauge.web.webconfig.passwords import Passwords  # noqa: PLC0415 - only where users are configured

            self._passwords = Passwords()
        return self._passwords


def admission_of(config: WebSettings) -> Admission | None:
    """The door that the settings describe, None where they name no file.

    Raises:
        ConfigError: the file cannot be used, or there are operators without one.
        MissingExtraError: a library that it needs is not installed.

    """
    if config.config_file:
        return Admission(WebConfigFile(Path(config.config_file).expanduser()), config.operators)
    if config.operators:
        msg = "web.operators names users, but there is no web.config_file that has any"
        raise ConfigError(msg)
    return None


def scheme_of(admission: Admission | None) -> str:
    """How URLs of a server with this door begin."""
    return "https" if admission is not None and admission.has_tls else "http"


def is_operator(request: web.Request, operator: TokenFile | None) -> bool:
    """Whether the request shows the operator's token."""
    token = shown_token(request)
    if operator is None or not token:
        return False
    try:
        return hmac.compare_digest(token, operator.read())
    except StorageError:
        return False


def shown_token(request: web.Request) -> bytes:
    """The bearer token of a request, empty without one."""
    scheme, _, token = request.headers.get("Authorization", "").partition(" ")
    return token.strip().encode(errors="surrogateescape") if scheme.lower() == "bearer" else b""


def _basic(request: web.Request) -> tuple[str | None, str]:
    """User and password (RFC 7617), None for the user if there are none."""
    header = request.headers.get("Authorization", "")
    scheme, _, text = header.partition(" ")
    if scheme.lower() != "basic" or len(header) > _LONGEST_HEADER:
        return None, ""
    try:
        decoded = base64.b64decode(text.strip(), validate=True).decode()
    except (binascii.Error, ValueError):
        return None, ""
    name, colon, password = decoded.partition(":")
    return (name, password) if colon else (None, "")
