"""`warpgauge explain JOB [SOURCE...]`: what a job is bound by and why; exit 1 if something about it is wrong."""

from __future__ import annotations

import asyncio
import json
from typing import TYPE_CHECKING

from warpgauge.cli.explanation import explanation_text
from warpgauge.cli.verbs.analyze import add_reading_flags, look_of, say
from warpgauge.core.clock import SystemClock
from warpgauge.core.finding import Severity

if TYPE_CHECKING:
    import argparse

    from warpgauge.core.config import Config

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `explain`."""
    parser.add_argument("job", metavar="JOB", help="id of the job, or CLUSTER/ID where several clusters have it")
    parser.add_argument(
        "sources", nargs="*", metavar="SOURCE", default=[],
        help="as of analyze: base URL of a Prometheus, URL ending in /metrics, file or directory"
        " (default this machine's agent)",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="JSON Lines: the explanation, then its findings")
    add_reading_flags(parser, page="5m")


def run(args: argparse.Namespace, config: Config) -> int:
    """Read, judge, explain; 0 nothing above info about the job, 1 something."""
    from warpgauge.analyzer.explain import explain  # noqa: PLC0415 - numpy loads only for this verb
    from warpgauge.analyzer.once import read_once  # noqa: PLC0415

    sources = args.sources or [f"http://{config.agent.listen_address}/metrics"]
    replay = asyncio.run(read_once(sources, look_of(args, config), clock=SystemClock(), say=say))
    report = replay.report()
    known = explain(replay.frame, [one for one in report.findings if one.ended is None], args.job)
    if args.json:
        for document in (known.to_json(), *(finding.to_json() for finding in known.findings)):
            print(json.dumps(document, ensure_ascii=False, allow_nan=False))  # noqa: T201 - the answer
    else:
        print(explanation_text(known))  # noqa: T201 - the answer
    return int(any(finding.severity is not Severity.INFO and finding.muted is None for finding in known.findings))
