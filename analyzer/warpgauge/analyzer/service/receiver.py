"""`POST /api/v1/write`: the analyzer as one more receiver of Prometheus' remote write 1.0.

Off unless `analyzer.remote_write` is set. Who may write: anybody on this machine where only this machine is listened
to, else who shows the bearer token of `analyzer.remote_write_token_file`. Version 2.0 is refused with 415, upon which a
Prometheus that may do so falls back to 1.0. What a retry could mend is answered with 503 and Retry-After, what it could
not with 400 and the reason.
https://prometheus.io/docs/specs/prw/remote_write_spec/
"""

from __future__ import annotations

import hmac
from pathlib import Path
from typing import TYPE_CHECKING, Final

from aiohttp import web

from warpgauge.analyzer.sources import SourceStatus
from warpgauge.core.errors import ConfigError, InputError
from warpgauge.web import ListenAddress

if TYPE_CHECKING:
    from collections.abc import Awaitable, Callable

    from warpgauge.core.clock import Clock
    from warpgauge.core.config import AnalyzerConfig

__all__ = ["PATH", "RemoteWriteReceiver"]

PATH: Final = "/api/v1/write"
MOST_BODY_BYTES: Final = 16 << 20
MOST_MESSAGE_BYTES: Final = 64 << 20
MOST_AT_ONCE: Final = 64  # requests
MOST_WAITING_BYTES: Final = 256 << 20
RETRY_SECONDS: Final = 5
_LEAST_TOKEN: Final = 16  # characters
_MOST_TOKEN_BYTES: Final = 4096


class RemoteWriteReceiver:
    """Checks requests and hands their messages to `write`, which raises InputError for a malformed one."""

    def __init__(self, config: AnalyzerConfig, write: Callable[[bytes], Awaitable[int]], clock: Clock) -> None:
        """Check that writing to us can be allowed.

        Raises:
            ConfigError: others can reach us and there is no token, the token's file is unfit, or cramjam is missing.

        """
        from warpgauge.analyzer.sources.snappy import decompressed  # noqa: PLC0415 - an extra brings it

        self._decompressed = decompressed
        self._write = write
        self._clock = clock
        self._token_file = Path(config.remote_write_token_file) if config.remote_write_token_file else None
        if self._token_file is not None:
            _token(self._token_file)
        elif not ListenAddress.parse(config.listen_address).is_loopback:
            msg = (
                "analyzer.remote_write takes what anybody writes who reaches the port: set"
                " analyzer.remote_write_token_file, or listen on 127.0.0.1 only"
            )
            raise ConfigError(msg)
        self._requests, self._bytes = 0, 0
        self._status = SourceStatus(name="remote_write", target=PATH, up=False)

    def statuses(self) -> list[SourceStatus]:
        """Whether anybody writes; up once the first message was good."""
        return [self._status]

    async def handler(self, request: web.Request) -> web.Response:
        """Answer one message: 204, or why not."""
        self._authorize(request)
        _check_headers(request)
        if self._requests >= MOST_AT_ONCE or self._bytes >= MOST_WAITING_BYTES:
            raise _busy()
        self._requests += 1
        body, size = b"", 0
        try:
            body = await _body(request)
            message = self._message(body)
            size = len(message)
            self._bytes += size
            await self._write(message)
        except InputError as error:
            self._note(str(error))
            raise web.HTTPBadRequest(text=str(error)) from error
        finally:
            self._requests -= 1
            self._bytes -= size
        self._note(None)
        return web.Response(status=204)

    def _message(self, body: bytes) -> bytes:
        return self._decompressed(body, MOST_MESSAGE_BYTES)

    def knows(self, request: web.Request) -> bool:
        """Whether a request shows the writers' token."""
        if self._token_file is None:
            return False
        kind, _, shown = request.headers.get("Authorization", "").partition(" ")
        is_right = hmac.compare_digest(
            shown.strip().encode(errors="surrogateescape"), _token(self._token_file).encode()
        )
        return kind.lower() == "bearer" and is_right

    def _authorize(self, request: web.Request) -> None:
        if self._token_file is not None and not self.knows(request):
            raise web.HTTPUnauthorized(text="show the bearer token", headers={"WWW-Authenticate": "Bearer"})

    def _note(self, error: str | None) -> None:
        heard = self._status.last_success if error else self._clock.now()
        self._status = SourceStatus(name="remote_write", target=PATH, up=error is None, last_success=heard, error=error)


def _check_headers(request: web.Request) -> None:
    if request.headers.get("Content-Encoding", "").lower() != "snappy":
        raise web.HTTPUnsupportedMediaType(text="Content-Encoding must be snappy")
    media, *parameters = (part.strip() for part in request.headers.get("Content-Type", "").split(";"))
    version = request.headers.get("X-Prometheus-Remote-Write-Version", "")
    if media.lower() != "application/x-protobuf" or version.startswith("2."):
        raise web.HTTPUnsupportedMediaType(text="only remote write 1.0 is taken: Content-Type: application/x-protobuf")
    messages = {part.partition("=")[2].strip('"') for part in parameters if part.lower().startswith("proto=")}
    if not messages <= {"prometheus.WriteRequest"}:
        raise web.HTTPUnsupportedMediaType(text="only remote write 1.0 is taken: proto=prometheus.WriteRequest")


async def _body(request: web.Request) -> bytes:
    """The body, bounded; larger than the server's own limit, which is meant for people."""
    parts, size = [], 0
    async for part in request.content.iter_chunked(1 << 16):
        size += len(part)
        if size > MOST_BODY_BYTES:
            raise web.HTTPRequestEntityTooLarge(max_size=MOST_BODY_BYTES, actual_size=size)
        parts.append(part)
    return b"".join(parts)


def _busy() -> web.HTTPServiceUnavailable:
    return web.HTTPServiceUnavailable(text="too much at once; try again", headers={"Retry-After": str(RETRY_SECONDS)})


def _token(path: Path) -> str:
    """The token as its file is now.

    Raises:
        ConfigError: it cannot be read, or is no token that is hard to guess.

    """
    try:
        with path.open("rb") as file:
            token = file.read(_MOST_TOKEN_BYTES).decode().strip()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is not UTF-8'}"
        raise ConfigError(msg) from error
    if len(token) < _LEAST_TOKEN or len(token.split()) != 1:
        msg = f"{path} must hold one token of at least {_LEAST_TOKEN} characters"
        raise ConfigError(msg)
    return token
