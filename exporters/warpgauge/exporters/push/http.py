"""HTTP to a receiver of ours: who we are, whom we trust, and what an answer means for a batch."""

from __future__ import annotations

import re
from pathlib import Path
from time import time
from typing import TYPE_CHECKING, Final
from urllib.parse import unquote, urlsplit

from warpgauge.core.client_tls import client_context
from warpgauge.core.errors import ConfigError
from warpgauge.core.lane import TryLaterError
from warpgauge.core.posting import HttpClient, wait_seconds
from warpgauge.core.version import VERSION
from warpgauge.exporters.push.sink import Dead, Retry

if TYPE_CHECKING:
    import ssl
    from collections.abc import Mapping

    from warpgauge.core.config import OtlpReceiverConfig, RemoteWriteConfig
    from warpgauge.core.posting import Answer

__all__ = [
    "Poster",
    "check_url",
    "headers_of_file",
    "headers_of_variable",
    "judged",
    "printable",
    "tls_context",
    "words_of",
]

_MOST_HEADER_BYTES: Final = 65536
_HEADER: Final = re.compile(r"([!#$%&'*+.^_`|~0-9A-Za-z-]+)[ \t]*:[ \t]*([\x20-\x7e]*?)[ \t]*")
_WORDS: Final = 200  # of an answer that go into a message
# The receiver's door, not the batch: wrong credentials, or a path that its settings do not open yet. Whoever mends the
# door wants the batches that waited before it; the queue's age cap is the end of the wait.
_DOOR: Final = frozenset({401, 403, 404, 407})
_LATER: Final = frozenset({408, 425, 429})
_REFUSAL, _SERVER_ERROR, _UNAVAILABLE = 400, 500, 503


class Poster:
    """Posts bodies to one URL with the headers and certificates of the settings."""

    def __init__(self, settings: RemoteWriteConfig | OtlpReceiverConfig, headers: Mapping[str, str]) -> None:
        """`headers` come from the user, see `headers_of_file`.

        Raises:
            ConfigError: the URL holds a password, or a file of certificates cannot be used.

        """
        check_url(settings.url)
        self.url = settings.url
        self._headers = {"User-Agent": f"warpgauge/{VERSION}", **headers}
        self._client = HttpClient(context=tls_context(settings), timeout_seconds=settings.timeout_seconds)

    def post(self, body: bytes, headers: Mapping[str, str]) -> Answer | Retry:
        """The answer, whatever its status; or that there was none."""
        try:
            return self._client.request("POST", self.url, body=body, headers={**self._headers, **headers})
        except TryLaterError as error:
            return Retry(str(error))


def check_url(url: str) -> None:
    """Return if the URL may be shown.

    Raises:
        ConfigError: it holds a password.

    """
    if urlsplit(url).username is not None:
        msg = "a url of a sink must hold no user and password: it is shown in messages; use headers_file"
        raise ConfigError(msg)


def judged(answer: Answer) -> Retry | Dead:
    """What an answer that is no success means for the batch."""
    reason = f"HTTP {answer.status} {words_of(answer)}".strip()
    is_server_fault = answer.status >= _SERVER_ERROR
    if is_server_fault or answer.status in _LATER:
        is_suspect = is_server_fault and answer.status != _UNAVAILABLE
        return Retry(reason, wait_seconds(answer.retry_after, time()), is_suspect=is_suspect)
    if answer.status in _DOOR or answer.status < _REFUSAL:
        return Retry(reason)
    return Dead(reason)


def words_of(answer: Answer) -> str:
    """What the receiver says, as one short printable line."""
    return printable(answer.body[: 4 * _WORDS].decode(errors="replace"))


def printable(text: str) -> str:
    """Somebody else's words as one short line."""
    return " ".join("".join(c if c.isprintable() else " " for c in text[: 4 * _WORDS]).split())[:_WORDS]


def headers_of_file(path: str) -> dict[str, str]:
    """Headers from a file with one `Name: value` per line; none without a file.

    Raises:
        ConfigError: it cannot be read or a line is malformed; the message shows no value, it may be a secret.

    """
    if not path:
        return {}
    try:
        with Path(path).expanduser().open("rb") as file:
            text = file.read(_MOST_HEADER_BYTES).decode()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cannot read the headers file {path}: {getattr(error, 'strerror', None) or 'it is not UTF-8'}"
        raise ConfigError(msg) from error
    headers = {}
    for number, line in enumerate(text.splitlines(), 1):
        if not line.strip():
            continue
        found = _HEADER.fullmatch(line)
        if found is None:
            msg = f"{path}:{number}: must be of the form Name: value"
            raise ConfigError(msg)
        headers[found[1]] = found[2]
    return headers


def headers_of_variable(text: str, name: str) -> dict[str, str]:
    """Headers from `key1=value1,key2=value2` with percent-encoded values, as OpenTelemetry's variables have them.

    https://opentelemetry.io/docs/specs/otel/protocol/exporter/#specifying-headers-via-environment-variables

    Raises:
        ConfigError: a pair is malformed.

    """
    headers = {}
    for number, pair in enumerate(filter(None, (part.strip() for part in text.split(","))), 1):
        key, equals, value = pair.partition("=")
        found = _HEADER.fullmatch(f"{key.strip()}:{unquote(value.strip())}") if equals else None
        if found is None:
            msg = f"{name}: header {number} must be of the form key=value"
            raise ConfigError(msg)
        headers[found[1]] = found[2]
    return headers


def tls_context(settings: RemoteWriteConfig | OtlpReceiverConfig) -> ssl.SSLContext:
    """Whom we trust and the certificate that we show.

    Raises:
        ConfigError: a file of certificates cannot be used.

    """
    return client_context(settings.ca_file, settings.client_cert, settings.client_key, of=settings.url)
