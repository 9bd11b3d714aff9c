"""The one writer and the one parser of Prometheus text 0.0.4 and OpenMetrics 1.0."""

from __future__ import annotations

from warpgauge.core.exposition.formats import Format, negotiate
from warpgauge.core.exposition.parsing import Line, labels_of, parse
from warpgauge.core.exposition.rendering import FamilyRenderer, FamilyText, page

__all__ = ["FamilyRenderer", "FamilyText", "Format", "Line", "labels_of", "negotiate", "page", "parse"]
