"""What acts on a scheduling core: one protocol, one worker that keeps its promises, one file per core.

An executor is a process of its own with its own account. It reads recommendations, checks again what must hold, acts
once, answers every step with an ack, and knows how to take back what it did.
"""

from __future__ import annotations

from warpgauge.executors.announcing import FileExecutor, StreamExecutor
from warpgauge.executors.journal import Entry, Journal
from warpgauge.executors.protocol import ExecutionError, Executor, Intent, Order
from warpgauge.executors.worker import Worker

__all__ = [
    "Entry",
    "ExecutionError",
    "Executor",
    "FileExecutor",
    "Intent",
    "Journal",
    "Order",
    "StreamExecutor",
    "Worker",
]
