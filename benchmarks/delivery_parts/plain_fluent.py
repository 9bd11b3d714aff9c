"""fluent-logger as its manual shows it: plain_fluent.py FOLDER PORT LIFE [--burst N | --seconds S]; as sender.py."""

from __future__ import annotations

import sys
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent.parent))

from fluent.sender import FluentSender

from benchmarks.delivery_parts.ledger import Ledger
from benchmarks.delivery_parts.plain import run
from benchmarks.delivery_parts.sinks import SINKS


class Plain:
    """Emits each record; what the library said True to counts as taken."""

    def __init__(self, folder: Path, port: int) -> None:
        self._sender = FluentSender("warpgauge.logs", port=port)
        self._ledger = Ledger(folder / "appended")
        self._batch = SINKS["fluentd"].batch

    def give(self, ids: range, time: float) -> None:
        """Emit these."""
        said = [self._sender.emit_with_time(None, int(time), one.document()) for one in self._batch(ids, time)]
        self._ledger.write([number for number, is_taken in zip(ids, said, strict=True) if is_taken])

    def close(self) -> None:
        """Flush once and end."""
        self._sender.close()


run(Plain)
