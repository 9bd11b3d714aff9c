"""`warpgauge audit verify [FILE]`: whether the audit log is as it was written; exit 2 if not."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from warpgauge.core.audit import AUDIT_FILE, verify
from warpgauge.core.config.directories import data_path

if TYPE_CHECKING:
    import argparse

    from warpgauge.core.config import Config

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `audit`."""
    parser.add_argument("action", metavar="verify", choices=("verify",), help="check every record's hash")
    parser.add_argument(
        "file", metavar="FILE", nargs="?", type=Path, help="the log (default audit.jsonl in the data directory)"
    )


def run(args: argparse.Namespace, config: Config) -> int:
    """Check; 0 if every record is as it was written."""
    path = args.file or data_path(config, os.environ) / AUDIT_FILE
    count = verify(path)
    print(f"{path}: {count} record{'' if count == 1 else 's'}, all as they were written")  # noqa: T201 - the answer
    return 0
