"""HTTP from a thread that may wait: one request, no redirects, a bounded answer; what the status means for a sender."""

from __future__ import annotations

import http.client
import re
import ssl
import urllib.error
import urllib.request
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Final

from warpgauge.core.client_tls import handshake_words
from warpgauge.core.lane import RefusedError, TryLaterError

if TYPE_CHECKING:
    from collections.abc import Mapping

__all__ = ["Answer", "HttpClient", "NoTlsError", "check_taken", "wait_seconds"]

_MOST_BYTES: Final = 16 * 2**20
_LONGEST_WAIT_SECONDS: Final = 3600.0  # that a receiver may ask for
_ALREADY_HAD_IT: Final = 409
_OVERLOADED: Final = frozenset({408, 425, 429})
_SERVER_ERROR: Final = 500
_WORDS: Final = 200  # of an answer that go into a message


class NoTlsError(TryLaterError):
    """Somebody listens there, and no TLS came about."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What came back."""

    status: int
    body: bytes
    retry_after: str = ""

    @property
    def is_ok(self) -> bool:
        """Whether the status is 2xx."""
        return self.status // 100 == 2  # noqa: PLR2004 - the class of success


class _NoRedirect(urllib.request.HTTPRedirectHandler):
    """A redirect would carry our secrets and documents to a place that nobody configured."""

    def redirect_request(self, *_: object) -> None:
        """Follow none; the answer is the redirect itself."""


class HttpClient:
    """Requests with one TLS context and one timeout; http and https only."""

    def __init__(self, *, context: ssl.SSLContext | None = None, timeout_seconds: float = 10.0) -> None:
        self._timeout_seconds = timeout_seconds
        handlers = [_NoRedirect(), urllib.request.ProxyHandler({})]
        handlers += [urllib.request.HTTPSHandler(context=context)] if context else []
        self._opener = urllib.request.build_opener(*handlers)

    def request(self, method: str, url: str, *, body: bytes | None = None, headers: Mapping[str, str]) -> Answer:
        """Send and read the whole answer, whatever its status.

        Raises:
            TryLaterError: no answer came, or one that is too long; a NoTlsError says that the handshake failed.

        """
        request = urllib.request.Request(url, data=body, headers=dict(headers), method=method)  # noqa: S310 - settings allow http and https only
        try:
            with self._opener.open(request, timeout=self._timeout_seconds) as response:
                return _answer(response.status, response)
        except urllib.error.HTTPError as error:
            with error:
                return _answer(error.code, error)
        except (OSError, http.client.HTTPException) as error:
            reason = getattr(error, "reason", error)  # urllib wraps what the system said
            if isinstance(reason, ssl.SSLError):
                why = f"{url}: {handshake_words(reason)}"
                raise NoTlsError(why) from error
            why = f"{url}: {getattr(reason, 'strerror', None) or reason}"
            raise TryLaterError(why) from error


def _answer(status: int, response: http.client.HTTPResponse | urllib.error.HTTPError) -> Answer:
    body = response.read(_MOST_BYTES + 1)
    if len(body) > _MOST_BYTES:
        why = f"the answer is longer than {_MOST_BYTES} bytes"
        raise TryLaterError(why)
    return Answer(status, body, response.headers.get("Retry-After") or "")


def check_taken(answer: Answer, *, now: float) -> None:
    """Return if a receiver has the document now: 2xx, or 409 for one that it had already.

    Raises:
        TryLaterError: 408, 425, 429 and 5xx, with the wait that Retry-After asks for, and a redirect.
        RefusedError: any other 4xx.

    """
    if answer.is_ok or answer.status == _ALREADY_HAD_IT:
        return
    why = f"HTTP {answer.status} {answer.body[:_WORDS].decode(errors='replace').strip()}".strip()
    if answer.status in _OVERLOADED or answer.status >= _SERVER_ERROR or answer.status < 400:  # noqa: PLR2004 - 4xx begins
        raise TryLaterError(why, wait_seconds(answer.retry_after, now))
    raise RefusedError(why)


def wait_seconds(text: str, now: float) -> float | None:
    """What Retry-After asks for (RFC 9110, 10.2.3: seconds or a date), at most an hour; None if it says nothing."""
    if re.fullmatch(r"[0-9]{1,9}", text):
        return min(float(text), _LONGEST_WAIT_SECONDS)
    try:
        return min(max(0.0, parsedate_to_datetime(text).timestamp() - now), _LONGEST_WAIT_SECONDS)
    except (ValueError, TypeError, OverflowError):
        return None
