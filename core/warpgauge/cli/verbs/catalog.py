"""`warpgauge catalog`: every metric, one row each."""

from __future__ import annotations

import json
import sys
from typing import TYPE_CHECKING, Any

from warpgauge.core.catalog import ALL, Family
from warpgauge.core.table import table

if TYPE_CHECKING:
    import argparse

    from warpgauge.core.catalog import Equivalent, Metric
    from warpgauge.core.config import Config

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's own flags."""
    families = [family.value for family in Family]
    parser.add_argument("--family", choices=families, metavar="FAMILY", help=f"only one of {', '.join(families)}")
    parser.add_argument("--json", action="store_true", help="one JSON object per metric and line")


def run(args: argparse.Namespace, config: Config) -> int:  # noqa: ARG001 - every verb is called alike
    """Print the rows."""
    rows = [metric for metric in ALL if args.family in {None, metric.family.value}]
    if args.json:
        lines = (json.dumps(_document(metric), ensure_ascii=False) + "\n" for metric in rows)
        sys.stdout.writelines(lines)
        return 0
    headers = ("NAME", "KIND", "UNIT", "TIER", "LABELS", "MEANING")
    cells = [(m.name, m.kind, m.unit, m.tier, ",".join(m.labels), m.help) for m in rows]
    sys.stdout.write(table(headers, cells) + "\n")
    return 0


def _document(metric: Metric) -> dict[str, Any]:
    """A row as JSON; what it has not is absent."""
    document = {
        "name": metric.name,
        "kind": metric.kind.value,
        "unit": metric.unit.value,
        "help": metric.help,
        "family": metric.family.value,
        "tier": metric.tier.value,
        "stability": metric.stability.value,
        "labels": list(metric.labels),
        "by_instance": metric.by_instance,
        "states": list(metric.states),
        "buckets": list(metric.buckets),
        "otel": _equivalent(metric.otel),
        "dcgm": _equivalent(metric.dcgm),
    }
    return {key: value for key, value in document.items() if value or key == "unit"}


def _equivalent(foreign: Equivalent | None) -> dict[str, Any] | None:
    return None if foreign is None else {"name": foreign.name, "factor": foreign.factor}
