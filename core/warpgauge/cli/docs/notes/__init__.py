"""How to read one value of each metric, and how it is commonly misread."""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from warpgauge.cli.docs.notes import device, host, link, own, runtime, vendor
from warpgauge.cli.docs.notes.note import Note

if TYPE_CHECKING:
    from warpgauge.core.catalog import Metric

__all__ = ["NOTES", "Note"]

NOTES: Final[dict[Metric, Note]] = device.NOTES | link.NOTES | runtime.NOTES | vendor.NOTES | host.NOTES | own.NOTES
"""One note for every row of the catalog."""
