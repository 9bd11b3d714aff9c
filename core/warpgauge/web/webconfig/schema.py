"""What a Prometheus `web-config.yml` may hold, read as strictly as Prometheus reads it.

https://github.com/prometheus/exporter-toolkit/blob/master/docs/web-configuration.md. An unknown key is an error that
names it. What Python's TLS cannot do is refused, never ignored.
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Final

from warpgauge.core.errors import ConfigError
from warpgauge.web.webconfig.ciphers import OPENSSL_NAMES, TLS_13_NAMES

if TYPE_CHECKING:
    from collections.abc import Mapping
    from pathlib import Path
    from typing import Any

__all__ = ["ClientAuth", "RateLimit", "TlsServer", "WebConfig", "read_web_config"]

ClientAuth = str
"""One of the policies of `_POLICIES` that can be kept here."""

_POLICIES: Final = ("NoClientCert", "VerifyClientCertIfGiven", "RequireAndVerifyClientCert")
_UNVERIFIED_POLICIES: Final = ("RequestClientCert", "RequireAnyClientCert", "RequireClientCert")
_VERSIONS: Final = ("TLS10", "TLS11", "TLS12", "TLS13")
_CURVES: Final = ("CurveP256", "CurveP384", "CurveP521", "X25519")
_HEADERS: Final[dict[str, tuple[str, ...]]] = {  # and the values it may have, where only some make sense
    "Content-Security-Policy": (),
    "Strict-Transport-Security": (),
    "X-Content-Type-Options": ("nosniff",),
    "X-Frame-Options": ("deny", "sameorigin"),
    "X-XSS-Protection": (),
}
_BCRYPT: Final = re.compile(r"\$2[abxy]?\$(?P<cost>[0-9]{2})\$[./A-Za-z0-9]{53}")
_COSTS: Final = range(4, 32)
_DURATION_PART: Final = re.compile(r"([0-9]+(?:\.[0-9]*)?|\.[0-9]+)(ns|us|µs|ms|s|m|h)")
_SECONDS: Final = {"ns": 1e-9, "us": 1e-6, "µs": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "h": 3600.0}


@dataclass(frozen=True, slots=True, kw_only=True)
class TlsServer:
    """Section `tls_server_config`. Of certificate, key and authorities each is inline (PEM) or a file, never both."""

    cert: str = ""
    cert_file: Path | None = None
    key: str = field(default="", repr=False)
    key_file: Path | None = None
    client_auth: ClientAuth = "NoClientCert"
    client_ca: str = ""
    client_ca_file: Path | None = None
    client_allowed_sans: tuple[str, ...] = ()
    min_version: str = "TLS12"
    max_version: str = "TLS13"
    cipher_suites: tuple[str, ...] = ()
    curves: tuple[str, ...] = ()
    prefer_server_ciphers: bool = True


@dataclass(frozen=True, slots=True)
class RateLimit:
    """A request each `interval_seconds`, and `burst` at once."""

    interval_seconds: float
    burst: int


@dataclass(frozen=True, slots=True, kw_only=True)
class WebConfig:
    """A whole file; `users` are bcrypt hashes by name. Without `tls` the server speaks plain HTTP."""

    tls: TlsServer | None = None
    headers: Mapping[str, str] = field(default_factory=dict)
    users: Mapping[str, str] = field(default_factory=dict, repr=False)
    rate_limit: RateLimit | None = None


def read_web_config(document: object, folder: Path) -> WebConfig:
    """The settings of a parsed file; relative paths in it are below `folder`.

    Raises:
        ConfigError: the message names the key.

    """
    top = _Section("", {} if document is None else document)
    tls = top.section("tls_server_config")
    http = top.section("http_server_config")
    users = top.texts("basic_auth_users")
    limit = top.section("rate_limit")
    top.nothing_else()
    for name, hashed in users.items():
        _check_hash(name, hashed)
    return WebConfig(tls=_tls(tls, folder), headers=_http_headers(http), users=users, rate_limit=_rate_limit(limit))


class _Section:
    """A mapping of the file that is emptied key by key, so that what is left is unknown."""

    def __init__(self, name: str, content: object) -> None:
        if not isinstance(content, dict):
            msg = f"{name or 'the file'} must be a mapping of keys, got {type(content).__name__}"
            raise ConfigError(msg)
        self.name = name
        self._left: dict[Any, Any] = dict(content)

    def key(self, key: str) -> str:
        return f"{self.name}.{key}" if self.name else key

    def section(self, key: str) -> _Section:
        return _Section(self.key(key), self._take(key) or {})

    def text(self, key: str, default: str = "") -> str:
        value = self._take(key)
        return default if value is None else self._scalar(key, value)

    def flag(self, key: str, *, default: bool) -> bool:
        value = self._take(key)
        if value is not None and not isinstance(value, bool):
            raise self._wrong(key, "true or false", value)
        return default if value is None else value

    def number(self, key: str) -> int:
        value = self._take(key)
        if value is not None and (not isinstance(value, int) or isinstance(value, bool)):
            raise self._wrong(key, "a whole number", value)
        return value or 0

    def items(self, key: str, choices: tuple[str, ...] = ()) -> tuple[str, ...]:
        value = self._take(key)
        if value is not None and not isinstance(value, list):
            raise self._wrong(key, "a list", value)
        found = tuple(self._scalar(key, item) for item in value or ())
        if choices and (unknown := [item for item in found if item not in choices]):
            raise self._wrong(key, f"of {', '.join(choices)}", unknown[0])
        return found

    def texts(self, key: str) -> dict[str, str]:
        value = self._take(key)
        if value is not None and not isinstance(value, dict):
            raise self._wrong(key, "a mapping", value)
        return {str(name): "" if text is None else self._scalar(key, text) for name, text in (value or {}).items()}

    def nothing_else(self) -> None:
        if self._left:
            msg = f"there is no key {self.key(str(next(iter(self._left)))[:80])!r}"
            raise ConfigError(msg)

    def is_empty(self) -> bool:
        return not self._left

    def _take(self, key: str) -> Any:  # noqa: ANN401 - whatever YAML held
        return self._left.pop(key, None)

    def _scalar(self, key: str, value: object) -> str:
        """Text; a number is the text it was written as, a list or a mapping is wrong."""
        if isinstance(value, dict | list):
            raise self._wrong(key, "text", value)
        return value if isinstance(value, str) else str(value)

    def _wrong(self, key: str, wanted: str, got: object) -> ConfigError:
        shown = f"a {type(got).__name__}" if isinstance(got, dict | list) else repr(got)
        return ConfigError(f"{self.key(key)} must be {wanted}, got {shown}")


def _tls(section: _Section, folder: Path) -> TlsServer | None:
    if section.is_empty():
        return None

    def file(key: str) -> Path | None:
        name = section.text(key)
        return folder / name if name else None

    policy = section.text("client_auth_type")
    found = TlsServer(
        cert=section.text("cert"),
        cert_file=file("cert_file"),
        key=section.text("key"),
        key_file=file("key_file"),
        client_auth=policy or "NoClientCert",
        client_ca=section.text("client_ca"),
        client_ca_file=file("client_ca_file"),
        client_allowed_sans=section.items("client_allowed_sans"),
        min_version=section.text("min_version", "TLS12"),
        max_version=section.text("max_version", "TLS13"),
        cipher_suites=section.items("cipher_suites", (*OPENSSL_NAMES, *TLS_13_NAMES)),
        curves=section.items("curve_preferences", _CURVES),
        prefer_server_ciphers=section.flag("prefer_server_cipher_suites", default=True),
    )
    section.nothing_else()
    names_files = (found.cert, found.cert_file, found.key, found.key_file, found.client_ca, found.client_ca_file)
    if not any(names_files) and not policy:
        return None  # versions and ciphers alone turn TLS on in no exporter
    _check_tls(found, section)
    return found


def _check_tls(tls: TlsServer, section: _Section) -> None:
    for inline, file, key in ((tls.cert, tls.cert_file, "cert"), (tls.key, tls.key_file, "key")):
        if not inline and not file:
            msg = f"{section.name} needs {key} or {key}_file"
            raise ConfigError(msg)
    pairs = ((tls.cert, tls.cert_file, "cert"), (tls.key, tls.key_file, "key"),
             (tls.client_ca, tls.client_ca_file, "client_ca"))  # fmt: skip
    for inline, file, key in pairs:
        if inline and file:
            msg = f"{section.name} has both {key} and {key}_file; give one"
            raise ConfigError(msg)
    for key in ("min_version", "max_version"):
        if getattr(tls, key) not in _VERSIONS:
            msg = f"{section.key(key)} must be one of {', '.join(_VERSIONS)}, got {getattr(tls, key)!r}"
            raise ConfigError(msg)
    _check_policy(tls, section)


def _check_policy(tls: TlsServer, section: _Section) -> None:
    key = section.key("client_auth_type")
    if tls.client_auth in _UNVERIFIED_POLICIES:
        msg = (
            f"{key} {tls.client_auth} asks for certificates without verifying them, which Python's TLS cannot do; "
            "use VerifyClientCertIfGiven or RequireAndVerifyClientCert"
        )
        raise ConfigError(msg)
    if tls.client_auth not in _POLICIES:
        msg = f"{key} must be one of {', '.join(_POLICIES)}, got {tls.client_auth!r}"
        raise ConfigError(msg)
    has_authority = bool(tls.client_ca or tls.client_ca_file)
    if has_authority and tls.client_auth == "NoClientCert":
        msg = f"{section.name} has a client_ca, but client_auth_type does not ask for client certificates"
        raise ConfigError(msg)


def _http_headers(section: _Section) -> dict[str, str]:
    section.flag("http2", default=True)  # accepted as written; this server speaks HTTP/1.1 either way
    headers = section.texts("headers")
    section.nothing_else()
    for name, value in headers.items():
        allowed = _HEADERS.get(name)
        if allowed is None:
            msg = f"{section.key('headers')}: header {name!r} cannot be configured, only {', '.join(_HEADERS)}"
            raise ConfigError(msg)
        if (allowed and value not in allowed) or not value.isprintable():
            wanted = " or ".join(allowed) or "printable text"
            msg = f"{section.key('headers')}.{name} must be {wanted}, got {value!r}"
            raise ConfigError(msg)
    return headers


def _check_hash(name: str, hashed: str) -> None:
    """The hash itself stays out of the message."""
    match = _BCRYPT.fullmatch(hashed)
    if match is None or int(match["cost"]) not in _COSTS:
        msg = f"basic_auth_users.{name} must be a bcrypt hash such as $2y$10$..., as `htpasswd -nBC 10 ''` prints it"
        raise ConfigError(msg)


def _rate_limit(section: _Section) -> RateLimit | None:
    interval = _duration(section.text("interval", "0s"), section.key("interval"))
    burst = section.number("burst")
    section.nothing_else()
    if burst < 0:
        msg = f"{section.key('burst')} must be >= 0, got {burst}"
        raise ConfigError(msg)
    return RateLimit(interval, burst) if interval > 0 else None


def _duration(text: str, key: str) -> float:
    """Seconds of a Go duration such as 1m30s or 500ms; a bare 0 is 0."""
    parts = _DURATION_PART.findall(text)
    if not text or (text != "0" and "".join(number + unit for number, unit in parts) != text):
        msg = f"{key} must be a duration such as 100ms, 1s or 1m30s, got {text!r}"
        raise ConfigError(msg)
    return sum(float(number) * _SECONDS[unit] for number, unit in parts)
