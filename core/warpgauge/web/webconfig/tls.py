"""TLS of a server as a web-config describes it, through Python's ssl."""

from __future__ import annotations

import ssl
import warnings
from contextlib import ExitStack
from typing import TYPE_CHECKING, Any, Final, Self

from warpgauge.core.errors import ConfigError
from warpgauge.core.unnamed_file import unnamed_file
from warpgauge.web.webconfig.ciphers import OPENSSL_NAMES

if TYPE_CHECKING:
    from collections.abc import Callable
    from pathlib import Path

    from warpgauge.web.webconfig.schema import TlsServer

__all__ = ["ReloadingContext", "server_context"]

_VERSIONS: Final = {
    "TLS10": ssl.TLSVersion.TLSv1,
    "TLS11": ssl.TLSVersion.TLSv1_1,
    "TLS12": ssl.TLSVersion.TLSv1_2,
    "TLS13": ssl.TLSVersion.TLSv1_3,
}
_VERIFY: Final = {
    "NoClientCert": ssl.CERT_NONE,
    "VerifyClientCertIfGiven": ssl.CERT_OPTIONAL,
    "RequireAndVerifyClientCert": ssl.CERT_REQUIRED,
}
_CURVES: Final = {"CurveP256": "prime256v1", "CurveP384": "secp384r1", "CurveP521": "secp521r1", "X25519": "X25519"}


class ReloadingContext(ssl.SSLContext):
    """Hands each new connection the context of that moment, so that exchanged certificates need no restart."""

    _current: Callable[[], ssl.SSLContext]

    def __new__(cls, current: Callable[[], ssl.SSLContext]) -> Self:
        """`current` gives the context in force; what it raises ends the handshake."""
        made = super().__new__(cls, ssl.PROTOCOL_TLS_SERVER)
        made._current = current
        return made

    def wrap_bio(self, *args: Any, **kwargs: Any) -> ssl.SSLObject:  # noqa: ANN401 - ssl's own signature, handed on
        """What asyncio calls for each connection."""
        return self._current().wrap_bio(*args, **kwargs)


def server_context(tls: TlsServer) -> ssl.SSLContext:
    """The context of these settings.

    Raises:
        ConfigError: a file cannot be read or holds something else, or certificate and key do not belong together.

    """
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", DeprecationWarning)  # of TLS 1.0 and 1.1, where the site asks for them
        context.minimum_version, context.maximum_version = _VERSIONS[tls.min_version], _VERSIONS[tls.max_version]
    if context.minimum_version > context.maximum_version:
        msg = f"tls_server_config.min_version {tls.min_version} is above max_version {tls.max_version}"
        raise ConfigError(msg)
    _show(context, tls)
    _verify(context, tls)
    _choose(context, tls)
    return context


def _show(context: ssl.SSLContext, tls: TlsServer) -> None:
    """Certificate and key. Python reads them from files only, so inline ones pass through memory that only we see."""

    def no_password() -> str:
        msg = "the key is encrypted; give one that is not"
        raise ConfigError(msg)

    with ExitStack() as files:
        certificate = tls.cert_file or _in_memory(files, tls.cert)
        key = tls.key_file or _in_memory(files, tls.key)
        try:
            context.load_cert_chain(certificate, key, password=no_password)
        except (OSError, ssl.SSLError) as error:
            shown = f"{tls.cert_file or 'cert'} with {tls.key_file or 'key'}"
            raise ConfigError(_unusable(shown, "as certificate and key", error)) from error


def _verify(context: ssl.SSLContext, tls: TlsServer) -> None:
    context.verify_mode = _VERIFY[tls.client_auth]
    if context.verify_mode == ssl.CERT_NONE:
        return
    try:
        if tls.client_ca:
            context.load_verify_locations(cadata=tls.client_ca)
        elif tls.client_ca_file:
            context.load_verify_locations(tls.client_ca_file)
        else:
            context.load_default_certs(ssl.Purpose.CLIENT_AUTH)
    except (OSError, ssl.SSLError) as error:
        raise ConfigError(_unusable(tls.client_ca_file or "client_ca", "as authorities", error)) from error


def _choose(context: ssl.SSLContext, tls: TlsServer) -> None:
    if suites := [OPENSSL_NAMES[name] for name in tls.cipher_suites if name in OPENSSL_NAMES]:
        try:
            context.set_ciphers(":".join(suites))
        except ssl.SSLError as error:
            msg = f"tls_server_config.cipher_suites: this machine's OpenSSL has none of {', '.join(tls.cipher_suites)}"
            raise ConfigError(msg) from error
    if tls.prefer_server_ciphers:
        context.options |= ssl.OP_CIPHER_SERVER_PREFERENCE
    if len(tls.curves) == 1:
        context.set_ecdh_curve(_CURVES[tls.curves[0]])
    elif tls.curves and set(tls.curves) != set(_CURVES):
        msg = (
            "tls_server_config.curve_preferences: Python's TLS can be held to one curve, not to some; name one, or "
            "leave the key away for all of them"
        )
        raise ConfigError(msg)


def _in_memory(files: ExitStack, text: str) -> str:
    """Path of an unnamed file that holds the text, readable while `files` is open and by this process alone."""
    file = files.enter_context(unnamed_file())
    file.write(text.encode())
    file.flush()
    return f"/proc/self/fd/{file.fileno()}"


def _unusable(what: Path | str, use: str, error: OSError) -> str:
    return f"cannot use {what} {use}: {_reason(error)}"


def _reason(error: OSError) -> str:
    if isinstance(error, ssl.SSLError):
        return (error.reason or "it is not PEM").replace("_", " ").lower()
    return error.strerror or str(error)
