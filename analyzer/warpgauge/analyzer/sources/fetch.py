"""One bounded GET: what every source over HTTP is made of."""

from __future__ import annotations

import asyncio
import json
import os
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Final

import aiohttp

from warpgauge.core.client_tls import handshake_words
from warpgauge.core.errors import SourceError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

__all__ = ["Answer", "get", "json_of", "new_session"]

_SHOWN_CHARACTERS: Final = 200
_CHUNK_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True)
class Answer:
    """A whole answer with a status below 400."""

    content_type: str
    body: bytes


def new_session() -> aiohttp.ClientSession:
    """A session that follows no proxies from the environment and keeps no cookies.

    How many requests wait at once is their source's business: waiting for a full pool would count against its patience.
    """
    connector = aiohttp.TCPConnector(limit=0)
    return aiohttp.ClientSession(connector=connector, cookie_jar=aiohttp.DummyCookieJar(), auto_decompress=True)


async def get(  # noqa: PLR0913 - the knobs of a request
    session: aiohttp.ClientSession,
    url: str,
    *,
    limit_bytes: int,
    timeout_seconds: float,
    params: Mapping[str, str] | None = None,
    headers: Mapping[str, str] | None = None,
    tls: ssl.SSLContext | bool = True,
    keep_errors: bool = False,
) -> Answer:
    """GET a URL without following redirects; the body is bounded after decompression.

    With `keep_errors` the body of a status 4xx or 5xx is handed back when it is JSON (an API's own words).

    Raises:
        SourceError: refused, timed out, another status than 2xx, or too large; names the URL.

    """
    timeout = aiohttp.ClientTimeout(total=timeout_seconds)
    try:
        async with session.get(
            url, params=params, headers=headers, timeout=timeout, allow_redirects=False, ssl=tls
        ) as response:
            is_json = response.content_type == "application/json"
            if response.status // 100 != 2 and not (keep_errors and is_json):  # noqa: PLR2004 - 2xx
                raise SourceError(_refusal(url, response.status))
            return Answer(response.headers.get("Content-Type", ""), await _body(response, url, limit_bytes))
    except TimeoutError as error:
        msg = f"{url} did not answer within {timeout_seconds:g} s"
        raise SourceError(msg) from error
    except aiohttp.InvalidURL as error:
        msg = f"{url} is not a URL"
        raise SourceError(msg) from error
    except (aiohttp.ClientError, OSError, asyncio.IncompleteReadError, ValueError) as error:
        raise SourceError(_complaint(url, error)) from error


async def _body(response: aiohttp.ClientResponse, url: str, limit_bytes: int) -> bytes:
    parts = []
    size = 0
    async for chunk in response.content.iter_chunked(_CHUNK_BYTES):
        size += len(chunk)
        if size > limit_bytes:
            msg = f"{url} answers with more than {limit_bytes:,} bytes; refused"
            raise SourceError(msg)
        parts.append(chunk)
    return b"".join(parts)


def json_of(answer: Answer, url: str) -> Any:  # noqa: ANN401 - foreign JSON, checked by the caller
    """The JSON document of an answer.

    Raises:
        SourceError: it is none.

    """
    try:
        return json.loads(answer.body)
    except (ValueError, RecursionError) as error:
        start = answer.body[:_SHOWN_CHARACTERS].decode(errors="replace")
        msg = f"{url} does not answer with JSON but with {start!r}"
        raise SourceError(msg) from error


def _refusal(url: str, status: int) -> str:
    words = {
        301: "moved; give its new URL",
        302: "redirects; give the URL it leads to (a login page?)",
        401: "wants credentials (401); pass --bearer-token-file, --basic-auth-file or --client-cert",
        403: "forbids it (403); the credentials do not suffice",
        404: "is not there (404); check the path",
    }
    return f"{url} {words.get(status, f'answers with status {status}')}"


def _complaint(url: str, error: Exception) -> str:
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"cannot reach {url}: {handshake_words(error.certificate_error)}"
    if isinstance(error, aiohttp.ClientConnectorSSLError):
        return f"cannot reach {url}: {handshake_words(error.os_error)}"
    if isinstance(error, aiohttp.ServerDisconnectedError) and url.startswith("http://"):
        return f"{url} broke off: {error}; does it want https://?"
    if isinstance(error, aiohttp.ClientConnectorError):
        number = error.os_error.errno
        why = os.strerror(number) if number is not None and number > 0 else error.os_error.strerror
        return f"cannot reach {url}: {why or error.os_error}; is it running?"
    return f"{url} broke off: {error or type(error).__name__}"
