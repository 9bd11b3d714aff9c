"""`warpgauge dismiss FINDING`: this much of that cause is nothing there; it is heard again only if it gets worse."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING

from warpgauge.cli.orders import add_order_arguments, order, take_back
from warpgauge.core.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from warpgauge.core.config import Config

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `dismiss`."""
    parser.add_argument("finding", metavar="FINDING", help="its id, as API, console and log show it")
    parser.add_argument("--reason", metavar="TEXT", help="why; shown beside the finding")
    parser.add_argument("--undo", action="store_true", help="take the dismissal of this finding back")
    parser.add_argument("--json", action="store_true", help="print the document")
    add_order_arguments(parser)


def run(args: argparse.Namespace, config: Config) -> int:
    """Dismiss, or take it back."""
    if not args.finding.isalnum() or not args.finding.isascii():
        msg = f"{args.finding!r} is no finding's id"
        raise ConfigError(msg)
    if not args.undo and not args.reason:
        msg = "dismissing needs --reason TEXT: whoever misses the finding later wants to know why"
        raise ConfigError(msg)
    if args.undo:
        document = take_back(args, config, f"/api/v1/dismissals/{args.finding}")
        words = f"{document['kind']} is heard there again"
    else:
        document = order(args, config, f"/api/v1/findings/{args.finding}/dismiss", reason=args.reason)
        bar = f"{document['bar']:.3g} times its threshold" if "bar" in document else "a higher severity"
        words = f"dismissed: {document['kind']} is heard there again from {bar} on, or in 30 days"
    print(json.dumps(document) if args.json else words)  # noqa: T201 - the answer
    return 0
