"""The page `/metrics/dcgm`: what NVML tells under dcgm-exporter's names, for dashboards and alerts that exist."""

from __future__ import annotations

from warpgauge.core.dcgm import FIELDS, NOT_GIVEN, Field
from warpgauge.exporters.dcgm.view import DcgmView

__all__ = ["FIELDS", "NOT_GIVEN", "DcgmView", "Field"]
