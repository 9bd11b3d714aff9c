"""Notes on the metrics of a workload's own runtime."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.cli.docs.notes.note import Note
from warpgauge.core.catalog import runtime

if TYPE_CHECKING:
    from warpgauge.core.catalog import Metric

__all__ = ["NOTES"]

NOTES: Final[dict[Metric, Note]] = {
    runtime.RUNTIME_UP: Note(
        "`NAME 0` of a device that is up: the chip is there and no workload runs on it.",
        "a fault: without a workload there is no runtime to ask, which is the usual state of a free TPU.",
    ),
    runtime.IDLE_SECONDS: Note(
        "`NAME 0.4`: the cores had work 0.4 s ago.",
        "a counter of idle time: it falls to 0 with the next piece of work.",
    ),
    runtime.QUEUED_PROGRAMS: Note(
        "`NAME 3`: three programs are queued, so the host is ahead of the device.",
        "requests of users: a program is one compiled step or a part of it; a starved device has none waiting.",
    ),
    runtime.PROGRAM_SECONDS: Note(
        "`histogram_quantile(0.9, rate(NAME_bucket[5m]))` of 0.1: nine of ten programs took at most 0.1 s.",
        "steps of the training script: one step may be several programs.",
    ),
    runtime.TRANSFER_SECONDS: Note(
        '`histogram_quantile(0.5, rate(NAME_bucket{path="dcn"}[5m]))` of 0.0025: half of the transfers to other slices'
        " took at most 2.5 ms.",
        "per chip: the runtime counts for the whole node, and grpc_tcp_min_rtt is a round trip, not a transfer.",
    ),
}
