"""The Fluentd sink as the settings want it: addresses checked, secrets read from their files, TLS prepared."""

from __future__ import annotations

import platform
from pathlib import Path
from typing import TYPE_CHECKING, Final

from warpgauge.core.client_tls import client_context
from warpgauge.core.errors import ConfigError
from warpgauge.exporters.push.forward.connection import Connection, Server
from warpgauge.exporters.push.forward.handshake import Credentials
from warpgauge.exporters.push.forward.sink import ForwardSink

if TYPE_CHECKING:
    import ssl

    from warpgauge.core.clock import Clock
    from warpgauge.core.config import FluentdConfig

__all__ = ["forward_sink"]

_MOST_SECRET_BYTES: Final = 4096
_HIGHEST_PORT: Final = 65_535


def forward_sink(config: FluentdConfig, clock: Clock | None = None) -> ForwardSink:
    """A sink for the configured servers; secrets are read anew for each connection, so a new key needs no restart.

    Raises:
        ConfigError: a setting does not hold what it must.

    """
    servers = [_server(text) for text in config.servers]
    if not config.tag:
        msg = "fluentd.tag must not be empty"
        raise ConfigError(msg)
    if config.username and not config.shared_key_file:
        msg = (
            "fluentd.username needs fluentd.shared_key_file: receivers ask for a user in the handshake of the key only"
        )
        raise ConfigError(msg)
    _credentials(config)
    context = _context(config)

    def connect(server: Server) -> Connection:
        return Connection(server, _fresh(config), context=context, timeout_seconds=config.timeout_seconds)

    return ForwardSink(servers, connect, tag=config.tag, clock=clock)


def _fresh(config: FluentdConfig) -> Credentials:
    try:
        return _credentials(config)
    except ConfigError as error:
        raise OSError(str(error)) from error


def _credentials(config: FluentdConfig) -> Credentials:
    return Credentials(
        hostname=config.hostname or platform.node() or "localhost",
        shared_key=_secret(config.shared_key_file, "fluentd.shared_key_file"),
        username=config.username,
        password=_secret(config.password_file, "fluentd.password_file"),
    )


def _server(text: str) -> Server:
    host, _, port = text.rpartition(":")
    host = host.removeprefix("[").removesuffix("]")
    if not host or not (port.isascii() and port.isdecimal()) or not 0 < int(port) <= _HIGHEST_PORT:
        msg = f"fluentd.servers must be HOST:PORT, such as logs.example:24224, got {text!r}"
        raise ConfigError(msg)
    return Server(host, int(port))


def _secret(path: str, key: str) -> str:
    """What a file holds, without the end of its line; empty for no file."""
    if not path:
        return ""
    try:
        with Path(path).open("rb") as file:
            content = file.read(_MOST_SECRET_BYTES + 1)
        secret = content.decode("utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        why = error.strerror if isinstance(error, OSError) else "it is not UTF-8 text"
        msg = f"{key}: cannot read {path}: {why}"
        raise ConfigError(msg) from error
    if not secret or len(content) > _MOST_SECRET_BYTES:
        msg = f"{key}: {path} must hold 1 to {_MOST_SECRET_BYTES} bytes"
        raise ConfigError(msg)
    return secret


def _context(config: FluentdConfig) -> ssl.SSLContext | None:
    named = [key for key in ("ca_file", "client_cert", "client_key") if getattr(config, key)]
    if not config.tls:
        if named:
            msg = f"fluentd.{named[0]} needs fluentd.tls = true"
            raise ConfigError(msg)
        return None
    return client_context(config.ca_file, config.client_cert, config.client_key, of="fluentd")
