"""How an OTLP request travels: over HTTP (https://opentelemetry.io/docs/specs/otlp/#otlphttp), or over gRPC."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final, Protocol

from warpgauge.exporters.push.http import Poster, headers_of_file, headers_of_variable, judged
from warpgauge.exporters.push.otlp_exchange import is_packed
from warpgauge.exporters.push.sink import Acked, Retry

if TYPE_CHECKING:
    from collections.abc import Mapping

    from warpgauge.core.config import OtlpReceiverConfig
    from warpgauge.exporters.push.otlp_exchange import Refusals
    from warpgauge.exporters.push.sink import Outcome

__all__ = ["Transport", "transport_of"]

_VARIABLE: Final = "OTEL_EXPORTER_OTLP_HEADERS"
_TYPE: Final = {"Content-Type": "application/x-protobuf"}


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


class _HttpTransport:
    def __init__(self, settings: OtlpReceiverConfig, headers: Mapping[str, str], refusals: Refusals) -> None:
        self._poster = Poster(settings, headers)
        self._refusals = refusals

    @property
    def target(self) -> str:
        return self._poster.url

    def send(self, body: bytes) -> Outcome:
        """Post one request: 200 is the acknowledgement, and says how many records were refused."""
        encoding = {"Content-Encoding": "gzip"} if is_packed(body) else {}
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
