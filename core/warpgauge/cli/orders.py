"""Orders to a running analyzer: where it is, and the operator's token that it wants."""

from __future__ import annotations

import getpass
import json
import os
import re
from pathlib import Path
from typing import TYPE_CHECKING, Any

from warpgauge.core.client_tls import client_context
from warpgauge.core.config import data_directory
from warpgauge.core.errors import SourceError
from warpgauge.core.lane import TryLaterError
from warpgauge.core.posting import HttpClient
from warpgauge.core.token_file import TokenFile

if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from warpgauge.core.config import Config

__all__ = ["add_order_arguments", "address", "ask", "client_of", "order", "token_reader"]


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
    """Base URL of the analyzer."""
    if args.analyzer:
        return str(args.analyzer).rstrip("/")
    host, _, port = config.analyzer.listen_address.rpartition(":")
    scheme = "https" if config.web.config_file else "http"  # of TLS or of users alone: --analyzer says it otherwise
    return f"{scheme}://{host if host not in {'', '0.0.0.0', '[::]'} else '127.0.0.1'}:{port}"  # noqa: S104 - compared


def token_reader(args: argparse.Namespace, config: Config) -> Callable[[], bytes]:
    """How the token is read, anew each time."""
    if args.token_file is not None:
        return TokenFile(lambda: args.token_file.parent, name=args.token_file.name).read
    return TokenFile(lambda: data_directory(config, os.environ)).read


def ask(args: argparse.Namespace, config: Config, path: str) -> Any:  # noqa: ANN401 - a JSON document
    """What the analyzer says.

    Raises:
        SourceError: it cannot be reached, or does not say that.

    """
    return _answer(client_of(args), "GET", f"{address(args, config)}{path}", None, _bearer(args, config))


def order(args: argparse.Namespace, config: Config, path: str, **body: object) -> Any:  # noqa: ANN401 - a JSON document
    """Give an order in the name of the person at the terminal; the answer.

    Raises:
        StorageError: there is no token that can be trusted.
        SourceError: the analyzer cannot be reached, or refuses; its own words say why.

    """
    content = json.dumps({"by": _who(), **body}).encode()
    headers = {**_bearer(args, config), "Content-Type": "application/json"}
    return _answer(client_of(args), "POST", f"{address(args, config)}{path}", content, headers)


def _bearer(args: argparse.Namespace, config: Config) -> dict[str, str]:
    return {"Authorization": f"Bearer {token_reader(args, config)().decode()}"}


def _answer(client: HttpClient, method: str, url: str, body: bytes | None, headers: dict[str, str]) -> Any:  # noqa: ANN401 - as above
    try:
        answer = client.request(method, url, body=body, headers=headers)
        document = json.loads(answer.body)
    except TryLaterError as error:
        msg = f"no answer from the analyzer: {error}; is it running? --analyzer URL names another"
        raise SourceError(msg) from error
    except ValueError as error:
        msg = f"{url} is no analyzer: it answers HTTP {answer.status} without JSON"
        raise SourceError(msg) from error
    if not answer.is_ok:
        why = document.get("error") if isinstance(document, dict) else None
        msg = f"the analyzer refused: {why or f'HTTP {answer.status}'}"
        raise SourceError(msg)
    return document


def _who() -> str:
    try:
        name = getpass.getuser()
    except (OSError, KeyError):  # a container's user without a name
        name = ""
    return re.sub(r"[^\w.@+ -]", "_", name)[:80] or "unknown"
