"""TLS as a client: whose servers are trusted, and the certificate that we show."""

from __future__ import annotations

import ssl
from typing import TYPE_CHECKING, Final

from warpgauge.core.errors import ConfigError

if TYPE_CHECKING:
    from pathlib import Path

__all__ = ["client_context", "handshake_words"]

# As OpenSSL 1.1 to 3.x say it.
_NOT_TLS: Final = {"WRONG_VERSION_NUMBER", "RECORD_LAYER_FAILURE", "HTTP_REQUEST", "UNKNOWN_PROTOCOL"}
_OTHER_NAME: Final = {62, 64}  # X509_V_ERR_HOSTNAME_MISMATCH, X509_V_ERR_IP_ADDRESS_MISMATCH


def client_context(
    ca_file: Path | str = "", certificate: Path | str = "", key: Path | str = "", *, of: str = ""
) -> ssl.SSLContext:
    """Trust the system's authorities, or those of a file instead; empty is none. A certificate's file may hold its key.

    Raises:
        ConfigError: a file cannot be read or holds something else, a key is encrypted or comes without its
            certificate; the message names the file after `of`, the section or flag that names it.

    """
    place = f"{of}: " if of else ""
    if key and not certificate:
        msg = f"{place}client key {key} comes without a client certificate"
        raise ConfigError(msg)
    try:
        context = ssl.create_default_context(cafile=str(ca_file) or None)
    except OSError as error:  # ssl.SSLError is one
        msg = f"{place}cannot use {ca_file} as certificate authority: {error.strerror or error}"
        raise ConfigError(msg) from error
    if certificate:
        _show(context, certificate, key, place)
    return context


def _show(context: ssl.SSLContext, certificate: Path | str, key: Path | str, place: str) -> None:
    def no_password() -> str:  # without it OpenSSL would ask on the terminal, and a service would wait there for ever
        msg = f"{place}client key {key or certificate} is encrypted; give one that is not"
        raise ConfigError(msg)

    try:
        context.load_cert_chain(certificate, key or None, password=no_password)
    except OSError as error:
        files = f"{certificate} with {key}" if key else certificate
        msg = f"{place}cannot use {files} as client certificate: {error.strerror or error}"
        raise ConfigError(msg) from error


def handshake_words(error: Exception) -> str:
    """Why no TLS came about, and what to do; OpenSSL's own words name a line of its source."""
    if isinstance(error, ssl.SSLCertVerificationError):
        why = error.verify_message.rstrip(".")
        if error.verify_code in _OTHER_NAME:
            return f"its certificate is of another name ({why}); use a name that stands in it"
        return f"its certificate is not trusted ({why}); name its authority with --ca-file or ca_file"
    reason = getattr(error, "reason", None)
    if reason in _NOT_TLS:
        return "it speaks no TLS; is it http:// on this port?"
    return f"no TLS came about: {str(reason or error).replace('_', ' ').lower()}"
