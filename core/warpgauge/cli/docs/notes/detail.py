"""Notes on what lies behind a number of a whole device."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.cli.docs.notes.note import Note
from warpgauge.core.catalog import detail

if TYPE_CHECKING:
    from warpgauge.core.catalog import Metric

__all__ = ["NOTES"]

NOTES: Final[dict[Metric, Note]] = {
    detail.MEMORY_POWER: Note(
        "139 W of 409 on the recorded H200 at a copy within its memory, 99 of 431 at a matrix product, 44 of 123 idle"
        " (`nvidia-smi`'s reading).",
        "something on top of the board's power: it is part of it. nvml.h calls scope 2 the memory in one place and the"
        " GPU base in another; an H100 and an H200 give the memory's.",
    ),
    detail.CLOCKS_BELOW_BASE: Note(
        "`rate(NAME[5m])` was 0.1 on a busy device: a tenth of the time it was slower than its base clock promises.",
        "a fault on a device that idles, which saves power below its base clocks: asked once, an H100 that had done"
        " nothing since its driver was loaded said 30.6 s, beside 40 s of low utilization.",
    ),
    detail.ENGINE_ACTIVE: Note(
        '`NAME{engine="decoder", number="0"} 0.97` and no other decoder: one stream fills one engine, however low the'
        " utilization of all. Not seen at work on a real board yet: the recorded loads decode nothing.",
        "idleness: an engine that is absent may have worked on no video yet, or not exist.",
    ),
    detail.ACTIVITY_DISTRIBUTION: Note(
        '`rate(NAME_sum{activity="tensor"}[5m]) / rate(NAME_count{activity="tensor"}[5m])`: the true mean of five'
        " minutes, whatever the scrape interval; the recorded H100's first minute gave 0.238 for compute.",
        "a count of readings: each count is a millisecond; and spikes within a second: each value is a mean of one. A"
        " pipe is absent until it first works.",
    ),
}
