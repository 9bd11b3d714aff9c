"""The file itself: read again as soon as it, or a certificate that it names, changes."""

from __future__ import annotations

import threading
from dataclasses import dataclass
from typing import TYPE_CHECKING, Final

from warpgauge.core.errors import ConfigError
from warpgauge.web.webconfig.schema import WebConfig, read_web_config
from warpgauge.web.webconfig.tls import ReloadingContext, server_context

if TYPE_CHECKING:
    import ssl
    from collections.abc import Iterator
    from pathlib import Path

__all__ = ["WebConfigFile"]

_MOST_BYTES: Final = 1 << 20

_Stamp = tuple[int, int, int] | None
"""Inode, size and time of change in nanoseconds; None of a file that is not there."""


@dataclass(frozen=True, slots=True)
class _Read:
    """What was made of the file, and of which state of it and of the files that it names."""

    config: WebConfig
    context: ssl.SSLContext | None
    stamps: dict[Path, _Stamp]


class WebConfigFile:
    """A `web-config.yml` in force. Prometheus reads it anew for each request; here a look at its time does."""

    def __init__(self, path: Path) -> None:
        """Read it for the first time.

        Raises:
            ConfigError: it cannot be read, holds something it must not, or names files that cannot be used.
            MissingExtraError: PyYAML or bcrypt is not installed.

        """
        self.path = path
        self._lock = threading.Lock()
        self._read = _read(path)
        if self._read.config.users:
            from warpgauge.web.webconfig import passwords  # noqa: F401, PLC0415 - say now that bcrypt is missing

    def current(self) -> WebConfig:
        """The settings as the file is now.

        Raises:
            ConfigError: what it holds now is wrong; nothing may be served then, as in Prometheus.

        """
        return self._fresh().config

    def context(self) -> ssl.SSLContext | None:
        """A context that follows the file with each new connection; None where TLS is not configured."""
        return ReloadingContext(self._current_context) if self._fresh().context else None

    def _current_context(self) -> ssl.SSLContext:
        context = self._fresh().context
        if context is None:
            msg = f"{self.path} no longer configures TLS; restart warpgauge to serve plain HTTP"
            raise ConfigError(msg)
        return context

    def _fresh(self) -> _Read:
        with self._lock:
            if any(_stamp(path) != stamp for path, stamp in self._read.stamps.items()):
                self._read = _read(self.path)
            return self._read


def _read(path: Path) -> _Read:
    """Stamps are taken first: a change while we read is seen by the next look."""
    own = _stamp(path)
    try:
        config = read_web_config(_document(path), path.parent)
        named = {file: _stamp(file) for file in _files(config)}
        context = server_context(config.tls) if config.tls else None
    except ConfigError as error:
        msg = f"{path}: {error}"
        raise ConfigError(msg) from error
    return _Read(config, context, {path: own, **named})


def _files(config: WebConfig) -> Iterator[Path]:
    if config.tls:
        yield from (file for file in (config.tls.cert_file, config.tls.key_file, config.tls.client_ca_file) if file)


def _stamp(path: Path) -> _Stamp:
    try:
        about = path.stat()
    except OSError:
        return None
    return about.st_ino, about.st_size, about.st_mtime_ns


def _document(path: Path) -> object:
    from warpgauge.web.webconfig.strict_yaml import parsed  # noqa: PLC0415 - its library is there only for a web-config

    try:
        with path.open("rb") as file:
            content = file.read(_MOST_BYTES + 1)
    except OSError as error:
        msg = f"cannot be read: {error.strerror or error}"
        raise ConfigError(msg) from error
    if len(content) > _MOST_BYTES:
        msg = f"larger than {_MOST_BYTES} bytes, this is no web-config"
        raise ConfigError(msg)
    return parsed(content)
