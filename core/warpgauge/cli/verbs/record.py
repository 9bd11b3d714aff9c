"""`warpgauge record`: write down every call to the driver, for a bug report or a test; exit 1 if the driver broke."""

from __future__ import annotations

import json
import signal
import sys
from contextlib import contextmanager
from pathlib import Path
from threading import Event
from typing import TYPE_CHECKING, Final

from warpgauge.core.errors import ConfigError

if TYPE_CHECKING:
    import argparse
    from collections.abc import Iterator

    from warpgauge.core.config import Config
    from warpgauge.exporters.recording import Plan

__all__ = ["add_arguments", "run"]

_MOST_SECONDS: Final = 86_400.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `record`."""
    parser.add_argument("--out", type=Path, required=True, metavar="FILE", help="new file, by custom NAME.jsonl.zst")
    parser.add_argument("--seconds", type=float, default=60.0, metavar="N", help="how long to record (default 60)")
    parser.add_argument(
        "--every", type=float, metavar="SECONDS",
        help="how often the fast tier is read (default agent.fast_interval_seconds); the others stay as the agent's",
    )  # fmt: skip
    parser.add_argument("--all-ids", action="store_true", help="ask once for every field and GPM metric NVML names")
    parser.add_argument(
        "--no-mask", action="store_true",
        help="leave UUIDs, serial numbers, process ids and names, platform identities and the host name as they are",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="the summary as one JSON object")


def run(args: argparse.Namespace, config: Config) -> int:
    """Record, then say what was recorded; 1 when the driver hung, crashed or refused."""
    from warpgauge.cli.recordings import as_text  # noqa: PLC0415 - the extra is needed for this verb only
    from warpgauge.exporters.recording import capture, read_recording, summarize  # noqa: PLC0415 - as above

    plan = _plan(args, config)
    with _until_told() as is_over:
        done = capture(args.out, plan, is_over=is_over.is_set)
    summary = summarize(read_recording(args.out))
    text = json.dumps(summary.document(), ensure_ascii=False) if args.json else as_text(summary)
    sys.stdout.write(f"{text}\n")
    return int(done.end.reason != "done")


def _plan(args: argparse.Namespace, config: Config) -> Plan:
    from warpgauge.core.catalog import Tier  # noqa: PLC0415 - as in run
    from warpgauge.exporters.recording import Plan  # noqa: PLC0415 - as in run

    agent = config.agent
    every = agent.fast_interval_seconds if args.every is None else args.every
    for name, value, least in (("--seconds", args.seconds, 0.0), ("--every", every, 0.01)):
        if not least <= value <= _MOST_SECONDS:
            msg = f"{name} must be from {least:g} to {_MOST_SECONDS:g} seconds, got {value:g}"
            raise ConfigError(msg)
    normal, slow = agent.normal_interval_seconds, agent.slow_interval_seconds
    return Plan(
        seconds=args.seconds,
        intervals={Tier.FAST: every, Tier.NORMAL: normal, Tier.SLOW: slow},
        all_ids=args.all_ids,
        is_masked=not args.no_mask,
        deadline_seconds=agent.deadline_seconds,
    )


@contextmanager
def _until_told() -> Iterator[Event]:
    """Ctrl-C and SIGTERM end the recording well instead of us."""
    is_over = Event()
    names = (signal.SIGINT, signal.SIGTERM)
    before = [signal.signal(name, lambda _number, _frame: is_over.set()) for name in names]
    try:
        yield is_over
    finally:
        for name, old in zip(names, before, strict=True):
            signal.signal(name, old)
