"""`warpgauge analyze SOURCE...`: findings from a Prometheus, a metrics page or files; exit 1 if something is wrong."""

from __future__ import annotations

import asyncio
import json
import os
import sys
import time
from pathlib import Path
from typing import TYPE_CHECKING

from warpgauge.cli.report import as_json_lines, as_text
from warpgauge.cli.times import read_duration, read_instant
from warpgauge.core.clock import SystemClock
from warpgauge.core.config.directories import data_path
from warpgauge.core.errors import ConfigError
from warpgauge.core.finding import Severity

if TYPE_CHECKING:
    import argparse

    from warpgauge.analyzer.once import Look
    from warpgauge.analyzer.sources.prometheus import Span
    from warpgauge.core.config import Config

__all__ = ["add_arguments", "add_reading_flags", "look_of", "run", "say"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `analyze`."""
    parser.add_argument(
        "sources", nargs="+", metavar="SOURCE",
        help="base URL of a Prometheus, URL ending in /metrics, file (.om, .prom, .parquet, .csv), the folder of the "
        "history or another directory of such files",
    )  # fmt: skip
    parser.add_argument("--json", action="store_true", help="JSON Lines: findings, incidents, then one summary")
    add_reading_flags(parser, page="30s")


def add_reading_flags(parser: argparse.ArgumentParser, *, page: str) -> None:
    """Flags that say how sources are read; `page` is how long a metrics page is scraped."""
    parser.add_argument("--since", metavar="DURATION",
                        help="how far back from the end (default 1h of a Prometheus, all of a file)")  # fmt: skip
    parser.add_argument("--start", metavar="TIME", help="RFC 3339 or seconds since the epoch; instead of --since")
    parser.add_argument("--end", metavar="TIME", help="RFC 3339 or seconds since the epoch (default now)")
    parser.add_argument("--step", metavar="DURATION", help="thin out: not below the scrape interval (default raw)")
    parser.add_argument("--match", metavar="{...}", help="only series that this selector matches")
    parser.add_argument("--for", dest="page_seconds", metavar="DURATION", default=page,
                        help=f"how long a metrics page is scraped, every 2 s (default {page})")  # fmt: skip
    parser.add_argument("--header", action="append", default=[], metavar="'NAME: VALUE'", help="sent with requests")
    parser.add_argument("--bearer-token-file", type=Path, metavar="FILE", help="file that holds the token")
    parser.add_argument("--basic-auth-file", type=Path, metavar="FILE", help="file that holds one line USER:PASSWORD")
    parser.add_argument("--basic-auth-env", metavar="NAME", default="",
                        help="environment variable that holds USER:PASSWORD")  # fmt: skip
    parser.add_argument("--tenant", metavar="ID", default="", help="tenant of a Mimir or Cortex (X-Scope-OrgID)")
    parser.add_argument("--ca-file", type=Path, metavar="FILE", help="certificate authorities to trust instead")
    parser.add_argument("--client-cert", type=Path, metavar="FILE", help="certificate (PEM) that we show")
    parser.add_argument("--client-key", type=Path, metavar="FILE", help="its key, if not in the same file")
    parser.add_argument("--replica-label", action="append", metavar="NAME",
                        help="label that tells the Prometheus of an HA pair apart (default: prometheus_replica, "
                        "replica, __replica__)")  # fmt: skip


def run(args: argparse.Namespace, config: Config) -> int:
    """Read, judge, print; 0 nothing above info, 1 something."""
    from warpgauge.analyzer.once import analyze_once  # noqa: PLC0415 - numpy loads only for this verb

    look = look_of(args, config)
    report = asyncio.run(analyze_once(args.sources, look, clock=SystemClock(), say=say))
    if args.json:
        for document in as_json_lines(report):
            print(json.dumps(document, ensure_ascii=False, allow_nan=False))  # noqa: T201 - the answer
    else:
        print(as_text(report))  # noqa: T201 - the answer
    return int(any(finding.severity is not Severity.INFO and finding.muted is None for finding in report.findings))


def look_of(args: argparse.Namespace, config: Config) -> Look:
    """How to read the sources, by the flags."""
    from warpgauge.analyzer.frame.layout import layout_of  # noqa: PLC0415 - as in run
    from warpgauge.analyzer.incidents.muting_book import read_mutings  # noqa: PLC0415
    from warpgauge.analyzer.once import Look  # noqa: PLC0415
    from warpgauge.analyzer.sources.access import Credentials, header_of, tls_context  # noqa: PLC0415

    credentials = Credentials(
        headers=header_of(args.header),
        bearer_token_file=args.bearer_token_file,
        basic_auth_file=args.basic_auth_file,
        basic_auth_variable=args.basic_auth_env,
        tenant=args.tenant,
    )
    credentials.current()  # a file that is not there ends here, before anything is asked
    span = _span(args)
    return Look(
        span=span,
        headers=credentials.current,
        tls=tls_context(args.ca_file, args.client_cert, args.client_key),
        page_seconds=read_duration(args.page_seconds, "--for"),
        window_seconds=config.analyzer.window_seconds,
        cluster=config.analyzer.cluster,
        xid_overrides=config.analyzer.xid_overrides,
        layout=layout_of(config.analyzer),
        muting=read_mutings(data_path(config, os.environ)),
        file_span=(span.start, span.end) if args.start or args.end or args.since else None,
    )


def _span(args: argparse.Namespace) -> Span:
    from warpgauge.analyzer.sources.prometheus import Span  # noqa: PLC0415 - as in run
    from warpgauge.analyzer.sources.replicas import REPLICA_LABELS  # noqa: PLC0415

    end = read_instant(args.end, "--end") if args.end else time.time()
    start = read_instant(args.start, "--start") if args.start else end - read_duration(args.since or "1h", "--since")
    if start >= end:
        msg = f"--start {args.start} is not before the end"
        raise ConfigError(msg)
    step = read_duration(args.step, "--step") if args.step else None
    replicas = tuple(args.replica_label or REPLICA_LABELS)
    span = Span(start=start, end=end, step_seconds=step, match=args.match, replica_labels=replicas)
    _ = span.matchers  # a malformed selector ends here, before anything is asked
    return span


def say(text: str) -> None:
    """Tell of progress."""
    print(text, file=sys.stderr, flush=True)  # noqa: T201 - progress, not the answer
