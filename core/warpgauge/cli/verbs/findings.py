"""`warpgauge findings`: what a running analyzer has found, with the ids that `dismiss` takes; exit 1 if anything."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Any, Final

from warpgauge.cli.orders import add_order_arguments, look, printable
from warpgauge.cli.report import counted, finding_text, wrapped
from warpgauge.core.errors import InputError, SourceError
from warpgauge.core.finding import Severity, finding_from_json

if TYPE_CHECKING:
    import argparse
    from collections.abc import Mapping, Sequence

    from warpgauge.core.config import Config
    from warpgauge.core.finding import Finding

__all__ = ["add_arguments", "run"]

_RANK: Final = {Severity.CRITICAL: 0, Severity.WARNING: 1, Severity.INFO: 2}


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `findings`."""
    parser.add_argument("--json", action="store_true", help="one JSON object per finding and line")
    add_order_arguments(parser)


def run(args: argparse.Namespace, config: Config) -> int:
    """Ask and print; 0 nothing above info, 1 something."""
    status = look(args, config, "/api/v1/status")
    documents = look(args, config, "/api/v1/findings")
    try:
        found = [finding_from_json(document) for document in documents["findings"]]
        text = _as_text(found, status)
    except (InputError, KeyError, TypeError) as error:
        msg = f"the analyzer answers with findings that this version cannot read: {error}; use the analyzer's own"
        raise SourceError(msg) from error
    print("\n".join(json.dumps(one) for one in documents["findings"]) if args.json else text)  # noqa: T201 - the answer
    return int(any(one.severity is not Severity.INFO and one.muted is None and one.ended is None for one in found))


def _as_text(found: Sequence[Finding], status: Mapping[str, Any]) -> str:
    holding = sorted((one for one in found if one.ended is None), key=lambda one: (_RANK[one.severity], one.since))
    ended = [one for one in found if one.ended is not None]
    parts = [_headline(len(holding), status)]
    parts += [f"{finding_text(one)}\n  id {one.id}" for one in (*holding, *ended)]
    return "\n\n".join(printable(part) for part in parts)


def _headline(count: int, status: Mapping[str, Any]) -> str:
    """How many, of what, as of when; first of all who did not answer, since nothing found there says nothing."""
    seen = f"{counted(status['nodes'], 'node')} and {counted(status['devices'], 'device')}"
    now = datetime.fromtimestamp(status["time"], UTC).strftime("%Y-%m-%d %H:%M:%SZ")
    number = counted(count, "finding") if count else "Nothing found"
    down = [source for source in status["sources"] if not source["up"]]
    lines = [f"{number} on {seen}, as of {now}."]
    if down:
        why = down[0].get("error", "no reason given")
        lines.append(f"No answer from {len(down)} of {counted(len(status['sources']), 'source')}: {why}")
    if status["not_judged"]:
        gaps = counted(len(status["not_judged"]), "gap")
        lines.append(f"Not all could be judged ({gaps}): the console says what and why.")
    return "\n".join(wrapped(line).strip() for line in lines)
