"""How to reach a server: base URL, credentials, tenant, whom to trust. Secrets come from files or the environment.

Files of secrets are read again for each request: tokens that a platform hands out are short-lived.
"""

from __future__ import annotations

import base64
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final
from urllib.parse import urlsplit

from warpgauge.core.client_tls import client_context
from warpgauge.core.errors import ConfigError

if TYPE_CHECKING:
    import ssl
    from collections.abc import Callable, Iterable, Mapping
    from pathlib import Path

__all__ = ["Access", "Credentials", "Terms", "header_of", "tls_context"]

_TENANT_HEADER: Final = "X-Scope-OrgID"  # Mimir, Cortex, Loki; Thanos reads it with --query.tenant-header
_TENANT: Final = re.compile(r"[A-Za-z0-9!\-_.*'()|]{1,150}")  # Mimir's rules for tenant ids, | joins several
_MOST_SECRET_BYTES: Final = 1 << 16


@dataclass(frozen=True, slots=True, kw_only=True)
class Credentials:
    """Who we are, as headers of a request; the secrets stay in their files."""

    headers: Mapping[str, str] = field(default_factory=dict)
    bearer_token_file: Path | None = None
    basic_auth_file: Path | None = None  # one line USER:PASSWORD
    basic_auth_variable: str = ""  # name of an environment variable that holds USER:PASSWORD
    tenant: str = ""

    def __post_init__(self) -> None:
        """Refuse what contradicts itself before anything is asked."""
        given = [bool(self.bearer_token_file), bool(self.basic_auth_file), bool(self.basic_auth_variable)]
        if sum(given) + any(name.lower() == "authorization" for name in self.headers) > 1:
            msg = "give one of a bearer token, basic authentication and a header Authorization"
            raise ConfigError(msg)
        if self.tenant and not _TENANT.fullmatch(self.tenant):
            msg = f"tenant {self.tenant!r} must be letters, digits and !-_.*'(), several joined by |"
            raise ConfigError(msg)

    def current(self) -> dict[str, str]:
        """The headers as the files are now.

        Raises:
            ConfigError: a file or variable is not there or holds something else.

        """
        found = dict(self.headers)
        if self.tenant:
            found[_TENANT_HEADER] = self.tenant
        if self.bearer_token_file is not None:
            found["Authorization"] = f"Bearer {_token(self.bearer_token_file)}"
        if self.basic_auth_file is not None:
            found["Authorization"] = _basic(_text(self.basic_auth_file), str(self.basic_auth_file))
        if self.basic_auth_variable:
            found["Authorization"] = _basic(
                os.environ.get(self.basic_auth_variable, ""), f"environment variable {self.basic_auth_variable}"
            )
        return found


@dataclass(frozen=True, slots=True, kw_only=True)
class Terms:
    """On what terms servers are asked: who we are to them, as their files are at that moment, and whom to trust."""

    headers: Callable[[], Mapping[str, str]] = dict
    tls: ssl.SSLContext | bool = True


@dataclass(frozen=True, slots=True, kw_only=True)
class Access(Terms):
    """A server's base URL, and on what terms it is asked."""

    url: str

    def __post_init__(self) -> None:
        """Refuse credentials in the URL: they end up in process lists and logs."""
        if "@" in urlsplit(self.url).netloc:
            msg = "credentials do not belong in the URL; pass --basic-auth-file FILE or --bearer-token-file FILE"
            raise ConfigError(msg)

    def path(self, path: str) -> str:
        """URL of an API path."""
        return f"{self.url.rstrip('/')}/api/v1/{path}"


def header_of(lines: Iterable[str]) -> dict[str, str]:
    """Headers of lines `Name: value`.

    Raises:
        ConfigError: a line has another form.

    """
    headers = {}
    for line in lines:
        name, colon, value = line.partition(":")
        if not colon or not name.strip() or not name.strip().isascii() or set(line) & {"\r", "\n"}:
            msg = f"--header {line!r} must be of the form 'Name: value'"
            raise ConfigError(msg)
        headers[name.strip()] = value.strip()
    return headers


def tls_context(
    ca_file: Path | None, client_cert: Path | None = None, client_key: Path | None = None
) -> ssl.SSLContext | bool:
    """Whom to trust (the system's authorities, or those of a file instead), and the certificate that we show.

    Raises:
        ConfigError: a file cannot be read, holds something else, or a key comes without its certificate.

    """
    if ca_file is None and client_cert is None and client_key is None:
        return True
    return client_context(ca_file or "", client_cert or "", client_key or "")


def _text(path: Path) -> str:
    try:
        if path.stat().st_size > _MOST_SECRET_BYTES:
            msg = f"{path} is too large to hold a secret"
            raise ConfigError(msg)
        return path.read_text(encoding="utf-8").strip()
    except (OSError, UnicodeDecodeError) as error:
        msg = f"cannot read {path}: {getattr(error, 'strerror', None) or 'it is not UTF-8'}"
        raise ConfigError(msg) from error


def _token(path: Path) -> str:
    token = _text(path)
    if not token.isascii() or len(token.split()) != 1:
        msg = f"{path} must hold one token"
        raise ConfigError(msg)
    return token


def _basic(text: str, place: str) -> str:
    user, colon, _ = text.partition(":")
    if not colon or not user or set(text) & {"\r", "\n", "\0"}:
        msg = f"{place} must hold one line USER:PASSWORD"
        raise ConfigError(msg)
    return f"Basic {base64.b64encode(text.encode()).decode()}"
