"""The way from batches of sources into the frame."""

from __future__ import annotations

from warpgauge.analyzer.intake.intake import Counts, Intake, Samples, hold_of

__all__ = ["Counts", "Intake", "Samples", "hold_of"]
