"""How an OTLP request travels: over HTTP (https://opentelemetry.io/docs/specs/otlp/#otlphttp), or over gRPC.

What waits in a queue is the request as protobuf has it, compressed if the settings said so when it was written: it can
be sent either way, whatever the settings say when its turn comes.
"""

from __future__ import annotations

import gzip
from typing import TYPE_CHECKING, Final, Protocol, TypeAlias

from warpgauge.exporters.push.http import Poster, headers_of_file, headers_of_variable, judged
from warpgauge.exporters.push.sink import Acked, Retry

if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

    from warpgauge.core.config import OtlpReceiverConfig
    from warpgauge.exporters.push.sink import Outcome

__all__ = ["Refusals", "Transport", "plain", "stored", "transport_of"]

_VARIABLE: Final = "OTEL_EXPORTER_OTLP_HEADERS"
_TYPE: Final = {"Content-Type": "application/x-protobuf"}
_GZIP_MAGIC: Final = b"\x1f\x8b"  # no message of ours begins so: what waited keeps its form when the setting changes

Refusals: TypeAlias = "Callable[[bytes], tuple[int, str]]"
"""Reads an answer of success: how many records were not kept, and why; ValueError if it is no such answer."""


class Transport(Protocol):
    """The way to one receiver."""

    @property
    def target(self) -> str:
        """The receiver as the settings name it."""

    def send(self, body: bytes) -> Outcome:
        """Send a stored request and wait for the answer."""

    def close(self) -> None:
        """Let go of connections."""


def transport_of(
    settings: OtlpReceiverConfig, environ: Mapping[str, str], method: str, refusals: Refusals
) -> Transport:
    """What the settings ask for; `method` is the gRPC method that takes such requests.

    Raises:
        ConfigError: a setting or a file that it names is unfit.
        ModuleNotFoundError: gRPC's library is not installed.

    """
    headers = headers_of_file(settings.headers_file)
    if not settings.headers_file:
        headers = headers_of_variable(environ.get(_VARIABLE, ""), _VARIABLE)
    if settings.protocol == "grpc":
        from warpgauge.exporters.push.otlp_grpc import GrpcTransport  # noqa: PLC0415 - needs an extra

        return GrpcTransport(settings, headers, method, refusals)
    return _HttpTransport(settings, headers, refusals)


def stored(request: bytes, settings: OtlpReceiverConfig) -> bytes:
    """A request as it waits in the queue."""
    return gzip.compress(request, compresslevel=1, mtime=0) if settings.compression == "gzip" else request


def plain(body: bytes) -> bytes:
    """The request that waited.

    Raises:
        ValueError: it is damaged.

    """
    try:
        return gzip.decompress(body) if body.startswith(_GZIP_MAGIC) else body
    except (OSError, EOFError) as error:
        raise ValueError(str(error)) from error


class _HttpTransport:
    def __init__(self, settings: OtlpReceiverConfig, headers: Mapping[str, str], refusals: Refusals) -> None:
        self._poster = Poster(settings, headers)
        self._refusals = refusals

    @property
    def target(self) -> str:
        return self._poster.url

    def send(self, body: bytes) -> Outcome:
        """Post one request: 200 is the acknowledgement, and says how many records were refused."""
        encoding = {"Content-Encoding": "gzip"} if body.startswith(_GZIP_MAGIC) else {}
        answer = self._poster.post(body, _TYPE | encoding)
        if isinstance(answer, Retry):
            return answer
        if not answer.is_ok:
            return judged(answer)
        try:
            return Acked(*self._refusals(answer.body))
        except ValueError as error:
            return Retry(f"HTTP {answer.status} with an answer that is not OTLP's: {error}")

    def close(self) -> None:
        """Nothing is kept open."""
