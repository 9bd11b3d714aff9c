"""Notes on what one vendor's driver tells."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.cli.docs.notes.note import Note
from warpgauge.core.catalog import vendor

if TYPE_CHECKING:
    from warpgauge.core.catalog import Metric

__all__ = ["NOTES"]

NOTES: Final[dict[Metric, Note]] = {
    vendor.PARTITION_INFO: Note(
        '`NAME{compute_mode="CPX", memory_mode="NPS4", partition_id="3"} 1`: the fourth part of a board split by dies.',
        "a number of boards: eight series in mode CPX are one board, and only its first part tells power.",
    ),
    vendor.VIOLATION: Note(
        '`NAME{limit="power"} 0.4`: in 40 % of the last sample period the power limit held the clocks down.',
        "a fault: a busy board at its power limit is normal; socket_thermal and prochot are not.",
    ),
}
