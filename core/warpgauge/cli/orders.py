"""Orders to a running analyzer: where it is, and the operator's token that it wants."""

from __future__ import annotations

import getpass
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import quote, urlsplit

from warpgauge.core.client_tls import client_context
from warpgauge.core.config import data_directory
from warpgauge.core.errors import ConfigError, SourceError, StorageError
from warpgauge.core.lane import TryLaterError
from warpgauge.core.posting import HttpClient, NoTlsError
from warpgauge.core.token_file import TokenFile

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from warpgauge.core.config import Config

__all__ = [
    "add_order_arguments",
    "address",
    "ask",
    "client_of",
    "look",
    "order",
    "printable",
    "take_back",
    "token_reader",
]

_EVERY_ADDRESS: Final = {"": "127.0.0.1", "0.0.0.0": "127.0.0.1", "[::]": "[::1]"}  # noqa: S104 - to be asked, not listened on


def add_order_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of every verb that gives an order."""
    parser.add_argument("--analyzer", metavar="URL", help="the analyzer (default: the address in the settings)")
    parser.add_argument("--token-file", type=Path, metavar="FILE",
                        help="the operator's token (default: operator.token in the data directory)")  # fmt: skip
    parser.add_argument("--ca-file", metavar="FILE", help="authorities to trust for the analyzer's certificate")


def client_of(args: argparse.Namespace) -> HttpClient:
    """A client for the analyzer.

    Raises:
        ConfigError: the file of authorities cannot be used.

    """
    return HttpClient(context=client_context(args.ca_file, of="--ca-file") if args.ca_file else None)


def address(args: argparse.Namespace, config: Config) -> str:
    """Base URL of the analyzer that the flag or the settings name.

    Raises:
        ConfigError: the flag is no URL, or the web-config cannot be used.

    """
    url = str(args.analyzer or _own_url(config)).rstrip("/")
    if urlsplit(url).scheme not in {"http", "https"} or not urlsplit(url).hostname:
        msg = f"--analyzer {url!r} must be an http or https URL"
        raise ConfigError(msg)
    return url


def _own_url(config: Config) -> str:
    host, _, port = config.analyzer.listen_address.rpartition(":")
    scheme = "http"
    if config.web.config_file:
        from warpgauge.web import admission_of, scheme_of  # noqa: PLC0415 - the server's libraries only for this

        scheme = scheme_of(admission_of(config.web))
    return f"{scheme}://{_EVERY_ADDRESS.get(host, host)}:{port}"


def token_reader(args: argparse.Namespace, config: Config) -> Callable[[], bytes]:
    """How the token is read, anew each time."""
    if args.token_file is not None:
        return TokenFile(lambda: args.token_file.parent, name=args.token_file.name).read
    return TokenFile(lambda: data_directory(config, os.environ)).read


def ask(args: argparse.Namespace, config: Config, path: str) -> Any:  # noqa: ANN401 - a JSON document
    """What the analyzer says.

    Raises:
        StorageError: there is no token that can be trusted.
        SourceError: it cannot be reached, or does not say that.

    """
    return _called(args, config, "GET", path)


def look(args: argparse.Namespace, config: Config, path: str) -> Any:  # noqa: ANN401 - a JSON document
    """What the analyzer says to everybody. Our own one, or whose `--token-file` is given, sees a token: it may ask.

    Raises:
        SourceError: it cannot be reached, or does not say that.

    """
    return _called(args, config, "GET", path, is_open=True)


def order(args: argparse.Namespace, config: Config, path: str, **body: object) -> Any:  # noqa: ANN401 - a JSON document
    """Give an order in the name of the person at the terminal; the answer.

    Raises:
        StorageError: there is no token that can be trusted.
        SourceError: the analyzer cannot be reached, or refuses; its own words say why.

    """
    return _called(args, config, "POST", path, json.dumps({"by": _who(), **body}).encode())


def take_back(args: argparse.Namespace, config: Config, path: str) -> Any:  # noqa: ANN401 - a JSON document
    """End what was ordered, in the name of the person at the terminal; raises as `order`."""
    return _called(args, config, "DELETE", f"{path}?by={quote(_who())}")


def _called(  # noqa: PLR0913 - the knobs of a request
    args: argparse.Namespace,
    config: Config,
    method: str,
    path: str,
    body: bytes | None = None,
    *,
    is_open: bool = False,
) -> Any:  # noqa: ANN401 - as above
    url = f"{address(args, config)}{path}"
    headers = _authorization(args, config, is_open=is_open)
    headers |= {} if body is None else {"Content-Type": "application/json"}
    try:
        answer = client_of(args).request(method, url, body=body, headers=headers)
        document = json.loads(answer.body)
    except TryLaterError as error:
        hint = "" if isinstance(error, NoTlsError) else "; is it running? --analyzer URL names another"
        msg = f"no answer from the analyzer: {error}{hint}"
        raise SourceError(msg) from error
    except ValueError as error:
        msg = f"{url} is no analyzer: it answers HTTP {answer.status} without JSON"
        raise SourceError(msg) from error
    if not answer.is_ok:
        why = document.get("error") if isinstance(document, dict) else None
        msg = f"the analyzer refused: {printable(str(why))} (HTTP {answer.status})"
        raise SourceError(msg)
    return document


def _authorization(args: argparse.Namespace, config: Config, *, is_open: bool) -> dict[str, str]:
    if is_open and args.token_file is None and args.analyzer:
        return {}
    try:
        return {"Authorization": f"Bearer {token_reader(args, config)().decode()}"}
    except StorageError:
        if is_open and args.token_file is None:
            return {}
        raise


def printable(text: str) -> str:
    """Fit for a terminal: an analyzer's words may hold what others wrote."""
    return "".join(char if char.isprintable() or char == "\n" else "?" for char in text)


def _who() -> str:
    try:
        name = getpass.getuser()
    except (OSError, KeyError, ImportError):  # a container's user often has no name
        name = f"uid-{os.getuid()}" if hasattr(os, "getuid") else ""
    return re.sub(r"[^\w.@+ -]", "_", name)[:80] or "unknown"
