"""How to read one value of each metric, and how it is commonly misread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.cli.docs.notes import (
    detail,
    device,
    findings_queue,
    host,
    infiniband,
    link,
    linux,
    own,
    runtime,
    serving,
    vendor,
)
from warpgauge.cli.docs.notes.note import Note

if TYPE_CHECKING:
    from warpgauge.core.catalog import Metric

__all__ = ["NOTES", "Note"]

_CHAPTERS: Final = (device, detail, link, runtime, vendor, host, linux, infiniband, serving, own, findings_queue)

NOTES: Final[dict[Metric, Note]] = {metric: note for chapter in _CHAPTERS for metric, note in chapter.NOTES.items()}
"""One note for every row of the catalog."""
