"""`warpgauge reject ID`: refuse a recommendation; it is withdrawn."""

from __future__ import annotations

from typing import TYPE_CHECKING
from urllib.parse import quote

from warpgauge.cli.orders import add_order_arguments, order

if TYPE_CHECKING:
    import argparse

    from warpgauge.core.config import Config

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `reject`."""
    parser.add_argument("id", metavar="ID", help="the recommendation's id")
    add_order_arguments(parser)


def run(args: argparse.Namespace, config: Config) -> int:
    """Order it."""
    order(args, config, f"/api/v1/recommendations/{quote(args.id, safe='')}/reject")
    print(f"rejected: {args.id} is withdrawn")  # noqa: T201 - the answer to the person who typed the command
    return 0
