"""`warpgauge audit verify [FILE]`: whether the log of approvals, acks and verifications is as it was written."""

from __future__ import annotations

import os
from pathlib import Path
from typing import TYPE_CHECKING

from warpgauge.core.audit import AUDIT_FILE, Verdict, head_path, verify
from warpgauge.core.config import data_directory
from warpgauge.core.errors import ConfigError

if TYPE_CHECKING:
    import argparse

    from warpgauge.core.config import Config

__all__ = ["add_arguments", "run"]


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Flags of `audit`."""
    parser.add_argument("what", choices=("verify",), help="verify: read the whole chain")
    parser.add_argument("file", nargs="?", type=Path, metavar="FILE",
                        help="the log (default: the analyzer's, audit.jsonl in the data directory)")  # fmt: skip
    parser.add_argument("--head", metavar="SEQ:HASH",
                        help="a head that was kept elsewhere, which the log must still hold")  # fmt: skip


def run(args: argparse.Namespace, config: Config) -> int:
    """Check it; 1 if it was changed."""
    path = args.file or data_directory(config, os.environ) / AUDIT_FILE
    if not path.exists() and not head_path(path).exists():
        msg = f"there is no audit log {path}"
        raise ConfigError(msg)
    verdict = verify(path, kept=args.head)
    print(as_text(path, verdict))  # noqa: T201 - the answer to the person who typed the command
    return int(verdict.fault is not None)


def as_text(path: Path, verdict: Verdict) -> str:
    """One sentence, and the head to keep elsewhere."""
    if verdict.fault:
        return f"{path} was changed: {verdict.fault}"
    note = f"\n{verdict.note}" if verdict.note else ""
    return f"{path}: {verdict.lines} lines, whole\nhead {verdict.head.seq}:{verdict.head.hash}{note}"
