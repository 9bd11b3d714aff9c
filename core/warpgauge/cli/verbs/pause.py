"""`warpgauge pause`: recommend nothing new and let no executor act, until `warpgauge resume`; survives a restart."""

from __future__ import annotations

from typing import TYPE_CHECKING

from warpgauge.cli.orders import add_order_arguments, order

if TYPE_CHECKING:
    import argparse

    from warpgauge.core.config import Config

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `pause`."""
    add_order_arguments(parser)


def run(args: argparse.Namespace, config: Config) -> int:
    """Order it."""
    answer = order(args, config, "/api/v1/pause")
    print(f"paused: mode {answer['mode']}, nothing is recommended or acted on until `warpgauge resume`")  # noqa: T201 - the answer to the person who typed the command
    return 0
