"""Asking a running analyzer, and giving it orders with the operator's token."""

from __future__ import annotations

import getpass
import json
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.error import HTTPError
from urllib.parse import quote, urlsplit
from urllib.request import HTTPSHandler, ProxyHandler, Request, build_opener

from warpgauge.core.client_tls import client_context
from warpgauge.core.config import data_directory
from warpgauge.core.errors import ConfigError, SourceError

if TYPE_CHECKING:
    import argparse
    import ssl
    from collections.abc import Mapping

    from warpgauge.core.config import Config

__all__ = ["Orderer", "add_order_flags", "orderer_of"]

_PATIENCE_SECONDS: Final = 10.0
_MOST_BYTES: Final = 64 << 20
_EVERY_ADDRESS: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "::": "::1"}  # noqa: S104 - to be asked, not listened on


def add_order_flags(parser: argparse.ArgumentParser) -> None:
    """Flags that say whom to order."""
    parser.add_argument(
        "--analyzer", metavar="URL", help="the analyzer to order (default the one that the settings describe)"
    )
    parser.add_argument("--ca-file", type=Path, metavar="FILE", help="certificate authorities to trust instead")
    parser.add_argument(
        "--data-directory", metavar="DIR", help="where that analyzer's operator.token is (default as of the settings)"
    )


def orderer_of(args: argparse.Namespace, config: Config) -> Orderer:
    """The analyzer that the flags or the settings name.

    Raises:
        ConfigError: the URL is none.
        StorageError: there is no token that we may read.

    """
    from warpgauge.web import ListenAddress, TokenFile, admission_of, scheme_of  # noqa: PLC0415 - --help needs no server

    address = ListenAddress.parse(config.analyzer.listen_address)
    own = ListenAddress(_EVERY_ADDRESS.get(address.host, address.host), address.port)
    url = args.analyzer or f"{scheme_of(admission_of(config.web))}://{own}"
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        msg = f"--analyzer {url!r} must be an http or https URL"
        raise ConfigError(msg)
    token = TokenFile(lambda: data_directory(config, os.environ)).read().decode()
    return Orderer(url.rstrip("/"), token, client_context(args.ca_file or "", of="--ca-file"))


class Orderer:
    """One analyzer."""

    def __init__(self, url: str, token: str, tls: ssl.SSLContext) -> None:
        self._url = url
        self._token = token
        self._opener = build_opener(
            ProxyHandler({}), HTTPSHandler(context=tls)
        )  # an order and its token go nowhere else

    def ask(self, path: str) -> dict[str, Any]:
        """A document."""
        return self._call("GET", path, None)

    def post(self, path: str, body: Mapping[str, Any]) -> dict[str, Any]:
        """Order something; we say who we are."""
        return self._call("POST", path, {**body, "by": _user()})

    def delete(self, path: str) -> dict[str, Any]:
        """Take an order back."""
        return self._call("DELETE", f"{path}?by={quote(_user())}", None)

    def _call(self, method: str, path: str, body: Mapping[str, Any] | None) -> dict[str, Any]:
        data = None if body is None else json.dumps(body).encode()
        headers = {"Authorization": f"Bearer {self._token}", "Content-Type": "application/json"}
        request = Request(self._url + path, data=data, headers=headers, method=method)  # noqa: S310 - checked above
        try:
            with self._opener.open(request, timeout=_PATIENCE_SECONDS) as answer:
                document: dict[str, Any] = json.loads(answer.read(_MOST_BYTES))
        except HTTPError as error:
            msg = f"{self._url}: {_reason(error)}"
            raise SourceError(msg) from error
        except (OSError, ValueError) as error:
            msg = f"no analyzer answers at {self._url}: {getattr(error, 'reason', error)}; name it with --analyzer URL"
            raise SourceError(msg) from error
        return document


def _reason(error: HTTPError) -> str:
    try:
        text = str(json.loads(error.read(1 << 16))["error"])
    except (OSError, ValueError, KeyError, TypeError):
        text = error.reason
    return "".join(char if char.isprintable() else "?" for char in f"{text} (HTTP {error.code})")


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError, ImportError):  # a container's user often has no name
        return f"uid {os.getuid()}" if hasattr(os, "getuid") else "operator"
