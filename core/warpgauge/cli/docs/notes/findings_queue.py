"""Notes on the metrics about the analyzer's queues of findings for log sinks."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.cli.docs.notes.note import Note
from warpgauge.core.catalog import findings_queue as rows

if TYPE_CHECKING:
    from warpgauge.core.catalog import Metric

__all__ = ["NOTES"]

NOTES: Final[dict[Metric, Note]] = {
    rows.RECORDS: Note(
        '`NAME{sink="otlp_logs"} 3`: what was found in three ticks waits for the receiver of logs.',
        "findings: a batch is what one tick had to tell.",
    ),
    rows.BYTES: Note(
        "`deriv(NAME[1h]) > 0` for hours: the receiver takes nothing; at push.queue_max_bytes the oldest goes.",
        "the size of the file, which SQLite does not shrink when the queue empties.",
    ),
    rows.MAX_BYTES: Note(
        "`NAME 1e9`, with 9e8 bytes in the queue: a tenth is left before the oldest findings are lost.",
        "room on the disk: that may be gone before.",
    ),
    rows.OLDEST: Note(
        "`time() - NAME` of 3600: for an hour nobody could read in the logs what was found.",
        "the age of a finding: it is when its record was stored.",
    ),
    rows.ACKED: Note(
        "`increase(NAME[1d])` of 40: in a day forty ticks had news, and all arrived.",
        "a sign of life: a quiet fleet has nothing to tell.",
    ),
    rows.DROPPED: Note(
        "`increase(NAME[1d]) > 0`: findings that never reach the logs; the console and the API have them.",
        "what a receiver refused: that is set aside or refused, with the reason.",
    ),
    rows.RETRIES: Note(
        "`increase(NAME[10m])` of 10: the receiver was away or busy; what was tried still waits.",
        "a loss: a batch that is tried again is not gone.",
    ),
    rows.DEAD_LETTERED: Note(
        "`increase(NAME[1h]) > 0`: the analyzer's log (sink does not take findings) has the receiver's words.",
        "batches that will come again: nobody repeats them; they are kept while there is room.",
    ),
    rows.REFUSED: Note(
        "`increase(NAME[1h]) > 0`: the receiver did not keep all records of what it took; the log has its words.",
        "batches: one request holds many findings.",
    ),
}
