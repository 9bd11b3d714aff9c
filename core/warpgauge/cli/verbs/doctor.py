"""`warpgauge doctor`: what can be read on this machine, what cannot, and what to do about it."""

from __future__ import annotations

import json
import sys
from dataclasses import asdict
from typing import TYPE_CHECKING

from warpgauge.core.table import table
from warpgauge.exporters.doctor import Verdict, examine

if TYPE_CHECKING:
    import argparse

    from warpgauge.core.config import Config
    from warpgauge.exporters.doctor import Check

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Declare the verb's own flags."""
    parser.add_argument("--json", action="store_true", help="one JSON object per check and line")


def run(args: argparse.Namespace, config: Config) -> int:
    """Print every check; 1 when one of them failed."""
    checks = examine(config)
    if args.json:
        sys.stdout.writelines(json.dumps(_document(check), ensure_ascii=False) + "\n" for check in checks)
    else:
        sys.stdout.write(_text(checks) + "\n")
    return 1 if any(check.verdict is Verdict.FAIL for check in checks) else 0


def _text(checks: list[Check]) -> str:
    rows = [(check.verdict, check.subject, check.detail) for check in checks]
    mends = [f"  {check.subject}: {check.mend}" for check in checks if check.mend]
    return "\n".join([table(("", "WHAT", "FOUND"), rows), *(["", "What to do:", *mends] if mends else [])])


def _document(check: Check) -> dict[str, str]:
    return {name: value for name, value in asdict(check).items() if value}
