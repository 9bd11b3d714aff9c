"""Metrics about the analyzer's queues of findings for log sinks: what the agent says of its own queues."""

from __future__ import annotations

from typing import Final

from warpgauge.core.catalog.metric import Family, Kind, Metric, Tier, Unit


def _row(name: str, kind: Kind, unit: Unit, text: str) -> Metric:
    return Metric(
        f"warpgauge_analyzer_queue_{name}",
        kind,
        unit,
        text,
        labels=("sink",),
        family=Family.ANALYZER,
        tier=Tier.NORMAL,
    )


RECORDS: Final = _row(
    "records", Kind.GAUGE, Unit.NONE, "Batches of findings that a log sink's receiver does not have yet."
)
BYTES: Final = _row(
    "bytes",
    Kind.GAUGE,
    Unit.BYTES,
    "Size of what a log sink keeps on disk of findings: batches that wait and dead letters.",
)
MAX_BYTES: Final = _row(
    "max_bytes",
    Kind.GAUGE,
    Unit.BYTES,
    "What a log sink may keep on disk of findings; beyond it the oldest batch is dropped and counted.",
)
OLDEST: Final = _row(
    "oldest_timestamp_seconds",
    Kind.GAUGE,
    Unit.TIMESTAMP,
    "When the oldest batch of findings that waits for a log sink was written; absent while none waits.",
)
ACKED: Final = _row(
    "acked_total",
    Kind.COUNTER,
    Unit.NONE,
    "Batches of findings that the log sink's receiver acknowledged, over restarts.",
)
DROPPED: Final = _row(
    "dropped_total",
    Kind.COUNTER,
    Unit.NONE,
    "Batches of findings lost: too old, no room in the queue, or not to be stored.",
)
RETRIES: Final = _row(
    "retries_total",
    Kind.COUNTER,
    Unit.NONE,
    "Attempts that the log sink's receiver did not take for now, since the analyzer started; they are repeated.",
)
DEAD_LETTERED: Final = _row(
    "dead_lettered_total",
    Kind.COUNTER,
    Unit.NONE,
    "Batches of findings that the log sink's receiver will never take, set aside in the queue, over restarts.",
)
REFUSED: Final = _row(
    "refused_total",
    Kind.COUNTER,
    Unit.NONE,
    "Findings in acknowledged batches that the receiver said it did not keep, since the analyzer started.",
)
