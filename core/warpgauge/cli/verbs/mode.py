"""`warpgauge mode MODE`: what another mode would change for what stands now; --apply puts it in force."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from warpgauge.cli.orders import add_order_arguments, ask, order

if TYPE_CHECKING:
    import argparse

    from warpgauge.core.config import Config

__all__ = ["add_arguments", "run"]

MODES = ("observe", "propose", "approve", "auto")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `mode`."""
    parser.add_argument("mode", nargs="?", choices=MODES, help="the mode to look at; without one the mode in force")
    parser.add_argument("--apply", action="store_true", help="put it in force, over restarts too")
    add_order_arguments(parser)


def run(args: argparse.Namespace, config: Config) -> int:
    """Ask or order."""
    if args.mode is None:
        answer = ask(args, config, "/api/v1/acting")
        _say(f"mode {answer['mode']}" + (f", held: {answer['hold']}" if answer["hold"] else ""))
        return 0
    answer = order(args, config, "/api/v1/mode", mode=args.mode, apply=args.apply)
    _say(as_text(answer))
    return 0


def as_text(answer: dict[str, Any]) -> str:
    """The difference in lines, and what to type to put it in force."""
    lines = [
        f"  {one['kind']} {one['target']}: {one['before']} -> {one['after']}  ({one['summary']} {one['id']})"
        for one in answer["changes"]
    ]
    head = f"{answer['from']} -> {answer['to']}: {len(lines) or 'no'} open recommendations change"
    end = "in force now" if answer["applied"] else f"nothing was changed; `warpgauge mode {answer['to']} --apply` does"
    return "\n".join([head, *lines, end])


def _say(text: str) -> None:
    print(text)  # noqa: T201 - the answer to the person who typed the command
