"""From findings to advice for a scheduling core, within limits, and out of the house at least once."""

from __future__ import annotations

from warpgauge.analyzer.recommend.issuing import Ledger, Limits, Plan, Withheld, recommend
from warpgauge.analyzer.recommend.outbox import FileSink, Outbox, Sink, StreamSink

__all__ = ["FileSink", "Ledger", "Limits", "Outbox", "Plan", "Sink", "StreamSink", "Withheld", "recommend"]
