"""OTLP over gRPC: one call per batch, and what its status means for the batch.

Specification: https://opentelemetry.io/docs/specs/otlp/#otlpgrpc. It calls RESOURCE_EXHAUSTED without RetryInfo final;
receivers also say it when their memory is short, so here it is the batch only if the batch behind it is taken.
"""

from __future__ import annotations

import re
import ssl
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import urlsplit

from warpgauge.core.errors import ConfigError
from warpgauge.core.version import VERSION
from warpgauge.exporters.push.http import check_url, printable, tls_context
from warpgauge.exporters.push.otlp_exchange import plain
from warpgauge.exporters.push.sink import Acked, Dead, Retry

try:
    import grpc
    from google.protobuf.message import DecodeError
    from google.rpc.error_details_pb2 import RetryInfo
    from google.rpc.status_pb2 import Status
except ModuleNotFoundError as error:
    message = "Pushing OTLP over gRPC needs grpcio: pip install '.[grpc]'"
    raise ModuleNotFoundError(message, name=error.name) from error

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping

    from warpgauge.core.config import OtlpReceiverConfig
    from warpgauge.exporters.push.otlp_exchange import Refusals
    from warpgauge.exporters.push.sink import Outcome

__all__ = ["GrpcTransport"]

_DEFAULT_PORT: Final = 4317
_LONGEST_WAIT_SECONDS: Final = 3600.0  # that a receiver may ask for
_MOST_ANSWER_BYTES: Final = 1 << 20
_DETAILS: Final = "grpc-status-details-bin"
_NAME: Final = re.compile(r"[0-9a-z_.-]+")
_DEAD: Final = frozenset(
    {grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.ALREADY_EXISTS, grpc.StatusCode.FAILED_PRECONDITION}
)
_SUSPECT: Final = frozenset({grpc.StatusCode.INTERNAL, grpc.StatusCode.UNKNOWN, grpc.StatusCode.DATA_LOSS})
_LINK: Final = frozenset({grpc.StatusCode.UNAVAILABLE, grpc.StatusCode.DEADLINE_EXCEEDED})
_OPTIONS: Final = (
    ("grpc.enable_http_proxy", 0),
    ("grpc.enable_retries", 0),  # the queue repeats
    ("grpc.use_local_subchannel_pool", 1),  # a new channel tries at once, whatever failed before
    ("grpc.service_config_disable_resolution", 1),
    ("grpc.max_receive_message_length", _MOST_ANSWER_BYTES),
    ("grpc.primary_user_agent", f"warpgauge/{VERSION}"),
)


class GrpcTransport:
    """Calls one method of one receiver. A link that fails is made anew, with the certificates as they are then."""

    def __init__(
        self, settings: OtlpReceiverConfig, headers: Mapping[str, str], method: str, refusals: Refusals
    ) -> None:
        """`headers` become metadata.

        Raises:
            ConfigError: the URL is not one of gRPC's, a header cannot be metadata, or certificates cannot be used.

        """
        self.target = settings.url
        self._address, self._is_secure = _address_of(settings.url)
        self._settings = settings
        self._metadata = tuple(_metadata(headers))
        self._method = method
        self._refusals = refusals
        self._channel: Any = None
        self._call: Any = None
        if self._is_secure:
            _credentials(settings)

    def send(self, body: bytes) -> Outcome:
        """Call with one request: OK is the acknowledgement, and says how many records were refused."""
        try:
            request = plain(body)
        except ValueError as error:
            return Dead(f"damaged in the queue: {error}")
        try:
            answer = self._ready()(request, timeout=self._settings.timeout_seconds, metadata=self._metadata)
        except grpc.RpcError as error:
            if error.code() in _LINK:
                self.close()
            return _judged(error)
        except ConfigError as error:
            return Retry(str(error))
        try:
            return Acked(*self._refusals(answer))
        except ValueError as error:
            return Retry(f"OK with an answer that is not OTLP's: {error}")

    def close(self) -> None:
        """Hang up."""
        if self._channel is not None:
            self._channel.close()
        self._channel = self._call = None

    def _ready(self) -> Any:  # noqa: ANN401 - grpcio has no types
        if self._call is None:
            how = grpc.Compression.Gzip if self._settings.compression == "gzip" else grpc.Compression.NoCompression
            if self._is_secure:
                credentials = _credentials(self._settings)
                self._channel = grpc.secure_channel(self._address, credentials, options=_OPTIONS, compression=how)
            else:
                self._channel = grpc.insecure_channel(self._address, options=_OPTIONS, compression=how)
            self._call = self._channel.unary_unary(self._method)  # bytes in, bytes out
        return self._call


