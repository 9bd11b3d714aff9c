"""`warpgauge silence`: for a while nobody is told of a scope; its findings are shown as silenced."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from warpgauge.cli.orders import add_order_arguments, ask, order, printable, take_back
from warpgauge.cli.times import read_duration
from warpgauge.core.errors import ConfigError
from warpgauge.core.table import table

if TYPE_CHECKING:
    import argparse

    from warpgauge.core.config import Config

__all__ = ["add_arguments", "run"]

_SCOPE: Final = {"kind": "kind", "cluster": "cluster", "node": "node", "uuid": "uuid", "job_id": "job"}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `silence`."""
    parser.add_argument("--kind", metavar="KIND", help="only findings of this kind, such as thermal_limited")
    parser.add_argument("--cluster", metavar="NAME", help="only of this cluster; * and ? stand for any characters")
    parser.add_argument("--node", metavar="NAME", help="only of this node and its devices")
    parser.add_argument("--uuid", metavar="UUID", help="only of this device")
    parser.add_argument("--job", metavar="ID", help="only of this job")
    parser.add_argument("--for", dest="duration", metavar="DURATION", default="2h", help="how long, at most 30d")
    parser.add_argument("--reason", metavar="TEXT", help="why; shown beside every finding that it covers")
    parser.add_argument("--list", action="store_true", help="print what is silenced and dismissed")
    parser.add_argument("--end", metavar="ID", help="end a silence")
    parser.add_argument("--json", action="store_true", help="print the document")
    add_order_arguments(parser)


def run(args: argparse.Namespace, config: Config) -> int:
    """Silence, list or end."""
    scope = {name: value for name, flag in _SCOPE.items() if (value := getattr(args, flag)) is not None}
    if sum((args.list, args.end is not None, bool(scope))) != 1:
        msg = "give a scope (--kind, --cluster, --node, --uuid, --job), or --list, or --end ID"
        raise ConfigError(msg)
    if scope and not args.reason:
        msg = "a silence needs --reason TEXT: whoever finds it later wants to know why"
        raise ConfigError(msg)
    seconds = read_duration(args.duration, "--for")
    if args.list:
        document = ask(args, config, "/api/v1/silences")
        _say(json.dumps(document) if args.json else _listed(document))
        return 0
    if args.end is not None:
        document = take_back(args, config, f"/api/v1/silences/{_id(args.end)}")
        _say(json.dumps(document) if args.json else f"ended: {_line(document)}")
        return 0
    document = order(args, config, "/api/v1/silences", **scope, seconds=seconds, reason=args.reason)
    _say(json.dumps(document) if args.json else f"silenced: {_line(document)}")
    return 0


def _id(text: str) -> str:
    if not text.isalnum() or not text.isascii():
        msg = f"{text!r} is no id; warpgauge silence --list prints them"
        raise ConfigError(msg)
    return text


def _line(one: dict[str, Any]) -> str:
    return f"{_where(one)} until {_time(one['until'])} ({one['reason']}), id {one['id']}"


def _listed(document: dict[str, Any]) -> str:
    rows = [
        (what, one["id"], _where(one), _time(one["until"]), one["by"], one["reason"])
        for what, name in (("silence", "silences"), ("dismissal", "dismissals"))
        for one in document[name]
    ]
    return (
        table(("what", "id", "scope", "until", "by", "reason"), rows) if rows else "Nothing is silenced or dismissed."
    )


def _where(one: dict[str, Any]) -> str:
    pairs = [f"{flag}={one[name]}" for name, flag in _SCOPE.items() if name in one]
    bar = [f"below {one['bar']:.3g} times its threshold"] if "bar" in one else []
    return " ".join(pairs + bar)


def _time(seconds: float) -> str:
    return datetime.fromtimestamp(seconds, UTC).strftime("%Y-%m-%d %H:%MZ")


def _say(text: str) -> None:
    print(printable(text))  # noqa: T201 - the answer
