"""Sources: where samples come from. Each gives batches; the intake maps them into the frame."""

from __future__ import annotations

from warpgauge.analyzer.sources.batch import Batch, Page, Points, Ranges, SourceStatus, Target

__all__ = ["Batch", "Page", "Points", "Ranges", "SourceStatus", "Target"]