def _judged(error: Any) -> Retry | Dead:  # noqa: ANN401 - grpcio has no types
    """What a status that is not OK means for the batch."""
    code = error.code()
    reason = f"gRPC {code.name} {printable(error.details() or '')}".strip()
    if code in _DEAD:
        return Dead(reason)
    seconds = _asked_seconds(error.trailing_metadata() or ())
    is_full = code is grpc.StatusCode.RESOURCE_EXHAUSTED and seconds is None
    return Retry(reason, seconds, is_suspect=is_full or code in _SUSPECT)


def _asked_seconds(trailing: Iterable[tuple[str, str | bytes]]) -> float | None:
    """How long the receiver asks to wait (google.rpc.RetryInfo), at most an hour; None if it says nothing."""
    details = next((value for name, value in trailing if name == _DETAILS), b"")
    try:
        status = Status.FromString(details) if isinstance(details, bytes) else Status()
        for detail in status.details:
            info = RetryInfo()
            if detail.Unpack(info):
                delay = info.retry_delay
                return min(max(0.0, float(delay.seconds + delay.nanos / 1e9)), _LONGEST_WAIT_SECONDS)
    except DecodeError:
        return None
    return None


def _address_of(url: str) -> tuple[str, bool]:
    """HOST:PORT, and whether TLS is spoken there."""
    check_url(url)
    parts = urlsplit(url)
    try:
        port = parts.port or _DEFAULT_PORT
    except ValueError as error:
        msg = f"{url}: {error}"
        raise ConfigError(msg) from error
    if not parts.hostname or parts.path not in {"", "/"} or parts.query:
        msg = f"over gRPC the url must be http://HOST:PORT or https://HOST:PORT and no path, got {url!r}"
        raise ConfigError(msg)
    host = f"[{parts.hostname}]" if ":" in parts.hostname else parts.hostname
    return f"{host}:{port}", parts.scheme == "https"


def _metadata(headers: Mapping[str, str]) -> Iterable[tuple[str, str]]:
    for name, value in headers.items():
        key = name.lower()
        if not _NAME.fullmatch(key) or key.startswith("grpc-") or key.endswith("-bin"):
            msg = f"the header {name} cannot be sent over gRPC"
            raise ConfigError(msg)
        yield key, value


def _credentials(settings: OtlpReceiverConfig) -> Any:  # noqa: ANN401 - grpcio has no types
    tls_context(settings)  # says what is wrong with a file; gRPC would only fail to connect
    try:
        key, certificate = None, None
        if settings.client_cert:
            certificate = Path(settings.client_cert).read_bytes()
            key = Path(settings.client_key or settings.client_cert).read_bytes()
        authorities = Path(settings.ca_file).read_bytes() if settings.ca_file else _authorities_of_the_system()
    except OSError as error:
        msg = f"cannot use the TLS files: {error}"
        raise ConfigError(msg) from error
    return grpc.ssl_channel_credentials(authorities, key, certificate)


def _authorities_of_the_system() -> bytes | None:
    """As OpenSSL finds them, in a file or as the bundle of a folder; None leaves it to the list that grpcio brings."""
    paths = ssl.get_default_verify_paths()
    bundles = [Path(paths.cafile)] if paths.cafile else []
    bundles += [Path(paths.capath) / "ca-certificates.crt"] if paths.capath else []
    found = next((bundle for bundle in bundles if bundle.is_file()), None)
    return found.read_bytes() if found else None
